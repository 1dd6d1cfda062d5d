"""Memory and time of training with and without a budget: `python -m benchmarks.memory [--layers N] [--budget 0.4]`.

A stack of blocks is planned free and within a part of what that would take. Each plan trains in a process of its own,
for its peak: bytes of tensors as torch makes them, and the largest resident set, less what was there before the first
step. The time is the median of steps by one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

import smrdsl
from smrdsl.plan.budget import size
from smrdsl.runtime.memory import training_peak

SPEC = """import "std/mamba.smr"
model stack {{
  signal(channels=16)  linear({width})
  repeat {layers} {{ residual {{ norm(rms)  {block} }} }}
  linear(16)
}}"""


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--block", default="mamba")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--budget", type=float, default=0.4, help="of what the free plan is predicted to take")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--bytes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser


def compiled(given: argparse.Namespace, memory: int | None) -> smrdsl.CompiledModel:
    text = SPEC.format(width=given.width, layers=given.layers, block=given.block)
    return smrdsl.compile_text(text, length=given.length, batch=given.batch, mode="train", memory=memory)


def resident() -> int:
    """The largest resident set so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def one(given: argparse.Namespace) -> None:
    """Train a few steps and print what was measured, as JSON."""
    torch.set_num_threads(1)
    model = compiled(given, given.bytes)
    u = torch.randn(given.batch, given.length, 16)
    optimiser = torch.optim.AdamW(model.parameters())
    before = resident()

    def step() -> None:
        optimiser.zero_grad()
        model(u).square().mean().backward()
        optimiser.step()

    times = []
    for _ in range(given.steps):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    grown = resident() - before
    plan, tensors = model.plan, training_peak(model, u)
    print(json.dumps({
        "predicted": plan.memory.peak, "tensors": tensors, "resident": grown, "again": plan.again,
        "seconds": statistics.median(times), "regions": [r.name for r in plan.recompute],
    }))  # fmt: skip


def main() -> None:
    given = options().parse_args()
    if given.one:
        one(given)
        return
    free = compiled(given, None).plan.memory.peak
    found = []
    for budget in (None, int(given.budget * free)):
        command = [sys.executable, "-m", "benchmarks.memory", "--one", *sys.argv[1:]]
        command += [] if budget is None else ["--bytes", str(budget)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        m = json.loads(done.stdout)
        found.append(m)
        print(f"budget {size(budget) if budget else 'none'}: predicted {size(m['predicted'])}, "
              f"tensors {size(m['tensors'])}, resident {size(m['resident'])}, {m['seconds']:.3g} s a step; "
              f"run again: {len(m['regions'])} regions, {m['again'] / 1000:.3g} s predicted", flush=True)  # fmt: skip
    print(f"time with / without: {found[1]['seconds'] / found[0]['seconds']:.2f}; "
          f"tensors {found[1]['tensors'] / found[0]['tensors']:.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
