"""The passes in the order in which they run: those that simplify a model, then those that fuse what is executed."""

from __future__ import annotations

from collections.abc import Iterable

from smrdsl.core.errors import SmrError, did_you_mean
from smrdsl.graph.graph import Graph
from smrdsl.passes.both_directions import BothDirections
from smrdsl.passes.contract import PLANNED, Pass, Watch, run_all
from smrdsl.passes.dead_code import DeadCode
from smrdsl.passes.drop_skip import DropSkip
from smrdsl.passes.fold_maps import FoldMaps
from smrdsl.passes.merge_systems import MergeSystems
from smrdsl.passes.pointwise_chains import PointwiseChains
from smrdsl.passes.short_filters import ShortFilters
from smrdsl.passes.siblings import Siblings
from smrdsl.passes.smr_into_host import SmrIntoHost
from smrdsl.plan.plan import Plan

PASSES: tuple[Pass, ...] = (
    DropSkip(),  # first: a skip must not keep dead nodes alive
    DeadCode(),
)
FUSIONS: tuple[Pass, ...] = (
    FoldMaps(),  # first: fewer maps are left to stand side by side
    Siblings(),
    BothDirections(),
    MergeSystems(),
    SmrIntoHost(),
    ShortFilters(),  # behind it: what runs inside of a core's kernel costs least
    PointwiseChains(),  # last: what others fuse is more
)


def passes_without(disabled: Iterable[str]) -> tuple[Pass, ...]:
    """The passes that simplify, but for some, by name. Raises `SmrError` for a name that there is not."""
    names = [p.name for p in (*PASSES, *FUSIONS)]
    disabled = set(disabled)
    for name in sorted(disabled - set(names)):
        raise SmrError(f"no pass `{name}`{did_you_mean(name, names)}; there are {', '.join(names)}")
    return tuple(p for p in PASSES if p.name not in disabled)


def executed(g: Graph, plan: Plan, watch: Watch | None = None) -> Graph:
    """The graph that is executed: with the strategies of the plan, and with fused nodes."""
    wanted = plan.conditions
    passes = [p for p in FUSIONS if p.name not in wanted.disabled and p.fits(wanted)]
    return run_all(g.with_strategies(plan.strategies), passes, watch, PLANNED)
