"""Symbols: how the constructs of the language that join or change streams are written into a picture.

These are arithmetic, `residual`, `gated`, `parallel` and `bidirectional`, no operators that a person adds, so
each has its sign here: + or × in a small circle, and what is done to one of the streams at its line.
"""

from __future__ import annotations

from typing import Any

from smrdsl.ops.contract import Operator, Params

SIGNS = {"add": "+", "sub": "+", "mul": "×", "residual": "+", "gated": "×", "neg": "−", "flip": "reverse"}
MERGES = {"add": "+", "mul": "×"}


def symbol(op: Operator, p: Params) -> str:
    """The text in the circle of a structural node; its name where it has no sign."""
    value: Any = getattr(p, "value", None)
    if op.name == "scale":
        return f"× {value:g}"
    if op.name == "shift":
        return f"+ {value:g}" if value >= 0 else f"− {-value:g}"
    merge: Any = getattr(p, "merge", None)
    return SIGNS.get(op.name) or MERGES.get(merge, merge) or op.name


def note(op: Operator, p: Params, port: int) -> str:
    """What is done to the stream at a port before it is joined; the name of the port of an operator with several."""
    if not op.structural:
        return op.streams[port] if len(op.streams) > 1 else ""
    if port == 0:
        return ""
    if op.name == "sub":
        return "−"
    scale = getattr(p, "scale", 1.0)
    return getattr(p, "act", "") or (f"× {scale:g}" if scale != 1 else "")
