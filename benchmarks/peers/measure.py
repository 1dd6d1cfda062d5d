"""A peer's rows: ours and theirs side by side at every length, with what one row of the table tells."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from benchmarks.peers import clock, memory, roofline
from benchmarks.peers.contract import FORWARD, TRAINING, Absent, Pair, Peer, Setting, quiet
from benchmarks.peers.works import apart, work_of

COMPARED = 1024
"""Outputs are compared over so many times at most."""


@dataclass(frozen=True)
class Row:
    """One kind of work at one length with one number of threads. Times are medians in milliseconds."""

    case: str
    layer: str
    peer: str
    work: str
    length: int
    threads: int
    ours: float
    theirs: float | None
    ratio: float | None
    spread: tuple[float, float] | None
    """The quartiles of the ratio over rounds."""
    rounds: int
    price: bool
    apart: float
    strategies: tuple[str, ...]
    goal: float | None = None
    """What the ratio ought to be, with one thread."""
    share: float | None = None
    """Of the roofline, with one thread."""
    scaling: float | None = None
    """With several threads: how many times faster than one, by the wall's clock."""
    shared: float | None = None
    """The same by the processor's time of the first thread."""
    memory: tuple[float | None, float | None] | None = None
    """MiB of ours and theirs."""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Skipped:
    """A peer that was left out, and why."""

    case: str
    peer: str
    why: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Effort:
    """How much is measured: lengths (a peer's own where empty), threads, rounds, seconds a row and a run may take."""

    lengths: Sequence[int] = ()
    threads: Sequence[int] = (1,)
    rounds: int = 9
    seconds: float = 40.0
    limit: float = 60.0
    memory: bool = True


def rows(peer: Peer, setting: Setting, effort: Effort, machine: roofline.Machine) -> Iterator[Row | Skipped]:
    """The rows of a peer, or one `Skipped`."""
    lengths = sorted(effort.lengths or peer.lengths)
    for length in lengths:
        torch.manual_seed(0)
        with quiet():
            try:
                pair = peer.make(setting, length)
            except Absent as absent:
                yield Skipped(peer.name, peer.peer, str(absent))
                return
            difference = apart(pair, setting.width, min(length, COMPARED))
        assert difference < peer.tolerance, f"{peer.name}: outputs are apart by {difference:.0e} at {length}"
        for work in (FORWARD, TRAINING):
            pair.plan(length, setting.batch, work)
            shared = {"case": peer.name, "layer": peer.layer, "peer": peer.peer, "work": work, "length": length}
            shared |= {"price": peer.price, "apart": difference}
            shared["strategies"] = tuple(dict.fromkeys(pair.ours.plan.strategies.values()))
            shared["note"] = why_not(peer, pair, setting, effort, length, work)
            found = timed(pair, setting, effort, length, work, alone=bool(shared["note"]))
            best = roofline.limit(machine, pair.ours, setting.batch, length, work)
            held = None
            if effort.memory and work == TRAINING and length == lengths[-1]:
                able = memory.SIDES[:1] if shared["note"] else memory.SIDES
                found_memory = {side: memory.peak(peer, side, setting, length, 10 * effort.limit) for side in able}
                held = tuple(map(found_memory.get, memory.SIDES))
            for n in effort.threads:
                one = {"goal": peer.goals.get(work), "memory": held} if n == 1 else {}
                yield Row(**shared, **one, **figures(found, n, best))


def timed(
    pair: Pair, setting: Setting, effort: Effort, length: int, work: str, *, alone: bool
) -> dict[str, clock.Reading]:
    """The readings of both sides, or of ours alone, by "side threads"; one thread is always among them."""
    made = {side: work_of(pair, side, setting, length, work) for side in (memory.SIDES[:1] if alone else memory.SIDES)}
    works = {f"{side} {n}": (n, run) for n in sorted({1, *effort.threads}) for side, run in made.items()}
    with quiet():
        return clock.interleaved(works, effort.rounds, effort.seconds)


def figures(found: dict[str, clock.Reading], n: int, best: float) -> dict[str, Any]:
    """What the readings say about n threads; `best` is the time of the roofline for one."""
    ours, theirs, single = found[f"ours {n}"], found.get(f"theirs {n}"), found["ours 1"]
    each = [b / a for a, b in zip(ours.times, theirs.times, strict=True)] if theirs else []
    return {
        "threads": n,
        "ours": ours.median,
        "theirs": theirs.median if theirs else None,
        "ratio": statistics.median(each) if each else None,
        "spread": quartiles(each) if each else None,
        "rounds": len(ours.times),
        "share": best / ours.median if n == 1 else None,
        "scaling": clock.ratio(single.wall, ours.wall) if n > 1 else None,
        "shared": clock.ratio(single.first, ours.first) if n > 1 else None,
    }


def why_not(peer: Peer, pair: Pair, setting: Setting, effort: Effort, length: int, work: str) -> str:
    """Why theirs is not run at this length: it would take too long, or more memory than there is."""

    def shorter(n: int) -> clock.Work:
        return work_of(peer.make(setting, n), "theirs", setting, n, work)

    try:
        with quiet():
            seconds = clock.expected(shorter, length, effort.limit)
            if seconds <= effort.limit:
                work_of(pair, "theirs", setting, length, work)()
    except RuntimeError as error:
        if "allocate memory" not in str(error):
            raise
        return "it runs out of memory"
    return f"one run would take about {seconds:.0f} s" if seconds > effort.limit else ""


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high
