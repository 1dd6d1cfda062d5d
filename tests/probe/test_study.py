"""The hosts of the study are right, and what was measured is in the page that tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import smrdsl
from smrdsl.probe.subject import CONTROL, HOST, SMR, fit_of, subject_of

HOSTS = Path(__file__).parents[2] / "docs" / "study" / "hosts.smr"


def test_the_hosts_of_the_study_are_right() -> None:
    assert smrdsl.check(HOSTS) == []


@pytest.mark.parametrize("host", ["s4d", "s4", "s5", "s6", "spade", "mega", "s4d_timed"])
def test_every_host_has_its_twins_and_fits_the_tasks(host: str) -> None:
    s = subject_of(HOSTS, f"{host}_host")
    assert fit_of(s.given.graph).fits
    sizes = [len(s.variant(v).graph) for v in (HOST, SMR, CONTROL)]
    assert sizes[1] == sizes[2] == sizes[0] + 2


def test_the_tables_of_the_page_are_what_was_measured() -> None:
    from docs.study.tables import PAGE, TABLES, filled

    page = PAGE.read_text(encoding="utf-8")
    assert filled(page) == page, "run python -m docs.study.tables"
    assert all(f"<!-- {name} -->" in page for name in TABLES)


def test_a_win_counts_only_where_every_seed_has_it() -> None:
    from docs.study.tables import better, paired, tally

    assert tally([[0.5, 0.5], [0.5, 2.0], [2.0, 2.0]]) == "1, 1, 1.00"
    assert paired([1.0, 1.0, 4.0], [2.0, 1.0, 2.0]) == "1.00 (1/3)"
    assert better([0.9, 0.7], [0.8, 0.8], "accuracy") == better([0.7, 0.9], [0.8, 0.8], "bits_per_byte") == 1
