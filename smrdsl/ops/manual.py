"""Manual: what the registry knows of an operator, as data and as a page of Markdown.

    python -m smrdsl.ops.manual DIR      writes a page for every operator, and an index

All is read off the declarations: arguments from the pydantic fields; shapes, parameters and state from the
samples. Needs no torch.
"""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from smrdsl.core.write import write_whole
from smrdsl.ops.contract import Family, LabelOf, Operator, Params, Range, Streams, never
from smrdsl.ops.registry import families, operators

KINDS = {int: "whole number", float: "number", bool: "true or false", str: "text", Range: "range low..high"}
BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "multiple_of": "a multiple of"}
ORDER = ("input", "ssm", "mixer", "norm", "act")
"""Families in the order of the manual; what is in none of them comes last."""
OTHER = "other"
EXAMPLES = 3
BY_STEP = "minds the sampling step: `rate`, and `dt` of a timed model"
BY_SAMPLE = "works by sample"


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument: what it takes, in words, and its default as one writes it; None where it must be given."""

    name: str
    takes: str
    default: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Example:
    """A use of the operator, and what follows from it: shapes by name, B and L the axes of batch and time."""

    call: str
    inputs: tuple[str, ...]
    output: str
    parameters: dict[str, str]
    state: dict[str, str]


@dataclass(frozen=True, slots=True)
class Manual:
    """All that is told of one operator."""

    name: str
    summary: str
    signature: str
    families: tuple[str, ...]
    streams: tuple[str, ...]
    arguments: tuple[Argument, ...]
    strategies: tuple[str, ...]
    sampling: str
    looks_ahead: str
    equations: tuple[str, ...]
    source: str
    examples: tuple[Example, ...]


def manual(op: Operator) -> Manual:
    """The manual of an operator."""
    arguments = tuple(_argument(name, field) for name, field in op.params.model_fields.items())
    return Manual(
        name=op.name,
        summary=op.summary,
        signature=_signature(op, arguments),
        families=op.families,
        streams=op.streams,
        arguments=arguments,
        strategies=op.strategies,
        sampling=BY_STEP if op.can_use_step else BY_SAMPLE,
        looks_ahead=_looks_ahead(op),
        equations=tuple(op.equations.splitlines()),
        source=op.source,
        examples=tuple(_example(op, p, inputs) for p, inputs in op.samples[:EXAMPLES]),
    )


def by_family() -> dict[str, list[Operator]]:
    """The operators that one writes as steps, each under its first family, in the order of the manual."""
    table: dict[str, list[Operator]] = {family: [] for family in ORDER}
    for _, op in sorted(operators().items()):
        if not op.structural:
            table.setdefault(op.families[0] if op.families else OTHER, []).append(op)
    table[OTHER] = table.pop(OTHER, [])
    return {family: members for family, members in table.items() if members}


# --- one operator


def written(value: Any) -> str:
    """A value of an argument as it is written in a spec."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _argument(name: str, field: FieldInfo) -> Argument:
    default = None if field.is_required() else written(field.get_default(call_default_factory=True))
    return Argument(name, _takes(field), default, field.description or "")


def _takes(field: FieldInfo) -> str:
    """`a whole number above 0, or none`; `one of layer, rms`; ..."""
    marks = list(field.metadata)
    parts = _parts(field.annotation, marks)
    limits = [(word, getattr(mark, key, None)) for mark in marks for key, word in BOUNDS.items()]
    bounds = [f"{word} {limit:g}" for word, limit in limits if limit is not None]
    for mark in marks:
        if isinstance(mark, Family):
            parts = [f"an operator of the family {mark.name}: {', '.join(families()[mark.name])}"]
        elif isinstance(mark, LabelOf):
            parts = ["the label of a step", "none"]
    return ", or ".join([" ".join(filter(None, (parts[0], " and ".join(bounds)))), *parts[1:]])


