"""Every mistake that a spec can hold, as a reader sees it: `err/NAME.smr` beside `err/NAME.err`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from smrdsl.cli.output import as_text
from smrdsl.core.codes import CODES
from smrdsl.spec.resolve import check

HERE = Path(__file__).parent
CASES = sorted((HERE / "err").glob("*.smr"))


def told(case: Path) -> str:
    """All diagnostics of a file as the terminal shows them, with paths from the folder of the cases."""
    text = "\n\n".join(as_text(d, io.StringIO()) for d in check(case)) + "\n"
    return text.replace(f"{HERE}/err/", "").replace(f"{HERE}/", "")


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_case(case: Path, golden) -> None:
    golden(case.with_suffix(".err"), told(case))


@pytest.mark.parametrize("case", CASES, ids=lambda p: p.stem)
def test_case_tells_its_code(case: Path) -> None:
    found = {d.code for d in check(case)}
    assert found, "a case of a mistake tells none"
    if case.stem.startswith("e0"):
        assert case.stem[:5].upper() in found


def test_every_code_of_a_spec_has_a_case() -> None:
    covered = {c.stem[:5].upper() for c in CASES}
    elsewhere = {"E0405", "E0502", "E0601", "E0604", "E0701", "E0704", "E0901"}  # warnings, files, limits, weights
    missing = {c for c in CODES if not c.startswith("E01")} - covered - elsewhere
    assert not missing
