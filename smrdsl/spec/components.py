"""Components and bodies: a component's block stands where it is used, the block it was given where it says `body`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smrdsl.spec.arguments import pair_up
from smrdsl.spec.heads import Head
from smrdsl.spec.paths import plain
from smrdsl.spec.units import Unit
from smrdsl.spec.values import BodyOf, Scope, Stream
from smrdsl.spec.wiring import Place, Region
from smrdsl.syntax import tree

if TYPE_CHECKING:
    from smrdsl.spec.expand import Expander

CALL = 4
"""Turns that it takes to use a component."""


def expand_component(
    expander: Expander,
    s: tree.Step,
    component: tuple[tree.Component, Unit],
    scope: Scope,
    place: Place,
    it: Stream | None,
    unit: Unit,
) -> Stream | None:
    """The nodes of a component, in a region of its own."""
    c, home = component
    path = expander.path(s.label, plain(c.name.id), place, s.callee.span)
    if place.depth >= expander.limits.depth:
        message = f"components are nested more than {expander.limits.depth} deep"
        expander.report.error("E0704", message, s.span, related=place.related()[:3])
        return expander.lost()
    expander.budget.spend(CALL, s.span)
    inner = Scope(home.lets)
    inner.body = BodyOf(s.body, scope, unit) if s.body else None
    if not _bind(expander, s, c, home, inner, scope, place, it, unit):
        return expander.lost()
    called = {c.name.id, plain(c.name.id)} | ({s.label.id} if s.label else set())
    region = Region(
        frozenset(called), path, "component", place, it.key if it else "", s.label and s.label.id, dict(inner.names), c
    )
    expander.wiring.begin(region)
    inside = replace(place, prefix=path, regions=(*place.regions, region), uses=(*place.uses, s.span),
                     depth=place.depth + 1)  # fmt: skip
    leaves = expander.block(c.block, inner, inside, entering(it), home)
    expander.wiring.leave(region, leaves.key if leaves else "")
    return leaves


def _bind(
    expander: Expander,
    s: tree.Step,
    c: tree.Component,
    home: Unit,
    inner: Scope,
    scope: Scope,
    place: Place,
    it: Stream | None,
    unit: Unit,
) -> bool:
    """Give the parameters their values; False where the arguments do not fit."""
    what = f"`{c.name.id}`"
    paired = pair_up(s.arguments, home.signature(c).names, what, expander.report)
    if paired is None:
        return False
    caller = expander.evaluator(scope, place, it, unit)
    callee = expander.evaluator(inner, replace(place, uses=(*place.uses, s.span)), it, home)
    given = {n: (a.value, caller) for n, a in paired.items()}
    Head(c.parameters, given, what, callee, s.callee.span).bind()
    return True


def expand_body(expander: Expander, s: tree.Body, scope: Scope, place: Place, it: Stream | None) -> Stream | None:
    """The block that the component was given, in the caller's scope."""
    given = scope.given_body()
    if given is None:
        return it  # names.py reported it, or `E0205` at the place of use
    inner, region = labelled(expander, s.label, "body", place, it)
    leaves = expander.block(given.block, given.scope, inner, entering(it) if region else it, given.unit)
    if region:
        expander.wiring.leave(region, leaves.key if leaves else "")
    return leaves


def labelled(
    expander: Expander, label: tree.Name | None, kind: str, place: Place, it: Stream | None
) -> tuple[Place, Region | None]:
    """The place inside a block that adds nothing to the path unless it is labelled."""
    if label is None:
        return place, None
    path = expander.path(label, kind, place, label.span)
    region = begin_labelled(expander, label, path, kind, place, it)
    return replace(place, prefix=path, regions=(*place.regions, region)), region


def begin_labelled(
    expander: Expander, label: tree.Name, path: tuple[str, ...], kind: str, place: Place, it: Stream | None
) -> Region:
    """The region of a labelled block; whoever calls says what leaves it."""
    region = Region(frozenset({label.id}), path, kind, place, it.key if it else "", label.id)
    return expander.wiring.begin(region)


def entering(it: Stream | None) -> Stream | None:
    """The stream inside of a region that it enters: no longer a tap from outside."""
    return replace(it, around=None) if it else None
