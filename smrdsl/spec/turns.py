"""Turns: `repeat` is unrolled, `when` decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smrdsl.spec.arguments import to_whole
from smrdsl.spec.components import begin_labelled, entering, labelled
from smrdsl.spec.units import Unit
from smrdsl.spec.values import Poison, Scope, Stream, describe
from smrdsl.spec.walk import written_names
from smrdsl.spec.wiring import Place
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.expand import Expander


def expand_repeat(
    expander: Expander, s: tree.Repeat, scope: Scope, place: Place, it: Stream | None, unit: Unit
) -> Stream | None:
    """One copy of the block after the other."""
    path = expander.path(s.label, "layers", place, s.span)
    count = _count(expander, s.count, scope, place, it, unit)
    region = begin_labelled(expander, s.label, path, "repeat", place, it) if s.label else None
    regions = (*place.regions, region) if region else place.regions
    it = entering(it) if region else it
    for i in range(count):
        expander.budget.spend(1, s.span)
        inner, indices = scope.inner(), place.indices
        if s.index:
            inner.names[s.index.id] = i
            indices = {**place.indices, s.index.id: i}
        prefix = (*path, str(i))
        turn = replace(place, prefix=prefix, turn=prefix, indices=indices, regions=regions)
        it = expander.block(s.block, inner, turn, it, unit)
    if region:
        expander.wiring.leave(region, it.key if it else "")
    return it


def _count(expander: Expander, e: tree.Expression, scope: Scope, place: Place, it: Stream | None, unit: Unit) -> int:
    """How often to repeat; 0 after a mistake."""
    evaluator = expander.evaluator(scope, place, it, unit)
    value = evaluator.number(e)
    if isinstance(value, float):
        value = evaluator.fail(
            "E0304", f"`repeat` counts in whole numbers, this is {describe(value)}{to_whole(e, value)}", e
        )
    elif not isinstance(value, Poison) and value < 0:
        value = evaluator.fail("E0305", f"`repeat` cannot count to {value}", e)
    if isinstance(value, Poison):
        expander.lost()
        return 0
    return value


def expand_when(
    expander: Expander, s: tree.When, scope: Scope, place: Place, it: Stream | None, unit: Unit
) -> Stream | None:
    """The first arm whose condition holds. Names in the others are counted: paths follow the text, not the choice."""
    place, region = labelled(expander, s.label, "when", place, it)
    it = entering(it) if region else it
    leaves, chosen = it, False
    for arm in s.arms:
        expander.budget.spend(1, s.span)
        truth: bool | Poison = not chosen
        if arm.condition is not None and not chosen:
            truth = expander.evaluator(scope, place, it, unit).truth(arm.condition)
        if isinstance(truth, Poison):
            return expander.lost()
        if truth:
            chosen, leaves = True, expander.block(arm.block, scope, place, it, unit)
        else:
            _pass_over(expander, arm.block, scope, place, unit)
    if region:
        expander.wiring.leave(region, leaves.key if leaves else "")
    return leaves


def _pass_over(expander: Expander, block: tree.Block, scope: Scope, place: Place, unit: Unit) -> None:
    for name, span in written_names(block, unit, scope.given_body()):
        expander.budget.spend(1, span)
        expander.wiring.paths.name(place.prefix, name, span)
