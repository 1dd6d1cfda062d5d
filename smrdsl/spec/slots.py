"""Slots: what the arguments of an operator take, read from its pydantic model."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from smrdsl.ops.contract import Family, LabelOf, Params, Range
from smrdsl.ops.registry import families


@dataclass(frozen=True, slots=True)
class Slot:
    """What one argument of an operator takes."""

    name: str
    kinds: frozenset[type]
    words: tuple[str, ...]
    label: bool
    required: bool

    def wanted(self) -> str:
        """What is allowed, in words."""
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text",
                 Range: "a range low..high", list: "a list"}  # fmt: skip
        parts = [n for kind, n in names.items() if kind in self.kinds]
        if self.words:
            parts.append(("one of " if len(self.words) > 1 else "") + ", ".join(self.words))
        if self.label:
            parts.append("the label of a step")
        if type(None) in self.kinds:
            parts.append("none")
        return " or ".join(parts)


def _slot(name: str, annotation: Any, metadata: list[Any], required: bool) -> Slot:
    kinds: set[type] = set()
    words: list[str] = []
    marks = list(metadata)

    def walk(a: Any) -> None:
        origin = get_origin(a)
        if origin is Annotated:
            inner, *more = get_args(a)
            marks.extend(more)
            walk(inner)
        elif origin is Literal:
            words.extend(get_args(a))
        elif origin in (Union, types.UnionType):
            for part in get_args(a):
                walk(part)
        else:
            kinds.add(list if origin in (list, tuple) else a)

    walk(annotation)
    family = next((m for m in marks if isinstance(m, Family)), None)
    label = any(isinstance(m, LabelOf) for m in marks)
    if family:
        words.extend(families()[family.name])
    if family or label:
        kinds.discard(str)
    return Slot(name, frozenset(kinds), tuple(words), label, required)


@cache
def slots(params: type[Params]) -> dict[str, Slot]:
    """The arguments of an operator in their positional order."""
    return {name: _slot(name, f.annotation, f.metadata, f.is_required()) for name, f in params.model_fields.items()}
