"""Complete: the checks that need the whole model, after its edits: its input, ties, timing, and its size."""

from __future__ import annotations

from collections.abc import Mapping

from smrdsl.core.errors import Related, Report, did_you_mean
from smrdsl.core.source import Source
from smrdsl.ops.contract import Parameter
from smrdsl.ops.registry import operators
from smrdsl.spec.arguments import slots
from smrdsl.spec.limits import Limits
from smrdsl.spec.model import Model
from smrdsl.spec.values import Value
from smrdsl.spec.wiring import Node, Wiring
from smrdsl.syntax import tree


def complete(
    name: tree.Name, source: Source, arguments: Mapping[str, Value], wiring: Wiring, limits: Limits
) -> Model | None:
    """The model, or None where something is wrong with the whole."""
    report = wiring.report
    nodes = tuple(wiring.nodes[key] for key in wiring.order())
    if not check_input(nodes, name, report):
        return None
    ties = find_ties(nodes, report)
    check_timing(nodes, report)
    if not report.failed:
        check_size(nodes, ties, limits, report)
    if report.failed or wiring.output not in wiring.nodes:
        return None
    return Model(name.id, source, arguments, nodes, wiring.output, ties)


def check_input(nodes: tuple[Node, ...], name: tree.Name, report: Report) -> bool:
    """A model has one input, at its outermost level."""
    inputs = [n for n in nodes if "input" in n.op.families]
    for extra in inputs[1:]:
        related = [Related("the first", inputs[0].span)]
        message = "a model has one input, this is another"
        report.error("E0404", message, extra.span, related=related)
    if inputs and (inputs[0].place.depth or inputs[0].place.prefix):
        message = f"`{inputs[0].op.name}` stands at the outermost level of a model"
        report.error("E0404", message, inputs[0].span)
    if not inputs and not report.failed:
        message = f"model `{name.id}` has no input; it starts with `signal(...)` or `tokens(...)`"
        report.error("E0404", message, name.span)
    return len(inputs) == 1


def find_ties(nodes: tuple[Node, ...], report: Report) -> dict[str, str]:
    """For each node that shares a weight, the key of the one that owns it."""
    labelled: dict[str, list[Node]] = {}
    for n in nodes:
        if n.label:
            labelled.setdefault(n.label, []).append(n)
    ties: dict[str, str] = {}
    for n in nodes:
        for slot in slots(type(n.params)).values():
            label = getattr(n.params, slot.name) if slot.label else None
            if label is None:
                continue
            target = _nearest_owner(n, labelled.get(label, []))
            if target is None:
                hint = did_you_mean(label, labelled)
                message = f"no step in the same or an enclosing repeat is labelled `{label}`{hint}"
                report.error("E0403", message, n.arguments.get(slot.name, n.span))
            elif _tie_fits(n, target, slot.name, report):
                ties[n.key] = target.key
    return ties


def _nearest_owner(node: Node, candidates: list[Node]) -> Node | None:
    """The candidate whose path encloses the node's, the deepest one."""
    around = [c for c in candidates if c is not node and node.path[: len(c.path) - 1] == c.path[:-1]]
    return max(around, key=lambda c: len(c.path), default=None)


def _tie_fits(node: Node, target: Node, argument: str, report: Report) -> bool:
    alone = node.params.model_copy(update={argument: None})
    wanted = _parameters(node, alone).get("weight")
    found = _parameters(target, target.params).get("weight")
    if None in (wanted, found):
        if node.type is not None and target.type is not None:
            message = f"`{target.op.name}` has no weight to share"
            report.error("E0403", message, node.span, related=[Related("the step", target.span)])
        return False
    if wanted.shape != found.shape:  # type: ignore[union-attr]
        message = (
            f"`{node.op.name}` needs a weight {wanted.shape}, "  # type: ignore[union-attr]
            f"`{target.label}` has {found.shape}"  # type: ignore[union-attr]
        )
        report.error("E0403", message, node.span, related=[Related("the shared weight", target.span)])
        return False
    return True


def _parameters(node: Node, params: object) -> Mapping[str, Parameter]:
    if node.type is None or not node.fits:
        return {}
    return node.op.parameters(params, node.input_types, node.type)


def check_timing(nodes: tuple[Node, ...], report: Report) -> None:
    """A timed model hands the gaps to its cores; each must be able to use them."""
    start = next(n for n in nodes if "input" in n.op.families)
    if not getattr(start.params, "timed", False):
        return
    able = sorted(op.name for op in operators().values() if op.uses_step)
    for n in nodes:
        if "ssm" in n.op.families and not n.op.uses_step:
            message = f"`{n.op.name}` cannot use the gaps between samples; those that can: {', '.join(able)}"
            report.error("E0405", message, n.span, related=[Related("timed here", start.span)])
        if n.op.uses_step and n.strategy == "conv":
            message = "a convolution needs one step for all samples, and this model is timed; use scan"
            report.error("E0801", message, n.span, related=[Related("timed here", start.span)])


def check_size(nodes: tuple[Node, ...], ties: Mapping[str, str], limits: Limits, report: Report) -> None:
    """Refuse a model with too many parameters, with the figure, before anything is allocated."""
    sizes = {n.key: sum(p.size for p in _parameters(n, n.params).values()) for n in nodes}
    total = sum(sizes.values())
    if total <= limits.parameters:
        return
    largest = max(nodes, key=lambda n: sizes[n.key])
    message = (
        f"the model would have about {total:.1g} parameters, more than {limits.parameters:.1g}; "
        f"`{largest.op.name}` alone has {sizes[largest.key]:.1g}"
    ).replace("e+", "e")
    report.error("E0703", message, largest.span, related=largest.place.related())
