"""Cycles: components that use themselves and models that extend themselves, found before anything is expanded."""

from __future__ import annotations

from smrdsl.core.errors import Report
from smrdsl.spec.units import Unit
from smrdsl.spec.walk import callees, walk
from smrdsl.syntax import tree

Callee = tree.Name | tree.Dotted


def component_calls(block: tree.Block) -> list[Callee]:
    """What a block calls, bodies and flows too."""
    found: list[Callee] = []
    for s in walk(block):
        if isinstance(s, tree.Step):
            found.append(s.callee)
        elif isinstance(s, tree.Tap | tree.SetIt):
            found.extend(callees(s.flow))
    return found


def check_cycles(unit: Unit, report: Report) -> bool:
    """Report every cycle once; whether there was one."""
    found = False
    done: set[int] = set()
    for component in unit.own_components():
        found |= _components(component, unit, report, done)
    for model in unit.own_models():
        found |= _models(model, unit, report, done)
    return found


def _components(start: tree.Component, home: Unit, report: Report, done: set[int]) -> bool:
    """Walk the calls in depth, without recursion, since a text may chain components without end."""
    found = False
    stack = [(start, home, iter(component_calls(start.block)))]
    way = {id(start): None}
    while stack:
        component, unit, calls = stack[-1]
        callee = next(calls, None)
        if callee is None:
            done.add(id(component))
            stack.pop()
            way.popitem()
            continue
        target = unit.component(callee)
        if target is None or id(target[0]) in done:
            continue
        if id(target[0]) in way:
            ring = [c.name.id for c, _, _ in stack[list(way).index(id(target[0])) :]]
            message = f"a component cannot use itself: {around(ring)}"
            report.error("E0207", message, callee.span)
            found = True
            continue
        stack.append((*target, iter(component_calls(target[0].block))))
        way[id(target[0])] = None
    return found


def _models(start: tree.Model, unit: Unit, report: Report, done: set[int]) -> bool:
    """Walk from a model to what it extends, up to one that was walked already."""
    way: dict[int, tree.Model] = {}
    target: tuple[tree.Model, Unit] | None = (start, unit)
    while target is not None and id(target[0]) not in done:
        model, unit = target
        if id(model) in way:
            ring = list(way.values())[list(way).index(id(model)) :]
            message = f"a model cannot extend itself: {around([m.name.id for m in ring])}"
            report.error("E0207", message, model.name.span)
            break
        way[id(model)] = model
        target = unit.model(model.base) if model.base is not None else None
    cyclic = target is not None and id(target[0]) in way
    done.update(way)
    return cyclic


def around(ring: list[str]) -> str:
    """The names on a ring, the middle left out where there are many."""
    way = [*ring, ring[0]]
    return " -> ".join(way if len(way) <= 12 else [*way[:6], "...", *way[-5:]])
