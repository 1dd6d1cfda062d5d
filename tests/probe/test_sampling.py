"""Sampling: what is compared with what, and what a model cannot be asked."""

from __future__ import annotations

import math

import pytest
import torch

import smrdsl
from smrdsl.core.errors import SmrError
from smrdsl.probe.fit import Recipe
from smrdsl.probe.run import probe_subject
from smrdsl.probe.sampling import (
    BLIND,
    RESCALED,
    TOLD,
    Cell,
    Sampling,
    Score,
    aside,
    cell,
    over_grids,
    rows,
    sampling,
)
from smrdsl.probe.sampling_sentences import sampling_sentences
from smrdsl.probe.subject import CONTROL, HOST, SMR, STEPS, subject_of
from tests.probe.models import SHORT, host, lab, subject

GRIDS = ("clean", "jitter=0.3", "rate=2")


@pytest.fixture(scope="module")
def found() -> Sampling:
    return sampling(lab(host(), seeds=2), [HOST, SMR, CONTROL], GRIDS)


def test_every_variant_is_asked_under_every_clock_that_there_is(found: Sampling) -> None:
    both = [(v, c) for v in (HOST, SMR, CONTROL) for c in (BLIND, TOLD, RESCALED)]
    assert sorted(rows(found)) == sorted([*both, (STEPS, TOLD)])
    assert {s.grid for s in found.scores if s.clock == RESCALED} == {"rate=2"}
    assert len([s for s in found.scores if s.clock == BLIND]) == 3 * 2 * 3
    assert all(s.error is not None and s.error > 0 for s in found.scores)


def test_told_that_all_gaps_are_1_a_model_is_as_blind(found: Sampling) -> None:
    blind, told = (cell(found, HOST, clock, "clean") for clock in (BLIND, TOLD))
    assert blind is not None
    assert told is not None
    assert told.mean == pytest.approx(blind.mean, rel=1e-3)
    assert (blind.paired, blind.wins, blind.losses) == (1.0, 0, 0)


def test_a_known_rate_may_be_told_in_both_ways(found: Sampling) -> None:
    rescaled, told = (cell(found, SMR, clock, "rate=2") for clock in (RESCALED, TOLD))
    assert rescaled is not None
    assert told is not None
    assert rescaled.mean == pytest.approx(told.mean, rel=1e-3)


def test_states_are_followed_for_every_core_and_seed(found: Sampling) -> None:
    assert len(found.states) == 3 * 2 * 2
    assert all(s.held is not None and 0 <= s.held <= 1 and len(s.relative) == SHORT.length for s in found.states)


def made(errors: dict[tuple[str, str], list[float]]) -> Sampling:
    scores = [Score(v, BLIND, i, g, e, 0.0, None) for (v, g), es in errors.items() for i, e in enumerate(es)]
    return Sampling(["clean", "skip=0.1"], scores, [], True, [])


def test_a_cell_is_paired_by_seed() -> None:
    s = made({(HOST, "clean"): [1, 2], (HOST, "skip=0.1"): [2, 8], (SMR, "clean"): [1, 1], (SMR, "skip=0.1"): [1, 16]})
    assert cell(s, SMR, BLIND, "skip=0.1") == Cell(8.5, pytest.approx(10.607, rel=1e-3), 8.5, pytest.approx(1), 1, 1, 2)
    assert cell(s, HOST, BLIND, "skip=0.1") == Cell(5, pytest.approx(4.243, rel=1e-3), 3, 1, 0, 0, 2)
    assert cell(s, CONTROL, BLIND, "clean") is None


def test_sentences_tell_a_null_result_as_one() -> None:
    same = {(v, g): [1.0, 1.0] for v in (HOST, SMR, CONTROL) for g in ("clean", "skip=0.1")}
    told = " ".join(sampling_sentences(made(same), 2, ""))
    assert "SMR multiplies the error by 1 on the uniform grid (0 of 2 seeds better), and by 1 on the 1 others" in told
    assert "better in every seed on none, worse in every seed on none" in told
    assert "lower error than the linear filter on 0 of 2 grids: none" in told


