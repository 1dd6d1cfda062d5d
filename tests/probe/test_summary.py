"""The first paragraph of the page: what it says for which numbers."""

from __future__ import annotations

from dataclasses import replace

from smrdsl.probe.result import About, Result
from smrdsl.probe.sampling import BLIND, RESCALED, TOLD, Sampling, Score
from smrdsl.probe.stability import CoreFigures, Stability
from smrdsl.probe.subject import CONTROL, HOST, SMR
from smrdsl.probe.summary import summary

ABOUT = About("m", "m.smr", "next", HOST, (HOST, SMR, CONTROL), {}, 1, {}, None, True, "", False, False, "0")


def stable(*cores: CoreFigures) -> Result:
    return Result(ABOUT, stability=[Stability(HOST, list(cores), [])])


def steady(radius: float) -> CoreFigures:
    return CoreFigures("layers.0.s4d", "s4d", "bank", radius, memory=50.0 if radius < 1 else None)


def errors(**on_skips: float) -> Result:
    """A clean error of 0.2 for all, and these on skips."""
    rows = {"host": (HOST, BLIND), "smr": (SMR, BLIND), "filter": (CONTROL, BLIND), "scaled": (HOST, RESCALED),
            "told": (HOST, TOLD)}  # fmt: skip
    scores = []
    for name, error in on_skips.items():
        variant, clock = rows[name]
        scores += [Score(variant, clock, 0, g, e, 0.0, None) for g, e in (("clean", 0.2), ("skip=0.1", error))]
    return Result(ABOUT, sampling=Sampling(["clean", "skip=0.1"], scores, [], True, []))


def test_it_says_whether_errors_die_out() -> None:
    fades = "Its cores are stable (ρ at most 0.98), where an error fades to 1/e within 50 samples."
    assert summary(stable(steady(0.98))) == fades
    told = summary(stable(steady(0.98), steady(1.01)))
    assert told.startswith("Unstable (ρ of 1 or more): 1 of 2 cores, layers.0.s4d;")
    for most, says in ((0.9, "below 1"), (1.0, "1 and more")):
        assert says in summary(stable(CoreFigures("a", "s6", "selective", factors=(0.1, 0.5, most))))


def test_it_says_what_helps_most() -> None:
    told = summary(errors(host=0.4, smr=0.4, filter=0.44, told=0.1))
    assert "its error is 0.2, on others up to 2 times that (skip=0.1)" in told
    assert "what helps most is cores that are told every gap" in told
    assert "by 0.25 with cores that are told every gap, by 1 with SMR and by 1.1 with a linear filter" in told


def test_it_says_that_nothing_helps_and_that_smr_does_where_it_does() -> None:
    assert "There nothing that was tried helps by 5%." in summary(errors(host=0.4, smr=0.395, filter=0.41))
    assert "what helps most is SMR" in summary(errors(host=0.4, smr=0.3, filter=0.35))


def test_of_a_model_that_learned_nothing_it_says_that() -> None:
    found = errors(host=0.4, smr=0.3)
    assert found.sampling is not None
    scores = [replace(s, error=0.95) for s in found.sampling.scores]
    told = summary(replace(found, sampling=replace(found.sampling, scores=scores)))
    assert told == "It does not do the task next: its error is 0.95, that of a constant 1; train longer (--steps)."


def test_of_given_weights_it_compares_the_model_with_itself() -> None:
    """Twins that nobody trained are no rivals."""
    found = errors(host=0.4, smr=0.3, told=0.2)
    told = summary(replace(found, about=replace(ABOUT, weights="w", trained_here=False)))
    assert "the error of the model as given is multiplied, in the geometric mean, by 0.5 with cores" in told
    assert "SMR" not in told.partition("What SMR or a filter would bring")[0]


def test_of_initial_weights_it_says_that_they_are() -> None:
    found = replace(stable(steady(0.98)), about=replace(ABOUT, trained_here=False))
    assert "All this is of initial weights" in summary(found)


def test_of_what_tells_nothing_of_the_model_it_says_nothing() -> None:
    assert summary(Result(ABOUT)) == ""
