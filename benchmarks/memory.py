"""Memory and time of training with and without a budget: `python -m benchmarks.memory [--layers N] [--budget 0.4]`.

A stack of blocks is planned free and within a part of what that would take. Each plan trains in a process of its own,
for its peak: bytes of tensors as torch makes them, and by how much the largest resident set grew. Then both run forward
and backward in turns, by one thread.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys

import torch

import smrdsl
from smrdsl.plan.budget import size
from smrdsl.runtime.memory import training_peak
from smrdsl.runtime.timing import medians, model_work

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
    parser.add_argument("--seconds", type=float, default=10.0)
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
    before = resident()
    tensors = training_peak(model, u)
    plan = model.plan
    print(json.dumps({
        "predicted": plan.memory.peak, "tensors": tensors, "resident": resident() - before,
        "again": plan.again / plan.time, "regions": len(plan.recompute),
    }))  # fmt: skip


def times(given: argparse.Namespace, budget: int) -> list[float]:
    """Milliseconds of forward and backward without and with a budget, in turns."""
    torch.set_num_threads(1)
    u = torch.randn(given.batch, given.length, 16)
    works = {memory: model_work(compiled(given, memory), u, training=True) for memory in (None, budget)}
    return list(medians(works, given.seconds).values())


def main() -> None:
    given = options().parse_args()
    if given.one:
        one(given)
        return
    budget = int(given.budget * compiled(given, None).plan.memory.peak)
    for memory in (None, budget):
        command = [sys.executable, "-m", "benchmarks.memory", "--one", *sys.argv[1:]]
        command += [] if memory is None else ["--bytes", str(memory)]
        m = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        taken = ", ".join(f"{name} {size(m[name])}" for name in ("predicted", "tensors", "resident"))
        again = f"{m['regions']} regions run again, predicted {m['again']:.0%} of the time"
        print(f"budget {size(memory) if memory else 'none'}: {taken}; {again}", flush=True)
    free, tight = times(given, budget)
    print(f"forward and backward {free:.4g} ms, within the budget {tight:.4g} ms: {tight / free:.2f}")


if __name__ == "__main__":
    main()
