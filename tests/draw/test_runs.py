"""Runs: repetitions are told as a reader would tell them, and nothing is lost."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smrdsl.draw.runs import runs


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ([], []),
        ([7], [(0, 1, 1)]),
        ([0, 0, 0, 0], [(0, 1, 4)]),
        ([0, 1, 2], [(0, 1, 1), (1, 1, 1), (2, 1, 1)]),
        ([0, 0, 1, 0, 0, 1, 2], [(0, 3, 2), (6, 1, 1)]),
        ([5, 0, 1, 0, 1], [(0, 1, 1), (1, 2, 2)]),
    ],
)
def test_repetitions_are_found(classes, told):
    assert runs(classes) == told


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=40))
def test_unrolled_runs_are_the_sequence(classes):
    unrolled, covered = [], 0
    for start, period, count in runs(classes):
        assert start == covered
        covered += period * count
        unrolled += classes[start : start + period] * count
    assert unrolled == classes


def test_long_sequences_are_quick():
    began = time.perf_counter()
    assert runs([0] * 5000) == [(0, 1, 5000)]
    assert len(runs(list(range(5000)))) == 5000
    assert time.perf_counter() - began < 5
