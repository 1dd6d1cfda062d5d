"""What a pass gains: `python -m benchmarks.passes PASS [BLOCK ...]` times blocks with it and with `disable=[PASS]`.

    python -m benchmarks.passes pointwise-chains
    python -m benchmarks.passes smr-into-host "smr  s4d(state=64)" --lengths 1024 --mode infer

A block is a text of the language, in a width of 256 and a batch of 4, float32, one thread. Both models have the same
weights and take turns; what is printed are medians of process time, forward and training, without the pass / with it,
and how far apart the outputs are, relative to the largest.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch

import smrdsl
from smrdsl.runtime.timing import medians

BLOCKS = {
    "Mamba": "residual { norm(rms)  mamba(state=16) }",
    "S4": "residual { norm(layer)  s4_block(64) }",
    "Mega": "mega(chunk=128)",
}


def models(text: str, width: int, disabled: str, **options: Any) -> dict[bool, torch.nn.Module]:
    """The block with the pass, and without it."""
    return {on: smrdsl.layer(text, width, disable=[] if on else [disabled], **options) for on in (True, False)}


def work_of(model: torch.nn.Module, u: torch.Tensor, training: bool) -> Callable[[], object]:
    """Forward, or forward and backward to all that is learned and to the input."""

    def forward() -> None:
        with torch.no_grad():
            model(u)

    def train() -> None:
        own = u.detach().requires_grad_()
        y = model(own)
        torch.autograd.grad(y.square().mean(), [own, *model.parameters()], allow_unused=True)

    return train if training else forward


def gain(text: str, length: int, given: argparse.Namespace) -> str:
    """A line for one block at one length."""
    made = models(text, given.width, given.name, length=length, batch=given.batch, mode=given.mode)
    u = torch.randn(given.batch, length, given.width, generator=torch.Generator().manual_seed(0))
    kinds = (False, True) if given.mode == "train" else (False,)
    found = medians({(t, on): work_of(made[on], u, t) for t in kinds for on in (True, False)}, given.seconds)
    with torch.no_grad():
        y, wanted = made[True].eval()(u), made[False].eval()(u)
    apart = ((y - wanted).abs().max() / wanted.abs().max()).item()
    pairs = [(found[t, False], found[t, True]) for t in kinds]
    columns = [f"{without:9.3g} / {with_it:<8.3g} {without / with_it:5.2f}x" for without, with_it in pairs]
    return f"{length:7}  {'   '.join(columns)}   {apart:.0e}"


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("name", metavar="PASS")
    asked.add_argument("blocks", metavar="BLOCK", nargs="*", help="texts, or names of " + ", ".join(BLOCKS))
    asked.add_argument("--lengths", type=int, nargs="+", default=[1024, 4096])
    asked.add_argument("--width", type=int, default=256)
    asked.add_argument("--batch", type=int, default=4)
    asked.add_argument("--mode", choices=("train", "infer"), default="train")
    asked.add_argument("--seconds", type=float, default=8.0, help="for each line")
    given = asked.parse_args()
    torch.set_num_threads(1)
    print(f"{given.name}: milliseconds without / with, forward   and training   outputs apart")
    for block in given.blocks or BLOCKS:
        print(block)
        for length in given.lengths:
            print(gain(BLOCKS.get(block, block), length, given), flush=True)


if __name__ == "__main__":
    main()
