"""The combinators: residual, gated, parallel and bidirectional become their blocks and the node that joins them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smrdsl.ops.contract import Operator
from smrdsl.spec.arguments import operator_params
from smrdsl.spec.components import labelled
from smrdsl.spec.units import Unit
from smrdsl.spec.values import LOST, Scope, Stream
from smrdsl.spec.wiring import Place
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.expand import Expander


def combine(
    expander: Expander, s: tree.Step, op: Operator, scope: Scope, place: Place, it: Stream | None, unit: Unit
) -> Stream:
    """Expand a combinator; LOST after a mistake."""
    bound = operator_params(op, s, expander.evaluator(scope, place, it, unit), place.related())
    if it is None:
        return expander.no_stream(op.name, s.callee.span, place)
    if s.body is None:
        return expander.lost()  # names.py reported it
    inner, region = labelled(expander, s.label, op.name, place, it)
    enters = replace(it, around=None) if region else it
    if op.name == "parallel":
        streams = _branches(expander, s.body, scope, inner, enters, unit)
    elif op.name == "bidirectional":
        streams = _directions(expander, s, scope, inner, enters, unit)
    else:
        streams = [enters, expander.block(s.body, scope, inner, enters, unit) or LOST]
    if bound is None:
        return expander.lost()
    leaves = expander.structural(op.name, {}, streams, s.span, inner, given=bound[0])
    if region:
        expander.wiring.leave(region, leaves.key)
    return leaves


def _branches(expander: Expander, body: tree.Block, scope: Scope, place: Place, it: Stream, unit: Unit) -> list[Stream]:
    path = expander.wiring.paths.name(place.prefix, "branch", body.span)
    branches = [b for b in body.statements if isinstance(b, tree.Branch)]
    streams: list[Stream] = []
    for i, b in enumerate(branches):
        expander.budget.spend(1, b.span)
        inside = replace(place, prefix=(*path, str(i)))
        streams.append(expander.block(b.block, scope, inside, it, unit) or LOST)
    return streams


def _directions(expander: Expander, s: tree.Step, scope: Scope, place: Place, it: Stream, unit: Unit) -> list[Stream]:
    """f on the sequence and, with weights of its own, on its reverse, turned round again."""
    assert s.body is not None
    ahead = expander.wiring.paths.name(place.prefix, "ahead", s.callee.span)
    back = expander.wiring.paths.name(place.prefix, "back", s.callee.span)

    def run(path: tuple[str, ...], stream: Stream) -> Stream:
        inside = replace(place, prefix=path, mirrors=(*place.mirrors, ".".join(path)))
        return expander.block(s.body, scope, inside, stream, unit) or LOST  # type: ignore[arg-type]

    def flip(stream: Stream) -> Stream:
        return expander.structural("flip", {}, [stream], s.span, place)

    return [run(ahead, it), flip(run(back, flip(it)))]
