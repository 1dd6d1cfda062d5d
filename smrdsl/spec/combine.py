"""The combinators: residual, gated, parallel and bidirectional become their blocks and the node that joins them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smrdsl.ops.contract import Operator
from smrdsl.spec.arguments import operator_params
from smrdsl.spec.files import Unit
from smrdsl.spec.values import LOST, Scope, Stream
from smrdsl.spec.wiring import Place
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.expand import Expander

COMBINATORS = ("residual", "gated", "parallel", "bidirectional")


def combine(
    expander: Expander, s: tree.Step, op: Operator, scope: Scope, place: Place, it: Stream | None, unit: Unit
) -> Stream:
    """Expand a combinator; LOST after a mistake."""
    bound = operator_params(op, s, expander.evaluator(scope, unit, it), place.related())
    if it is None:
        expander.report.error("E0404", f"`{op.name}` needs a stream", s.span)
    if s.body is None or it is None:
        return expander.lost()  # a missing block was reported by names.py
    inner, region = expander.labelled(s.label, op.name, place, it)
    if op.name == "parallel":
        streams = _branches(expander, s.body, scope, inner, it, unit)
    elif op.name == "bidirectional":
        streams = _directions(expander, s, scope, inner, it, unit)
    else:
        streams = [it, expander.block(s.body, scope, inner, it, unit) or LOST]
    if bound is None:
        return expander.lost()
    leaves = expander.structural(op.name, {}, streams, s.span, inner, given=bound[0])
    if region:
        region.exit = leaves.key
    return leaves


def _branches(expander: Expander, body: tree.Block, scope: Scope, place: Place, it: Stream, unit: Unit) -> list[Stream]:
    path = expander.wiring.name(place.prefix, "branch")
    branches = [b for b in body.statements if isinstance(b, tree.Branch)]
    return [
        expander.block(b.block, scope, replace(place, prefix=(*path, str(i))), it, unit) or LOST
        for i, b in enumerate(branches)
    ]


def _directions(expander: Expander, s: tree.Step, scope: Scope, place: Place, it: Stream, unit: Unit) -> list[Stream]:
    """f on the sequence and, with weights of its own, on its reverse, turned round again."""
    assert s.body is not None
    ahead = expander.wiring.name(place.prefix, "ahead")
    back = expander.wiring.name(place.prefix, "back")

    def run(path: tuple[str, ...], stream: Stream) -> Stream:
        mirrors = (*place.mirrors, ".".join(path))
        inside = replace(place, prefix=path, mirrors=mirrors)
        return expander.block(s.body, scope, inside, stream, unit) or LOST  # type: ignore[arg-type]

    def flip(stream: Stream) -> Stream:
        return expander.structural("flip", {}, [stream], s.span, place)

    return [run(ahead, it), flip(run(back, flip(it)))]