def test_sentences_tell_a_loss_as_plainly_as_a_win() -> None:
    base = {(v, g): [1.0, 1.0] for v in (HOST, CONTROL) for g in ("clean", "skip=0.1")}
    won = base | {(SMR, "clean"): [0.5, 0.5], (SMR, "skip=0.1"): [0.5, 0.5]}
    lost = base | {(SMR, "clean"): [0.5, 0.5], (SMR, "skip=0.1"): [2.0, 2.0]}
    assert "better in every seed on skip=0.1, worse in every seed on none" in " ".join(
        sampling_sentences(made(won), 2, "")
    )
    assert "better in every seed on none, worse in every seed on skip=0.1" in " ".join(
        sampling_sentences(made(lost), 2, "")
    )


def test_of_given_weights_sentences_tell_no_chance() -> None:
    same = {(v, g): [1.0] for v in (HOST, SMR, CONTROL) for g in ("clean", "skip=0.1")}
    trained, given = (" ".join(sampling_sentences(made(same), 1, "", weights)) for weights in (False, True))
    assert "With 1 seed, chance alone" in trained
    assert "chance" not in given
    assert "All variants have the weights of one model" in given


# --- what models cannot be asked


def test_a_model_that_pools_is_asked_how_far_its_output_moves() -> None:
    found = sampling(lab(host(end="pool(mean) linear(3)")), [HOST, SMR], GRIDS)
    assert not found.scored
    assert all(s.error is None for s in found.scores)
    assert all(s.changed is not None for s in found.scores)
    assert all(s.moved == pytest.approx(0, abs=1e-6) for s in found.scores if s.grid == "clean")
    told = " ".join(sampling_sentences(found, 1, "it pools over time"))
    assert "There are no errors on a task: it pools over time" in told
    assert "outputs move by" in told


def test_grids_are_not_defined_for_tokens() -> None:
    text = host(start="tokens(vocab=11)", end="linear(11)").replace("linear(8)\n", "embed(8)\n", 1)
    found = sampling(lab(text), [HOST], GRIDS)
    assert found.scores == []
    assert "no values between the samples" in found.notes[0]


def test_a_core_without_a_step_is_told_as_such() -> None:
    found = sampling(lab(host("lru(state=4)")), [HOST], GRIDS)
    assert {s.clock for s in found.scores} == {BLIND}
    assert "`lru` (layers.0.lru) has no step that a gap could scale" in found.notes[0]


def test_a_timed_model_is_asked_blind_too() -> None:
    made = lab(host(start="signal(channels=1, timed=true)"))
    assert made.subject.variants == [HOST, SMR, CONTROL, STEPS]
    found = sampling(made, [HOST, STEPS], GRIDS)
    assert {s.clock for s in found.scores if s.variant == HOST} == {BLIND, TOLD, RESCALED}
    assert {s.clock for s in found.scores if s.variant == STEPS} == {TOLD}


def test_a_gate_that_sees_steps_is_the_plain_one_where_all_of_them_are_1() -> None:
    """With the weights of the plain one; on another grid it is another function."""
    found = sampling(lab(host("smr(init=random) s4d(state=8, dt=0.02..0.4)")), [SMR], GRIDS)
    plain, steps = ({s.grid: s.error for s in found.scores if (s.variant, s.clock) == (v, TOLD)} for v in (SMR, STEPS))
    assert steps["clean"] == pytest.approx(plain["clean"], rel=1e-4)
    assert steps["rate=2"] != pytest.approx(plain["rate=2"], rel=1e-4)


def test_a_pair_and_several_channels_are_no_hindrance() -> None:
    several = sampling(lab(host(start="signal(channels=2)", end="linear(2)")), [HOST], GRIDS)
    assert several.scored
    paired = sampling(lab(host(start="signal(channels=1, pair=true)", end="pool(mean) match linear(2)")), [HOST], GRIDS)
    assert not paired.scored
    assert paired.scores


def test_a_model_with_smr_is_its_own_twin() -> None:
    text = host("smr(memory=4) s4d(state=8)")
    s = subject(text)
    assert s.as_given == SMR
    assert s.variant(SMR) is s.given
    assert [len(s.variant(v).graph) for v in (HOST, SMR, CONTROL)] == [11, 13, 13]
    assert not any("smr" in key for key in s.variant(HOST).graph.keys)