def _parts(annotation: Any, marks: list[Any]) -> list[str]:
    """What an annotation allows, in words; marks that are found inside are appended."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        marks.extend(more)
        return _parts(inner, marks)
    if origin is Literal:
        return ["one of " + ", ".join(map(str, get_args(annotation)))]
    if origin in (Union, types.UnionType):
        return [text for part in get_args(annotation) for text in _parts(part, marks)]
    if origin in (list, tuple):
        return ["list of " + _parts(get_args(annotation)[0], [])[0] + "s"]
    return ["none"] if annotation is type(None) else [KINDS.get(annotation, str(annotation))]


def _signature(op: Operator, arguments: tuple[Argument, ...]) -> str:
    streams = op.streams if len(op.streams) > 1 and not op.structural else ()
    parts = [*streams, *(a.name if a.default is None else f"{a.name}={a.default}" for a in arguments)]
    return f"{op.name}({', '.join(parts)})" if parts else op.name


def _looks_ahead(op: Operator) -> str:
    if op.looks_ahead is never:
        return "never"
    answers = {op.looks_ahead(p) for p, _ in op.samples}
    return "depends on its arguments" if len(answers) > 1 else "always" if answers == {True} else "never"


def _example(op: Operator, p: Params, inputs: Streams) -> Example:
    output = op.infer(p, inputs)
    fields = type(p).model_fields
    shown = [f"{k}={written(v)}" for k, v in p if v != fields[k].get_default(call_default_factory=True)]
    state = op.state(p, inputs, output)
    return Example(
        call=f"{op.name}({', '.join(shown)})" if shown else op.name,
        inputs=tuple(map(str, inputs)),
        output=str(output),
        parameters={name: str(q.shape) for name, q in op.parameters(p, inputs, output).items()},
        state={name: str(s.shape).replace("'T'", "T") for name, s in state.items()},
    )


# --- Markdown


def markdown(op: Operator) -> str:
    """The page of an operator."""
    m = manual(op)
    lines = [f"# {m.name}", "", m.summary, "", "```", m.signature, "```", ""]
    if m.arguments:
        lines += ["| argument | takes | default | |", "|---|---|---|---|"]
        lines += [_row(f"`{a.name}`", a.takes, f"`{a.default}`" * bool(a.default), a.description) for a in m.arguments]
        lines += [""]
    if m.equations:
        lines += ["## Equations", "", "```", *m.equations, "```", ""]
    lines += ["## Execution", "", *(f"- {fact}" for fact in facts(m)), ""]
    if m.examples:
        lines += ["## Shapes", "", "`B` is the batch, `L` the length, `T` how many positions were seen.", ""]
        lines += ["| use | streams | parameters | state |", "|---|---|---|---|"]
        lines += [_row(f"`{e.call}`", flow(e), named(e.parameters), named(e.state)) for e in m.examples]
        lines += [""]
    if m.source:
        lines += ["## Source", "", m.source, ""]
    return "\n".join(lines)


def index() -> str:
    """The page that lists the operators by family."""
    lines = ["# Operators", "", "Written by `python -m smrdsl.ops.manual` from the registry.", ""]
    for family, members in by_family().items():
        lines += [f"## {family}", "", "| operator | |", "|---|---|"]
        lines += [_row(f"[{op.name}]({op.name}.md)", op.summary) for op in members]
        lines += [""]
    return "\n".join(lines)


def facts(m: Manual) -> list[str]:
    """How an operator is executed, in sentences."""
    return [
        f"families: {', '.join(m.families) or 'none'}",
        f"strategies: {', '.join(m.strategies) or 'one way only'}",
        f"looks ahead: {m.looks_ahead}",
        f"sampling: {m.sampling}",
    ]


def flow(e: Example) -> str:
    """`(B, L, 8) -> (B, L, 5)`"""
    return f"{', '.join(e.inputs)} -> {e.output}" if e.inputs else e.output


def named(shapes: dict[str, str]) -> str:
    """`weight (5, 8), bias (5,)`"""
    return ", ".join(f"{name} {shape}" for name, shape in shapes.items())


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def write_pages(folder: Path) -> list[Path]:
    """Write the index and a page for every operator; the paths, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {"index": index()} | {op.name: markdown(op) for ops in by_family().values() for op in ops}
    for name, text in pages.items():
        write_whole(folder / f"{name}.md", text.encode())
    return [folder / f"{name}.md" for name in pages]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m smrdsl.ops.manual DIR")
    print(f"{len(write_pages(Path(sys.argv[1])))} pages in {sys.argv[1]}")
