"""The conformance examples, those that are to be refused later too, are texts of the language."""

from __future__ import annotations

from pathlib import Path

import pytest

from smrdsl.syntax.show import show
from tests.syntax.reading import formatted, scanned, well

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").rglob("*.smr"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    file = well(text)
    assert well(show(file)) == file
    once = formatted(text)
    assert well(once) == file
    assert formatted(once) == once
    assert [c.text for c in scanned(once).comments] == [c.text for c in scanned(text).comments]


def test_quickstart_is_canonical() -> None:
    text = next(path for path in EXAMPLES if path.stem == "01_quickstart").read_text(encoding="utf-8")
    assert formatted(text) == text
