"""Us beside published implementations: `python -m benchmarks.peers [CASE ...] [--lengths 1024 4096] [--threads 1 2]`.

Every case has a layer of ours and one of a peer with the same weights, and their outputs are compared first. Then both
run by turns, forward without gradients and forward with backward, in float32 with batch 4 and width 256; decoding is
one step at batch 1 and 32. Figures are medians (of process time with one thread); what counts is their ratio. Our
layers remake their kernels in every run. A peer that is not installed is skipped by name: `pip install smrdsl[peers]`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import smrdsl
from smrdsl.native import describe
from smrdsl.runtime.timing import medians, threads

BATCH, WIDTH = 4, 256
SECONDS = 4.0
NEAR = 1e-4
"""How far outputs may lie apart, relative to the largest."""


@dataclass(frozen=True)
class Pair:
    """A layer of ours and the peer's with the same weights, (B, L, D) -> (B, L, D), and one step of the peer's."""

    name: str
    peer: str
    ours: nn.Module
    theirs: nn.Module
    run: Callable[[Tensor], Tensor]
    """The peer's forward."""
    step: Callable[[int], Callable[[], object]] | None = None
    """Batch -> the peer's step for one sample, with a state of its own."""
    longest: int = 1 << 20
    """Beyond this length the peer's backward pass would take minutes."""


def fresh(layer: nn.Module) -> Callable[[Tensor], Tensor]:
    """A forward that keeps nothing from the last one."""

    def run(u: Tensor) -> Tensor:
        for module in layer.modules():
            if hasattr(module, "memo"):
                module.memo = type(module.memo)()  # type: ignore[assignment]
        return layer(u)

    return run


def s5() -> Pair:
    from s5 import S5

    theirs = S5(WIDTH, state_width=64, bcInit="dense")
    ours, seq = smrdsl.layer("s5(state=64, conj=false)", WIDTH), theirs.seq
    values = {"Lambda_re": seq.Lambda.real, "Lambda_im": seq.Lambda.imag, "B": seq.B, "D": seq.D}
    values |= {"log_step": seq.log_step, "C": torch.view_as_real(seq.C.resolve_conj())}
    ours.load_state_dict({f"s5.{name}": tensor for name, tensor in values.items()})

    def step(batch: int) -> Callable[[], object]:
        u, state = torch.randn(WIDTH), torch.zeros(64, dtype=torch.complex64)
        return lambda: [seq.forward_rnn(u, state) for _ in range(batch)]  # it takes one sequence at a time

    return Pair("S5", "s5-pytorch", ours, theirs, theirs, step)


def mamba_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """The weights of a Mamba block under the published names."""
    get, own = theirs.state_dict(), {name.removeprefix("mamba."): p for name, p in ours.named_parameters()}
    inner = get["in_proj.weight"].shape[0] // 2
    values = {
        "branch.0.linear.weight": get["in_proj.weight"][:inner],
        "branch.1.linear.weight": get["in_proj.weight"][inner:],
        "branch.0.conv1d.weight": get["conv1d.weight"].squeeze(1),
        "branch.0.conv1d.bias": get["conv1d.bias"],
        "branch.0.s6.W_x": get["x_proj.weight"],
        "branch.0.s6.W_dt": get["dt_proj.weight"],
        "branch.0.s6.b_dt": get["dt_proj.bias"],
        "branch.0.s6.A_log": get["A_log"],
        "branch.0.s6.D": get["D"],
        "linear.weight": get["out_proj.weight"],
    }
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)


def our_mamba() -> nn.Module:
    return smrdsl.layer(f"mamba(state=16, dt_rank={WIDTH // 16})", WIDTH)


