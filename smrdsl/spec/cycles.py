"""Cycles: components that use themselves and models that extend themselves, found before anything is expanded."""

from __future__ import annotations

from smrdsl.core.errors import Report
from smrdsl.spec.files import Unit
from smrdsl.spec.names import callees, walk
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
        found |= _models(model, unit, report)
    return found


def _components(start: tree.Component, home: Unit, report: Report, done: set[int]) -> bool:
    """Walk the calls in depth, without recursion, since a text may chain components without end."""
    found = False
    stack = [(start, home, iter(component_calls(start.block)))]
    way = [id(start)]
    while stack:
        component, unit, calls = stack[-1]
        callee = next(calls, None)
        if callee is None:
            done.add(id(component))
            stack.pop()
            way.pop()
            continue
        target = unit.component(callee)
        if target is None or id(target[0]) in done:
            continue
        if id(target[0]) in way:
            ring = [c.name.id for c, _, _ in stack[way.index(id(target[0])) :]]
            names = " -> ".join([*ring, target[0].name.id])
            report.error("E0207", f"a component cannot use itself: {names}", callee.span)
            found = True
            continue
        stack.append((*target, iter(component_calls(target[0].block))))
        way.append(id(target[0]))
    return found


def _models(start: tree.Model, home: Unit, report: Report) -> bool:
    seen, model, unit = [start], start, home
    while model.base is not None:
        target = unit.model(model.base)
        if target is None:
            return False
        if target[0] in seen:
            if target[0] is not start:
                return False  # reported at the model on the ring
            names = " -> ".join(m.name.id for m in [*seen, start])
            report.error("E0207", f"a model cannot extend itself: {names}", start.name.span)
            return True
        seen.append(target[0])
        model, unit = target
    return False
