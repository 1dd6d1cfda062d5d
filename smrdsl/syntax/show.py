"""show: a tree to its canonical text, so that `parse(show(tree)) == tree`."""

from __future__ import annotations

from smrdsl.syntax import tree
from smrdsl.syntax.doc import Doc, Group, Join, Line, Nest, Note, render
from smrdsl.syntax.layout import Layout, Plain
from smrdsl.syntax.values import Values


def show(node: tree.Node) -> str:
    """The canonical text of any node of a tree; only that of a file ends its last line."""
    text = render(Printer(Plain()).node(node))
    return text if isinstance(node, tree.File) else text.removesuffix("\n")


class Printer:
    """Sets files, blocks and statements; what is smaller it leaves to `Values`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.values = Values(layout)

    def node(self, node: tree.Node) -> Doc:
        """Any node of a tree."""
        match node:
            case tree.File():
                return self.file(node)
            case tree.Import() | tree.Component() | tree.Model():
                return self.item(node)
            case tree.Block():
                return self.block(node)
            case tree.Arm():
                return self.arm(node)
            case tree.Parameter():
                return self.parameter(node)
            case tree.Argument():
                return self.values.argument(node)
            case tree.Selector():
                return self.values.leaf(node, node.name)
        if isinstance(node, tree.Expression):
            return self.values.value(node)
        return self.statement(node)

    # --- rows

    def gap(self, offset: int, *, flat: str = "", first: bool, apart: bool = False, last: bool = False) -> list[Doc]:
        """What stands before a row at an offset: comments, the line end, the author's blank lines.

        In front of the `first` row there is none, between rows that stand `apart` one at least.
        `last` is the end.
        """
        comments = list(self.layout.comments(offset))
        docs: list[Doc] = []
        if comments and not comments[0].own:
            docs.append(Note(comments.pop(0).text, own=False))
        blanks = [self.layout.blank(start) for start in [*(c.start for c in comments), offset]]
        if first:
            blanks[0] = False
        if apart and not any(blanks):
            blanks[0] = True
        for comment, blank in zip(comments, blanks, strict=False):
            docs += [Line(hard=True, blank=blank), Note(comment.text, own=True)]
        return docs if last else [*docs, Line(flat, blank=blanks[-1])]

    def file(self, node: tree.File) -> Doc:
        """Items, those with a block apart from the others."""
        docs: list[Doc] = []
        before = None
        for item in node.items:
            apart = before is not None and any(isinstance(i, tree.Component | tree.Model) for i in (before, item))
            docs += [*self.gap(item.span.start, first=before is None, apart=apart), self.item(item)]
            before = item
        docs += self.gap(node.span.end, first=before is None, last=True)
        return tuple(docs[1:])

    def block(self, node: tree.Block) -> Doc:
        """A block with the space before it, on one line if it was written so."""
        rows: list[Doc] = []
        for place, statement in enumerate(node.statements):
            flat = "  " if place else " "
            rows += self.gap(statement.span.start, flat=flat, first=place == 0)
            rows.append(self.statement(statement))
        rows += self.gap(node.span.end - 1, first=False, last=True)
        broken = not self.layout.on_one_line(node.span)
        return Group((" {", Nest(tuple(rows)), Line(), "}"), broken)

    # --- items of a file

    def item(self, node: tree.Node) -> Doc:
        values = self.values
        match node:
            case tree.Import():
                alias = (" as ", values.name(node.alias)) if node.alias else ""
                return ("import ", values.value(node.path), alias)
            case tree.Component():
                head = ("component ", values.name(node.name))
                return (*head, self.parameters(node.parameters), self.block(node.block))
            case tree.Model():
                return self.model(node)
        return self.statement(node)

    def model(self, node: tree.Model) -> Doc:
        name = self.values.name(node.name)
        empty = "" if node.parameters is None else "()"
        parameters = self.parameters(node.parameters or ()) or empty
        base: Doc = ""
        if node.base:
            base = (" extends ", self.values.name(node.base), self.values.arguments(node.arguments))
        return ("model ", name, parameters, base, self.block(node.block))

    def parameters(self, parameters: tuple[tree.Parameter, ...]) -> Doc:
        """A list of parameters, nothing if it is empty."""
        if not parameters:
            return ""
        end = self.layout.closing(parameters[-1].span.end)
        return self.values.bracket("(", parameters, self.parameter, ")", end)

    def parameter(self, node: tree.Parameter) -> Doc:
        default = "" if node.default is None else (" = ", self.values.value(node.default))
        return (self.values.name(node.name), default)

    # --- statements

    def statement(self, node: tree.Node) -> Doc:
        values = self.values
        match node:
            case tree.Let():
                return ("let ", values.name(node.name), " = ", values.value(node.value))
            case tree.Require():
                return ("require ", values.value(node.condition), ", ", values.value(node.message))
            case tree.Tap():
                return (values.name(node.name), " := ", values.value(node.flow))
            case tree.SetIt():
                return ("it := ", values.value(node.flow))
            case tree.Step():
                return self.step(node)
            case tree.Branch():
                return ("branch", self.block(node.block))
            case tree.Repeat():
                label, count = self.label(node.label), values.value(node.count)
                index = (" as ", values.name(node.index)) if node.index else ""
                return (label, "repeat ", count, index, self.block(node.block))
            case tree.When():
                return self.when(node)
            case tree.Body():
                return (self.label(node.label), "body")
        return self.edit(node)

    def label(self, label: tree.Name | None) -> Doc:
        return (self.values.name(label), ": ") if label else ""

    def step(self, node: tree.Step) -> Doc:
        label, callee = self.label(node.label), self.values.name(node.callee)
        arguments = self.values.arguments(node.arguments)
        return (label, callee, arguments, self.block(node.body) if node.body else "")

    def when(self, node: tree.When) -> Doc:
        """All arms on one line if they were written so, else each where the one before ends."""
        docs: list[Doc] = [self.label(node.label), self.arm(node.arms[0])]
        for arm in node.arms[1:]:
            trailing, own = self.values.boundary(arm.span.start)
            docs += [trailing, *((Line(hard=True), note) for note in own), Join()]
            docs += ["else " if arm.condition else "else", self.arm(arm)]
        return Group(tuple(docs), broken=not self.layout.on_one_line(node.span))

    def arm(self, node: tree.Arm) -> Doc:
        if node.condition is None:
            return self.block(node.block)
        return ("when ", self.values.value(node.condition), self.block(node.block))

    # --- edits

    def edit(self, node: tree.Node) -> Doc:
        match node:
            case tree.Place():
                step, side = self.step(node.step), f" {node.side} "
                return ("place ", step, side, self.node(node.selector), self.where(node.condition))
            case tree.Replace():
                selector, step = self.node(node.selector), self.step(node.step)
                return ("replace ", selector, " with ", step, self.where(node.condition))
            case tree.Remove():
                return ("remove ", self.node(node.selector), self.where(node.condition))
            case tree.Execute():
                selector, strategy = self.node(node.selector), self.values.name(node.strategy)
                return ("execute ", selector, " as ", strategy, self.where(node.condition))
        raise AssertionError(f"no node of the tree: {node!r}")

    def where(self, condition: tree.Expression | None) -> Doc:
        return "" if condition is None else (" where ", self.values.value(condition))
