"""doc: texts with places where they may be broken, and how they are set in lines of 100 columns.

A doc is a string, a tuple of docs, or one of the classes below. A `Group` stands on one line if it
fits there, and else all its lines are broken; a group inside it then has its own chance. Comments
take part, since they end their line.

Method: the pretty printer of Wadler, "A prettier printer", 2003, in the form with a stack in place
of laziness.
"""

from __future__ import annotations

from dataclasses import dataclass, field

WIDTH = 100
INDENT = 2
CLINGS = (",", " {", "")
"""What goes in front of the comment that ends the line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line end where the group is broken, else `flat`.

    A hard one breaks its group; `blank` leaves a line free.
    """

    flat: str = " "
    hard: bool = False
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """A space behind a `}` that has its line to itself, else as Line."""


@dataclass(frozen=True, slots=True)
class IfBroken:
    """A text that stands only where the group is broken."""

    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """A comment, at the end of the line or, if `own`, on a line of its own.

    It breaks its groups.
    """

    text: str
    own: bool


@dataclass(frozen=True, slots=True)
class Nest:
    """A part whose lines are indented."""

    doc: Doc
    breaks: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "breaks", breaks(self.doc))


@dataclass(frozen=True, slots=True)
class Group:
    """A part that is set on one line if it may and fits."""

    doc: Doc
    broken: bool = False
    breaks: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "breaks", self.broken or breaks(self.doc))


Doc = str | tuple | Line | Join | IfBroken | Note | Nest | Group


def breaks(doc: Doc) -> bool:
    """Whether a doc cannot stand on one line."""
    match doc:
        case tuple():
            return any(breaks(part) for part in doc)
        case Line():
            return doc.hard or doc.blank
        case Note():
            return True
        case Nest() | Group():
            return doc.breaks
    return False


Work = list[tuple[int, bool, Doc]]
"""What is still to be set, the next one last: indentation, whether lines are broken, doc."""


def render(doc: Doc) -> str:
    """The text of a doc, with an end to its last line."""
    page = _Page()
    work: Work = [(0, True, doc)]
    while work:
        indent, broken, doc = work.pop()
        match doc:
            case str():
                page.text(doc, indent)
            case tuple():
                work.extend((indent, broken, part) for part in reversed(doc))
            case Nest():
                work.append((indent + INDENT, broken, doc.doc))
            case Group():
                flat = not doc.breaks and fits(WIDTH - page.column(indent), doc.doc, work)
                work.append((indent, not flat, doc.doc))
            case Note():
                page.note(doc, indent)
            case IfBroken():
                page.text(doc.text if broken else "", indent)
            case Line() if broken:
                page.newline(indent, doc.blank)
            case Line():
                page.text(doc.flat, indent)
            case Join() if broken and not page.at_brace:
                page.newline(indent, blank=False)
            case Join():
                page.text(" ", indent)
    return page.finish()


def fits(room: int, doc: Doc, work: Work) -> bool:
    """Whether a doc, flat, and what follows up to the next line end, have room."""
    todo: list[tuple[bool, Doc]] = [(False, doc)]
    later = len(work)
    while room >= 0:
        if not todo:
            if later == 0:
                return True
            later -= 1
            todo.append(work[later][1:])
        broken, doc = todo.pop()
        match doc:
            case str():
                room -= len(doc)
            case tuple():
                todo.extend((broken, part) for part in reversed(doc))
            case Nest() | Group():
                todo.append((broken, doc.doc))
            case Line() | Join() if broken:
                return True
            case Note():
                return True
            case Line():
                room -= len(doc.flat)
            case Join():
                room -= 1
            case IfBroken():
                room -= len(doc.text) if broken else 0
    return False


class _Page:
    """The lines so far, and the one that is being written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.indent = 0
        """Of the line, which gets it with its first text."""
        self.ended: str | None = None
        """The comment that ends the line, as soon as nothing more clings to what is before it."""

    def column(self, indent: int) -> int:
        if self.ended is not None:
            return indent + INDENT
        return len(self.line) if self.line else self.indent

    @property
    def at_brace(self) -> bool:
        return self.ended is None and self.line.strip() == "}"

    def text(self, text: str, indent: int) -> None:
        if self.ended is not None and (self.is_note or text not in CLINGS):
            self.newline(self.indent if self.is_note else indent + INDENT, blank=False)
        if not self.line:
            text = text.lstrip(" ")
        self.line += " " * self.indent * (not self.line and bool(text)) + text

    @property
    def is_note(self) -> bool:
        """Whether the line holds nothing but a comment."""
        return not self.line and self.ended is not None

    def note(self, note: Note, indent: int) -> None:
        if self.ended is not None:
            self.newline(self.indent if self.is_note else indent + INDENT, blank=False)
        elif note.own and self.line:
            self.newline(indent + INDENT, blank=False)
        self.ended = note.text

    def newline(self, indent: int, blank: bool) -> None:
        line = self.line.rstrip(" ")
        if self.ended is not None:
            line = f"{line}  {self.ended}" if line else " " * self.indent + self.ended
        self.lines.append(line)
        if blank:
            self.lines.append("")
        self.line, self.indent, self.ended = "", indent, None

    def finish(self) -> str:
        if self.line or self.ended is not None:
            self.newline(0, blank=False)
        return "\n".join([*self.lines, ""])