def mambapy() -> Pair:
    from mambapy.mamba import MambaBlock, MambaConfig

    theirs = MambaBlock(MambaConfig(d_model=WIDTH, n_layers=1))
    ours = our_mamba()
    mamba_weights(ours, theirs)

    def step(batch: int) -> Callable[[], object]:
        u, inner = torch.randn(batch, WIDTH), 2 * WIDTH
        cache = None, torch.zeros(batch, inner, 3)
        return lambda: theirs.step(u, cache)

    return Pair("Mamba", "mambapy", ours, theirs, theirs, step)


def transformers() -> Pair:
    from transformers import MambaConfig
    from transformers.models.mamba.modeling_mamba import MambaMixer

    config = MambaConfig(hidden_size=WIDTH, state_size=16, use_bias=False, num_hidden_layers=1)
    theirs, ours = MambaMixer(config, 0), our_mamba()
    mamba_weights(ours, theirs)
    return Pair("Mamba", "transformers", ours, theirs, theirs, longest=256)


CASES = {"s5": s5, "mambapy": mambapy, "transformers": transformers}


def apart(pair: Pair) -> float:
    """The largest difference of the outputs, relative to the largest."""
    u = torch.randn(2, 130, WIDTH)
    with torch.no_grad():
        wanted = pair.run(u)
        return float((pair.ours(u) - wanted).abs().max() / wanted.abs().max())


def work(layer: nn.Module, run: Callable[[Tensor], Tensor], u: Tensor, backward: bool) -> Callable[[], object]:
    def forward() -> None:
        with torch.no_grad():
            run(u)

    def both() -> None:
        layer.zero_grad()
        run(u).square().mean().backward()

    return both if backward else forward


def compare(pair: Pair, lengths: list[int]) -> None:
    """A line for each kind of work."""
    for length in lengths:
        for backward in (False, True) if length <= pair.longest else (False,):
            u = torch.randn(BATCH, length, WIDTH, requires_grad=backward)
            works = {"ours": work(pair.ours, fresh(pair.ours), u, backward)}
            works |= {"theirs": work(pair.theirs, pair.run, u, backward)}
            tell(pair, f"length {length}, {'forward and backward' if backward else 'forward'}", works)
    for batch in (1, 32) if pair.step else ():
        u, state = torch.randn(batch, WIDTH), pair.ours.initial_state(batch)  # type: ignore[operator]
        ours, theirs = (lambda u=u, s=state: pair.ours.step(u, s)), pair.step(batch)  # type: ignore[misc, operator]
        with torch.no_grad():
            tell(pair, f"one step, batch {batch}", {"ours": repeated(ours), "theirs": repeated(theirs)}, 100)


def repeated(once: Callable[[], object]) -> Callable[[], object]:
    return lambda: [once() for _ in range(100)]


def tell(pair: Pair, what: str, works: dict[str, Callable[[], object]], times: int = 1) -> None:
    found = {name: ms / times for name, ms in medians(works, SECONDS).items()}
    ours, theirs = (f"{1000 * ms:7.1f} us" if times > 1 else f"{ms:7.1f} ms" for ms in found.values())
    ratio = found["theirs"] / found["ours"]
    print(f"  {what:32} ours {ours}   {pair.peer} {theirs}   {ratio:5.1f} times ours", flush=True)


def load(make: Callable[[], Pair], name: str) -> Pair | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return make()
        except ImportError as error:
            print(f"{name}: skipped, {error}")
            return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[[], *CASES], help="by default all")
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    given: Any = parser.parse_args()
    print(f"batch {BATCH}, width {WIDTH}, float32; torch {torch.__version__}; {describe()}")
    for name in given.cases or CASES:
        torch.manual_seed(0)
        pair = load(CASES[name], name)
        if pair is None:
            continue
        difference = apart(pair)
        assert difference < NEAR, f"{name}: outputs are apart by {difference:.0e}"
        for count in given.threads:
            with threads(count):
                print(f"{pair.name}, {count} thread{'s' * (count > 1)} (outputs apart by {difference:.0e})")
                compare(pair, given.lengths)


if __name__ == "__main__":
    main()
