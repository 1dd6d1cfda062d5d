"""Table and text: numbers that can be read, and lines that fit."""

import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smrdsl.draw.table import Line, scaled, table
from smrdsl.draw.text import count, cut, width, wrap

HEADS = ("step", "output", "params")
LINES = [
    Line(("linear(width=64)", "(B, L, 64)", "4,096")),
    Line(("layers.0", "", "64"), strong=True),
    Line(("  mix: attention(heads=4, window=128, positions=rotary)", "(B, L, 64)", "64")),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999.7, "1 kB"),
        (12_345, "12.3 kB"),
        (4.56e6, "4.56 MB"),
        (2e12, "2 TB"),
        (5e15, "5 PB"),
    ],
)
def test_scaled(number, text):
    assert scaled(number, "B") == text


def test_without_a_terminal_nothing_is_cut_or_coloured():
    assert table(HEADS, LINES, io.StringIO()).splitlines() == [
        "step                                                     output      params",
        "linear(width=64)                                         (B, L, 64)   4,096",
        "layers.0                                                                 64",
        "  mix: attention(heads=4, window=128, positions=rotary)  (B, L, 64)      64",
    ]


def test_on_a_terminal_names_are_wrapped_and_sums_bold(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert table(HEADS, LINES, Terminal()).splitlines() == [
        "\033[1mstep                            output      params\033[0m",
        "linear(width=64)                (B, L, 64)   4,096",
        "\033[1mlayers.0                                        64\033[0m",
        "  mix: attention(heads=4,       (B, L, 64)      64",
        "      window=128,",
        "      positions=rotary)",
    ]


def test_no_color_is_heeded(monkeypatch):
    monkeypatch.setitem(os.environ, "NO_COLOR", "1")
    assert "\033" not in table(HEADS, LINES, Terminal())


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text("abc=_", min_size=1, max_size=25), max_size=8))
def test_wrapped_parts_are_all_there_and_fit(parts):
    lines = wrap(parts, 20)
    assert all(len(line) <= 21 for line in lines)
    assert " ".join(lines) == ", ".join(cut(part, 20) for part in parts)


def test_widths_are_those_of_the_letters():
    assert width("iiii", 10) < width("xxxx", 10) < width("WWWW", 10) < width("漢字漢字", 10)
    assert width("x", 20) == 2 * width("x", 10)


def test_count():
    assert [count(n, "step") for n in (0, 1, 2000)] == ["0 steps", "1 step", "2,000 steps"]
