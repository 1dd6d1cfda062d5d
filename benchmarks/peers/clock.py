"""Clock: pieces of work that take turns, so that what the machine does besides falls on all alike.

What one thread did is told by its processor's time, which sees neither what else runs nor threads of an earlier turn
that still wait for work; what several did by the wall's.
Where other programs use the cores too, the wall tells little: then the processor's time of the first thread alone says
how the work was shared (set OMP_WAIT_POLICY=passive, so that it does not count waiting).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smrdsl.runtime.timing import threads

Work = Callable[[], object]
STEP = 4
"""A probe is so many times shorter than the next."""


@dataclass(frozen=True)
class Reading:
    """Milliseconds of every run of a piece of work: of the wall's clock, and of the first thread."""

    threads: int
    wall: tuple[float, ...]
    first: tuple[float, ...]

    @property
    def times(self) -> tuple[float, ...]:
        return self.first if self.threads == 1 else self.wall

    @property
    def median(self) -> float:
        return statistics.median(self.times)


def once(work: Work, count: int) -> tuple[float, ...]:
    """Milliseconds of one run with so many threads, by each clock."""
    clocks = (time.perf_counter, time.thread_time)
    with threads(count):
        before = [clock() for clock in clocks]
        work()
        return tuple(1000 * (clock() - start) for clock, start in zip(clocks, before, strict=True))


def interleaved(works: Mapping[str, tuple[int, Work]], rounds: int, seconds: float) -> dict[str, Reading]:
    """Every work, each with its number of threads, run by turns: so many rounds, fewer if they take so many seconds.

    The first round warms up; where it has used up all the time, it is what counts.
    """
    start = time.perf_counter()
    found = [{name: once(work, count) for name, (count, work) in works.items()}]
    for _ in range(rounds):
        if time.perf_counter() - start > seconds:
            break
        found.append({name: once(work, count) for name, (count, work) in works.items()})
    counted = found[1:] or found
    runs = {name: tuple(zip(*(one[name] for one in counted), strict=True)) for name in works}
    return {name: Reading(count, *runs[name]) for name, (count, _) in works.items()}


def ratio(above: tuple[float, ...], below: tuple[float, ...]) -> float:
    """How many times as long one work took as another: the median over rounds."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def expected(work_at: Callable[[int], Work], length: int, limit: float) -> float:
    """About how many seconds a run at a length will take, from shorter ones: growth goes on, at least linearly.

    What has a fixed part grows more slowly at first, so that probes go on only until the limit seems to be passed.
    """
    if length < STEP**4:
        return 0.0
    once(work_at(length // STEP**3), 1)
    before = once(work_at(length // STEP**3), 1)[1]
    seconds = 0.0
    for steps in (2, 1):
        now = once(work_at(length // STEP**steps), 1)[1]
        seconds = now * max(STEP, now / before) ** steps / 1000
        if seconds > limit:
            break
        before = now
    return seconds
