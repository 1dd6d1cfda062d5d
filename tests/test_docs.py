"""The documentation is true: its specs compile, and its generated pages are up to date."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import smrdsl
from smrdsl.core.codes import CODES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.stem}-{i}")
    for page in PAGES
    for i, block in enumerate(re.findall(r"```smr\n(.*?)```", page.read_text(encoding="utf-8"), re.S))
]


@pytest.mark.parametrize("text", BLOCKS)
def test_a_spec_in_the_documentation_is_right(text: str) -> None:
    assert smrdsl.check_text(text) == []


def test_the_page_of_errors_is_up_to_date() -> None:
    from docs.generate import errors_page

    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == errors_page(CODES)


def test_the_pages_of_operators_are_up_to_date(tmp_path: Path) -> None:
    from docs.generate import write_operators

    write_operators(tmp_path)
    wanted = {p.name: p.read_text(encoding="utf-8") for p in tmp_path.glob("*.md")}
    found = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "operators").glob("*.md")}
    assert found == wanted


def test_the_page_of_passes_is_up_to_date() -> None:
    from docs.generate import passes_page

    assert (ROOT / "docs" / "passes.md").read_text(encoding="utf-8") == passes_page()


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
