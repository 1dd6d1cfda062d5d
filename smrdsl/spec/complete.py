"""Complete: the checks that need the whole model, after its edits: its input, ties, timing, and its size."""

from __future__ import annotations

from collections.abc import Mapping

from smrdsl.core.errors import Related, Report
from smrdsl.core.source import Source
from smrdsl.ops.registry import operators
from smrdsl.spec.limits import Limits
from smrdsl.spec.model import Model
from smrdsl.spec.ties import find_ties, parameters_of
from smrdsl.spec.values import Value
from smrdsl.spec.wiring import Node, Wiring
from smrdsl.syntax import tree


def complete(
    name: tree.Name, source: Source, arguments: Mapping[str, Value], wiring: Wiring, limits: Limits, told: int
) -> Model | None:
    """The model, or None where something is wrong with it: since `told`, or with the whole."""
    report = wiring.report
    nodes = tuple(wiring.nodes[key] for key in wiring.order())
    if not check_input(nodes, name, wiring):
        return None
    ties = find_ties(nodes, report)
    check_timing(nodes, report)
    if report.told == told:
        check_pair(wiring)
        check_size(nodes, limits, report)
    if report.told > told or not wiring.complete or wiring.output not in wiring.nodes:
        return None
    return Model(name.id, source, arguments, nodes, wiring.output, ties)


def check_input(nodes: tuple[Node, ...], name: tree.Name, wiring: Wiring) -> bool:
    """A model has one input, at its outermost level."""
    report = wiring.report
    inputs = [n for n in nodes if "input" in n.op.families]
    for extra in inputs[1:]:
        related = [Related("the first", inputs[0].span)]
        message = "a model has one input, this is another"
        report.error("E0404", message, extra.span, related=related)
    if inputs and (inputs[0].place.depth or inputs[0].place.prefix):
        message = f"`{inputs[0].op.name}` stands at the outermost level of a model"
        report.error("E0404", message, inputs[0].span)
    if not inputs and wiring.complete:
        message = f"model `{name.id}` has no input; it starts with `signal(...)` or `tokens(...)`"
        report.error("E0404", message, name.span)
    return len(inputs) == 1


def check_timing(nodes: tuple[Node, ...], report: Report) -> None:
    """A timed model hands the gaps to its cores; each must be able to use them. In others nothing may need them."""
    start = next(n for n in nodes if "input" in n.op.families)
    if not getattr(start.params, "timed", False):
        for n in (n for n in nodes if n.op.needs_gaps(n.params)):
            message = (
                f"`{n.op.name}` with these arguments needs the gaps between samples; write `timed=true` on the input"
            )
            report.error("E0405", message, n.span, related=[Related("the input, which is not timed", start.span)])
        return
    able = sorted(op.name for op in operators().values() if "ssm" in op.families and op.can_use_step)
    for n in nodes:
        if "ssm" in n.op.families and not n.op.uses_step(n.params):
            so = " with these arguments" if n.op.can_use_step else ""
            message = f"`{n.op.name}`{so} cannot use the gaps between samples; those that can: {', '.join(able)}"
            report.error("E0405", message, n.span, related=[Related("timed here", start.span)])
        if n.op.uses_step(n.params) and n.strategy == "conv":
            message = "a convolution needs one step for all samples, and this model is timed; use scan"
            report.error("E0801", message, n.asked or n.span, related=[Related("timed here", start.span)])


def check_pair(wiring: Wiring) -> None:
    """What a model leaves is of one sequence, or of a pair that was joined."""
    last = wiring.nodes.get(wiring.output)
    if last is not None and last.type is not None and last.type.paired:
        message = f"the model ends with a pair, {last.type}; `pool(mean)` and `match` join the two"
        related = [Related("made a pair here", n.span) for n in wiring.nodes.values() if "input" in n.op.families]
        wiring.report.error("E0401", message, last.span, related=[*related, *last.place.related()])


def check_size(nodes: tuple[Node, ...], limits: Limits, report: Report) -> None:
    """Refuse a model with too many parameters, with the figure, before anything is allocated."""
    sizes = {n.key: sum(p.size for p in parameters_of(n).values()) for n in nodes}
    total = sum(sizes.values())
    if total <= limits.parameters:
        return
    largest = max(nodes, key=lambda n: sizes[n.key])
    message = (
        f"the model would have about {_figure(total)} parameters, more than {_figure(limits.parameters)}; "
        f"`{largest.op.name}` alone has {_figure(sizes[largest.key])}"
    )
    report.error("E0703", message, largest.span, related=largest.place.related())


def _figure(number: int) -> str:
    """A large number in short, `4e18`."""
    return f"{float(min(number, 10**300)):.1g}".replace("e+", "e")