def test_what_does_not_fit_is_told() -> None:
    with pytest.raises(SmrError, match="has no state-space core"):
        subject("model m { signal(channels=1) linear(1) }")
    with pytest.raises(SmrError, match="does not fit the model `m`: it pools over time"):
        probe_subject(subject(host(end="pool(mean) linear(3)")), "sampling", task="osc")
    with pytest.raises(SmrError, match="did you mean `sampling`"):
        probe_subject(subject(host()), "samplng")
    text = "model m(n = 4) { signal(channels=1) s4d(state=n) linear(1) }"
    with pytest.raises(SmrError, match="give them as set="):
        subject_of(smrdsl.compile_text(text, set={"n": 6}))


def test_a_model_in_hand_is_probed_with_its_weights() -> None:
    model = smrdsl.compile_text("model m(n = 4) { signal(channels=1) s4d(state=n) linear(1) }", set={"n": 6}, seed=3)
    found = smrdsl.probe(model, "insert", set={"n": 6}, task="next", recipe=SHORT)
    assert found.about.weights == "the model in hand"
    assert found.insert is not None
    assert found.insert.insertions[0].exact


def test_a_timed_model_is_held_against_its_host_as_both_are_told_the_gaps() -> None:
    found = sampling(lab(host(start="signal(channels=1, timed=true)"), seeds=1), [HOST, SMR], GRIDS)
    assert found.clock == TOLD
    told, blind, twin = (cell(found, *row, "rate=2") for row in ((HOST, TOLD), (HOST, BLIND), (SMR, TOLD)))
    assert told is not None
    assert blind is not None
    assert twin is not None
    assert told.paired == 1
    assert blind.paired == pytest.approx(blind.mean / told.mean)
    assert twin.paired == pytest.approx(twin.mean / told.mean)
    assert "Not telling the cores the gaps, without training anew" in " ".join(sampling_sentences(found, 1, ""))
    assert aside(found, HOST, TOLD) == ""
    assert aside(found, HOST, BLIND) == ", not told the gaps"


def test_a_gate_that_sees_the_step_as_it_was_written_is_not_trained_twice() -> None:
    text = host("smr(memory=4, steps=true) s4d(state=8)", start="signal(channels=1, timed=true)")
    assert subject(text).variants == [HOST, SMR, CONTROL]


def test_edits_are_what_makes_a_variant_of_what_was_written() -> None:
    bare, has = subject(host()), subject(host("smr(memory=4) s4d(state=8)"))
    assert [bare.edit(v) for v in (HOST, SMR)] == ["", "place smr(memory=4) before ssm"]
    assert [has.edit(v) for v in (HOST, SMR)] == ["remove smr", ""]
    assert has.edit(CONTROL).startswith("remove smr  place conv1d(")


def test_outputs_that_are_not_finite_are_told_and_not_counted() -> None:
    made = lab(host(end="linear(1)"), recipe=Recipe(steps=1, batch=2, length=16))
    trained = made.trained(HOST, 0)
    with torch.no_grad():
        for p in trained.blind.parameters():
            p.mul_(1e30)
    found = sampling(made, [HOST], GRIDS)
    assert any("not finite: the model without SMR on clean" in note for note in found.notes)
    assert cell(found, HOST, BLIND, "clean") is None
    assert next(sampling_sentences(found, 1, "")) == found.notes[0]


def test_over_the_grids_a_clock_that_changes_nothing_counts_as_1() -> None:
    grids = {"clean": [1.0], "skip=0.1": [4.0], "jitter=0.3": [2.0]}
    scores = [Score(HOST, BLIND, 0, g, e, 0.0, None) for g, (e,) in grids.items()]
    scores.append(Score(HOST, RESCALED, 0, "skip=0.1", 1.0, 0.0, None))
    s = Sampling([*grids], scores, [], True, [])
    assert over_grids(s, HOST, RESCALED) == pytest.approx(0.5)  # the root of 1/4 and 1
    assert over_grids(s, SMR, BLIND) is None


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"rate": math.nan}, "learning rate is nan"),
        ({"steps": 0}, "0 steps"),
        ({"length": 8}, "16 to 1024 samples"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(made: dict[str, float], says: str) -> None:
    with pytest.raises(SmrError, match=says):
        Recipe(**made)  # type: ignore[arg-type]


def test_what_cannot_be_asked_for_is_told_before_the_work() -> None:
    with pytest.raises(SmrError, match="--length is at most 256"):
        lab(host(), recipe=Recipe(length=512), task="mg")
    with pytest.raises(SmrError, match="0 seeds"):
        lab(host(), seeds=0)
