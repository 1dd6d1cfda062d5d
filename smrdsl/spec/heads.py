"""Heads of models: what parameters a model has, and their values along a chain of `extends`.

A twin without a parameter list has the parameters of its base, less those that it gives; one with a list has just that.
"""

from __future__ import annotations

from collections.abc import Mapping

from smrdsl.core.errors import Diagnostic, Report, did_you_mean
from smrdsl.spec.arguments import Given, bind_parameters, pair_up
from smrdsl.spec.evaluate import Evaluator
from smrdsl.spec.files import Unit
from smrdsl.spec.values import Scope, Value
from smrdsl.syntax import tree

Chain = list[tuple[tree.Model, Unit]]


def bind_chain(chain: Chain, overrides: Mapping[str, Value], report: Report) -> list[Scope] | None:
    """The scope of each model of a chain, from the twin to its base. None after a mistake."""
    names = parameters_of(chain, report)
    if names is None:
        return None
    for name in overrides:
        if name not in names:
            hint = did_you_mean(name, names) or f"; it has {', '.join(names) or 'none'}"
            message = f"model `{chain[0][0].name.id}` has no parameter `{name}`{hint}"
            report.add(Diagnostic("E0301", message, file=chain[0][0].span.source.path))
            return None
    scopes: list[Scope] = []
    _bind(chain, {}, dict(overrides), {}, report, scopes)
    return scopes


def parameters_of(chain: Chain, report: Report) -> list[str] | None:
    """The names that may be given to the first model of a chain, in order."""
    model = chain[0][0]
    if model.base is None or model.parameters is not None:
        return [p.name.id for p in model.parameters or ()]
    names = parameters_of(chain[1:], report)
    if names is None:
        return None
    given = _paired(chain, names, report)
    return None if given is None else [n for n in names if n not in given]


def _paired(chain: Chain, names: list[str], report: Report) -> dict[str, tree.Argument] | None:
    model, base = chain[0][0], chain[1][0]
    assert model.base is not None
    return pair_up(model.arguments, names, f"model `{base.name.id}`", report, model.base.span)


def _bind(
    chain: Chain,
    given: Given,
    overrides: dict[str, Value],
    names: dict[str, Value],
    report: Report,
    scopes: list[Scope],
) -> None:
    """Fill `names` with the values of the first model's parameters, and append the scopes of the chain.

    A twin without a list shares its names with its base, so that what it gives may mention what it leaves open.
    """
    model, unit = chain[0]
    scope = Scope(unit.lets, names)
    scopes.append(scope)
    evaluator = Evaluator(scope, report, unit)
    if model.base is None or model.parameters is not None:
        what = f"model `{model.name.id}`"
        bind_parameters(model.parameters or (), given, what, evaluator, model.name.span, overrides)
    if model.base is None:
        return
    paired = _paired(chain, parameters_of(chain[1:], report) or [], report) or {}
    own = {name: (a.value, evaluator) for name, a in paired.items()}
    if model.parameters is None:
        open_ones = {n: v for n, v in overrides.items() if n not in own}
        _bind(chain[1:], {**given, **own}, open_ones, names, report, scopes)
    else:
        _bind(chain[1:], own, {}, {}, report, scopes)
