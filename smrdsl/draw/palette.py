"""Palette: a colour for each family, told apart with any kind of colour vision, and text that stands out.

Hues are those of Okabe and Ito, "Color Universal Design" (2008): fills are their tints, lines their shades.
The contrast of text to fill is above 10, of line to fill above 3. No colour stands alone: every box is named.
"""

from __future__ import annotations

from dataclasses import dataclass

from smrdsl.ops.contract import Operator


@dataclass(frozen=True, slots=True)
class Ink:
    """Fill, line and text of a box."""

    fill: str
    line: str
    text: str = "#1a2230"


PAGE = "#ffffff"
TITLE = "#1a2230"
QUIET = "#566173"
FLOW = "#3d4858"
BYPASS = "#828c9a"
FRAME = Ink("#f5f7f9", "#c9d1da", QUIET)
INNER_FRAME = Ink("#ffffff", "#c9d1da", QUIET)

INKS = {
    "input": Ink("#28364a", "#28364a", "#ffffff"),
    "ssm": Ink("#cde3f4", "#0a62a0"),
    "smr": Ink("#fbc9a8", "#b03a00"),
    "mixer": Ink("#efcfe4", "#8d2f70"),
    "norm": Ink("#f8f2c6", "#968600"),
    "act": Ink("#cdeee2", "#00775a"),
    "join": Ink("#ffffff", "#3d4858"),
    "part": Ink("#e4e9ef", "#3d4858"),
    "other": Ink("#ffffff", "#778292"),
}
"""What a box is -> its colours. A core is a mixer too; the first of this order counts."""


def ink_of(op: Operator) -> str:
    """The row of `INKS` for an operator: its family, or `smr`, which is in none."""
    kinds = {*op.families, op.name}
    return next((kind for kind in INKS if kind in kinds), "other")
