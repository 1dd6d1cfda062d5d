"""Decode: microseconds a token takes, by a frozen stream, by `model.step` and by the peers that can be stepped.

    python -m benchmarks.decode [CASE ...] [--batch 1 32] [--layers 8] [--rounds 15]

All take turns on one thread; figures are medians of the process's time, ratios medians over rounds. Where a peer has
the same weights, outputs are compared first, over a few samples. A stack of ours shows what a layer takes whose weights
have to come from further away than those of one alone: `stack` is its stream, for each layer.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import smrdsl
from benchmarks.peers.clock import Work, interleaved, ratio
from benchmarks.peers.contract import Absent, Pair, Setting, package, quiet
from benchmarks.peers.mamba import mambapy, transformers
from benchmarks.peers.s5 import s5
from smrdsl.native import describe

WIDTH = 256
MICROSECONDS = 20_000.0
"""About how long a turn is: many steps, so that the clock's own grain does not count."""
COMPARED, NEAR = 20, 1e-4
Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Case:
    """A layer by its steps, as in a spec, and a peer: its pair, and (theirs, batch) -> its step."""

    name: str
    layer: str
    goals: tuple[float, float] = (3.0, 3.0)
    """Times the peer, at batch 1 and above."""
    peer: str = ""
    make: Callable[[Setting, int], Pair] | None = None
    step: Callable[[Any, int], Step] | None = None


def step_s5(theirs: Any, batch: int) -> Step:
    """One sequence at a time is all that it takes."""
    states = [torch.zeros(theirs.seq.Lambda.shape, dtype=torch.complex64) for _ in range(batch)]

    def step(u: Tensor) -> Tensor:
        found = [theirs.seq.forward_rnn(row, state) for row, state in zip(u, states, strict=True)]
        states[:] = [state for _, state in found]
        return torch.stack([y for y, _ in found])

    return step


def step_mambapy(theirs: Any, batch: int) -> Step:
    inner = theirs.config.d_inner
    cache = torch.zeros(batch, inner, theirs.config.d_state), torch.zeros(batch, inner, theirs.config.d_conv - 1)

    def step(u: Tensor) -> Tensor:
        nonlocal cache
        y, cache = theirs.step(u, cache)
        return y

    return step


def step_transformers(theirs: Any, batch: int) -> Step:
    there = package("transformers")
    config = there.MambaConfig(hidden_size=WIDTH, state_size=16, use_bias=False, num_hidden_layers=1)
    cache = there.DynamicCache(config=config)
    return lambda u: theirs(u[:, None], cache_params=cache)[:, 0]


MAMBA = "mamba(state=16, dt_rank=16)"
CASES = (
    Case("s4d", "s4d(state=64)  gelu  glu"),
    Case("s5", "s5(state=64, conj=false)", peer="s5-pytorch", make=s5, step=step_s5),
    Case("mamba", MAMBA, (6.0, 3.0), "mamba.py", mambapy, step_mambapy),
    Case("mamba-transformers", MAMBA, (6.0, 3.0), "transformers", transformers, step_transformers),
    Case("mamba2", "mamba2(state=64)"),
    Case("ema", "ema(state=16)"),
)


def by_steps(model: smrdsl.CompiledModel, batch: int) -> Step:
    state = model.initial_state(batch)

    def step(u: Tensor) -> Tensor:
        nonlocal state
        y, state = model.step(u, state)
        return y

    return step


def stack_of(layer: str, layers: int) -> smrdsl.CompiledModel:
    """So many layers, each beside a way around it."""
    imports = 'import "std/mamba.smr"\nimport "std/mamba2.smr"\n'
    text = f"{imports}model m {{ signal(channels={WIDTH})  repeat {layers} {{ residual {{ norm(rms)  {layer} }} }} }}"
    return smrdsl.compile_text(text, mode="decode")


def repeated(step: Step, u: Tensor, times: int) -> Work:
    @torch.no_grad()
    def work() -> None:
        for _ in range(times):
            step(u)

    return work


def times_of(step: Step, u: Tensor) -> int:
    """How many steps make a turn."""
    for _ in range(3):
        step(u)
    taken = interleaved({"step": (1, repeated(step, u, 5))}, 2, 1.0)["step"].median * 200
    return max(1, round(MICROSECONDS / max(taken, 1.0)))


@torch.no_grad()
def apart(steps: dict[str, Step], batch: int) -> float:
    """The largest difference over a few samples, relative to the largest."""
    us = torch.randn(COMPARED, batch, WIDTH, generator=torch.Generator().manual_seed(1))
    wanted, *others = [torch.stack([step(u) for u in us]) for step in steps.values()]
    return max(float((y - wanted).abs().max() / wanted.abs().max()) for y in others)


@torch.no_grad()
def rows(case: Case, batches: list[int], layers: int, rounds: int) -> Iterator[str]:
    with quiet():
        pair = None if case.make is None else case.make(Setting(width=WIDTH), 1)
    ours = smrdsl.layer(case.layer, WIDTH) if pair is None else pair.ours
    for module in (ours, *([] if pair is None else [pair.theirs])):
        assert isinstance(module, nn.Module)
        module.eval()
    stack = stack_of(case.layer, layers)
    for batch, goal in zip(batches, (case.goals[0], *[case.goals[1]] * len(batches)), strict=False):
        u = torch.randn(batch, WIDTH)
        fresh: dict[str, Callable[[], Step]] = {
            "stream": lambda batch=batch: ours.stream(batch, frozen=True),
            "step": partial(by_steps, ours, batch),
        }
        if pair is not None and case.step is not None:
            fresh["peer"] = partial(case.step, pair.theirs, batch)
        far = apart({name: make() for name, make in fresh.items()}, batch)
        assert far < NEAR, f"{case.name}: outputs are {far:.1e} apart"
        steps = {name: make() for name, make in fresh.items()} | {"stack": stack.stream(batch, frozen=True)}
        times = {name: times_of(step, u) for name, step in steps.items()}
        works = {name: (1, repeated(step, u, times[name])) for name, step in steps.items()}
        found = interleaved(works, rounds, 60.0)
        each = {name: [1000 * t / times[name] for t in found[name].times] for name in steps}
        took = {name: sorted(t)[len(t) // 2] for name, t in each.items()}
        told = f"{took['peer']:9.1f}" if "peer" in took else f"{'-':>9}"
        against = ratio(tuple(each["peer"]), tuple(each["stream"])) if "peer" in each else None
        reached = "" if against is None else f"{against:6.1f}x (goal {goal:g}x)"
        line = f"{case.name:<19}{batch:>5}{took['stream']:9.1f}{took['stack'] / layers:9.1f}{took['step']:9.1f}{told}"
        yield f"{line}  {ratio(tuple(each['step']), tuple(each['stream'])):6.1f}x  {reached:<20}{far:8.0e}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(c.name for c in CASES))
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    unknown = {*given.cases} - {c.name for c in CASES}
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    print(f"{describe()}; microseconds a token, width {WIDTH}, one thread")
    print(f"{'case':<19}batch   stream    stack     step     peer  step/stream  peer/stream            apart")
    for case in CASES:
        if given.cases and case.name not in given.cases:
            continue
        try:
            for line in rows(case, given.batch, given.layers, given.rounds):
                print(line, flush=True)
        except Absent as absent:
            print(f"{case.name:<19}{case.peer} is left out: {absent}")


if __name__ == "__main__":
    main()
