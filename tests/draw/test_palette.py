"""Palette: text and lines stand out, and families are told apart with every kind of colour vision."""

import itertools

import pytest

from smrdsl.draw.palette import BYPASS, FLOW, FRAME, INKS, INNER_FRAME, PAGE, QUIET, TITLE, ink_of
from smrdsl.ops.registry import operators

FAMILIES = ("input", "ssm", "smr", "mixer", "norm", "act", "other")
VISION = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "no red": ((0.152, 1.053, -0.205), (0.115, 0.786, 0.099), (-0.004, -0.048, 1.052)),
    "no green": ((0.367, 0.861, -0.228), (0.280, 0.673, 0.047), (-0.012, 0.043, 0.969)),
    "no blue": ((1.256, -0.077, -0.179), (-0.078, 0.931, 0.148), (0.005, 0.691, 0.304)),
}
"""Linear RGB as people see it who lack a kind of cone: Machado et al. 2009, table 1, severity 1."""


def linear(colour: str) -> list[float]:
    """sRGB to linear RGB."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def contrast(one: str, other: str) -> float:
    """The ratio of luminances, WCAG 2.1."""
    dark, light = sorted(
        sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(x), strict=True)) for x in (one, other)
    )
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: list[float]) -> tuple[float, float, float]:
    """CIE L*a*b* of linear RGB, white D65."""
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [
        sum(w * c for w, c in zip(row, rgb, strict=True)) / white
        for row, white in zip(rows, (0.9505, 1, 1.089), strict=True)
    ]
    x, y, z = (max(v, 0) ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, seen) -> float:
    """Distance of two colours in L*a*b*, as someone sees them; 2.3 can just be told apart."""
    a, b = (lab([sum(w * c for w, c in zip(row, linear(x), strict=True)) for row in seen]) for x in (one, other))
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) ** 0.5


@pytest.mark.parametrize("name", INKS)
def test_text_and_lines_stand_out(name):
    ink = INKS[name]
    assert contrast(ink.text, ink.fill) > 10
    assert contrast(ink.line, PAGE) > 3
    assert contrast(ink.line, ink.fill) > 3 or ink.line == ink.fill


@pytest.mark.parametrize("page", [PAGE, FRAME.fill, INNER_FRAME.fill])
def test_headings_and_lines_stand_out_from_the_page(page):
    assert contrast(TITLE, page) > 7
    assert contrast(QUIET, page) > 4.5
    assert min(contrast(FLOW, page), contrast(BYPASS, page)) > 3


@pytest.mark.parametrize("who", VISION)
def test_families_can_be_told_apart(who):
    for one, other in itertools.combinations(FAMILIES, 2):
        a, b = INKS[one], INKS[other]
        apart = max(difference(a.fill, b.fill, VISION[who]), difference(a.line, b.line, VISION[who]))
        assert apart > 10, (one, other)


def test_every_operator_has_its_colour():
    ops = operators()
    names = ("signal", "s4", "smr", "attention", "norm", "gelu", "linear")
    assert [ink_of(ops[name]) for name in names] == ["input", "ssm", "smr", "mixer", "norm", "act", "other"]
