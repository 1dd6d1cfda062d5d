"""Ties: a step that shares weights of another, which it names by its label.

The label is looked for in the same and in enclosing repeats, from the step outwards: the nearest one is meant.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from smrdsl.core.errors import Related, Report
from smrdsl.ops import contract
from smrdsl.ops.contract import Parameter
from smrdsl.spec.wiring import Node


class Labels:
    """The labelled nodes of a model, by label and by the paths from which each can be seen."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._beside: dict[tuple[str, tuple[str, ...]], list[Node]] = {}
        self._below: dict[tuple[str, tuple[str, ...]], list[Node]] = {}
        self.names: dict[str, None] = {}
        for n in nodes:
            if n.label:
                self.names[n.label] = None
                prefix = n.place.prefix
                self._beside.setdefault((n.label, prefix), []).append(n)
                for size in range(len(n.place.turn), len(prefix)):
                    self._below.setdefault((n.label, prefix[:size]), []).append(n)

    def nearest(self, label: str, reader: Node) -> list[Node]:
        """The nodes that a label means, at best one. Those in blocks around the reader come before all others."""
        prefix = reader.place.prefix
        for table in (self._beside, self._below):
            for size in range(len(prefix), -1, -1):
                found = [n for n in table.get((label, prefix[:size]), ())[:3] if n is not reader]
                if found:
                    return found
        return []


def tie_of(n: Node) -> tuple[str, str] | None:
    """The argument by which a node shares a weight, and the label in it."""
    return contract.tie_of(n.params)


def cut_tie(nodes: Mapping[str, Node], gone: Collection[str]) -> tuple[Node, Node] | None:
    """A node that would stay, and the one whose weight it shares, which would be gone."""
    lost = {nodes[key].label for key in gone} - {None}
    readers = [n for n in nodes.values() if n.key not in gone and _label(n) in lost] if lost else []
    labels = Labels(n for n in nodes.values() if n.label in lost) if readers else None
    for n in readers:
        assert labels is not None
        found = labels.nearest(_label(n) or "", n)
        if len(found) == 1 and found[0].key in gone:
            return n, found[0]
    return None


def _label(n: Node) -> str | None:
    tie = tie_of(n)
    return tie[1] if tie else None


def find_ties(nodes: Iterable[Node], report: Report) -> dict[str, str]:
    """For each node that shares a weight, the key of the one that owns it."""
    nodes = tuple(nodes)
    labels = Labels(nodes)
    targets: dict[str, Node] = {}
    for n in nodes:
        if tie_of(n) is not None and (target := _target(n, labels, report)):
            targets[n.key] = target
    ties: dict[str, str] = {}
    for n in nodes:
        owner = _owner(n, targets, report) if n.key in targets else None
        if owner is not None and _fits(n, owner, report):
            ties[n.key] = owner.key
    return ties


def _target(n: Node, labels: Labels, report: Report) -> Node | None:
    """The node that another names by its label."""
    argument, label = tie_of(n) or ("", "")
    span = n.arguments.get(argument, n.span)
    found = labels.nearest(label, n)
    if len(found) == 1:
        return found[0]
    if found:
        related = [Related("one of them", f.span) for f in found[:2]]
        message = f"several steps labelled `{label}` stand equally near"
        report.error("E0403", message, span, related=[*related, *n.place.related()])
    elif label == n.label:
        report.error("E0403", "a step cannot share its own weight", span, related=n.place.related())
    elif label in labels.names:
        message = f"what is labelled `{label}` stands in another repeat, and has a weight for each turn"
        report.error("E0403", message, span, related=n.place.related())
    else:
        hint = report.hint(label, labels.names)
        report.error("E0403", f"no operator is labelled `{label}`{hint}", span, related=n.place.related())
    return None


def _owner(n: Node, targets: Mapping[str, Node], report: Report) -> Node | None:
    """The node at the end of the ties that start at another."""
    seen, owner = {n.key}, targets[n.key]
    while owner.key in targets:
        if owner.key in seen:
            report.error("E0403", "these ties lead back to themselves, and no step has the weight", n.span)
            return None
        seen.add(owner.key)
        owner = targets[owner.key]
    return owner


def _fits(n: Node, owner: Node, report: Report) -> bool:
    """Whether the owner has all that a step shares, of the same shapes; the first that does not fit is reported."""
    if n.type is None or not n.fits or owner.type is None or not owner.fits:
        return False
    found = parameters_of(owner)
    for name, wanted in contract.shared(n.op, n.params, n.input_types, n.type.single()).items():
        if name not in found:
            learns = f"; it learns {', '.join(found)}" if found else ""
            message, what = f"`{owner.op.name}` has no `{name}` to share{learns}", "the step"
        elif wanted.shape != found[name].shape:
            has = f"`{owner.label}` has {found[name].shape}"
            message, what = f"`{n.op.name}` needs a `{name}` {wanted.shape}, {has}", "the shared weight"
        else:
            continue
        report.error("E0403", message, n.span, related=[Related(what, owner.span), *n.place.related()])
        return False
    return True


def parameters_of(node: Node) -> Mapping[str, Parameter]:
    """What a node learns; nothing where a mistake hides its type."""
    if node.type is None or not node.fits:
        return {}
    return node.op.parameters(node.params, node.input_types, node.type.single())
