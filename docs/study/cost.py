"""Table 9 of the study: what SMR and the linear filter cost in training.

    python -m docs.study.cost [HOST ...] [--rounds 9]

Whole models as table 7 has them, at the width and length of real ones: an update is forward, loss, backward, clipping
and AdamW with the operators' groups, in float32 on one thread. The variants take turns, in another order each round; a
figure is the median over the rounds of what that round's update took more than the host's. Process time, so that what
the machine does besides does not count. Writes results/cost.json.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from docs.study.files import read, write
from docs.study.sampling import one_of
from docs.study.tasks import BLOCKS, IMPORTS, VARIANTS
from smrdsl.compiler import compile_text
from smrdsl.probe.subject import EDITS, HOST

WIDTH, DEPTH, BATCH, LENGTH, VOCAB = 128, 2, 8, 1024, 256
UPDATES = 2
"""In a row, before it is the next variant's turn."""


def updates(host: str, variant: str) -> Callable[[], None]:
    """Some updates of a model that reads bytes."""
    text = f"""{IMPORTS}
        model host(hidden = {WIDTH}) {{
          tokens(vocab={VOCAB}, length={LENGTH})
          embed(hidden)
          repeat {DEPTH} {{ {BLOCKS[host]} }}
          norm(layer)
          linear({VOCAB})
        }}
        model twin extends host {{ {EDITS[variant]} }}"""
    model = compile_text(text, "host" if variant == HOST else "twin", length=LENGTH, batch=BATCH, mode="train")
    optimiser = torch.optim.AdamW(model.parameter_groups(1e-3, 0.01, 1e-3))
    u = torch.randint(VOCAB, (BATCH, LENGTH + 1))

    def run() -> None:
        for _ in range(UPDATES):
            loss = F.cross_entropy(model(u[:, :-1]).flatten(0, 1), u[:, 1:].flatten())
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()

    return run


def measured(host: str, rounds: int) -> dict[str, float]:
    """Milliseconds of an update of the host, and percent more of its twins."""
    works = {variant: updates(host, variant) for variant in VARIANTS}
    for work in works.values():
        work()
    names, found = list(works), []
    for _ in range(rounds):
        names.append(names.pop(0))
        times = {}
        for name in names:
            start = time.process_time()
            works[name]()
            times[name] = time.process_time() - start
        found.append(times)
    own = statistics.median(times[HOST] for times in found)
    more = {v: statistics.median(100 * (t[v] / t[HOST] - 1) for t in found) for v in VARIANTS if v != HOST}
    return {"milliseconds": 1000 * own / UPDATES, **more}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("hosts", nargs="*", type=one_of(BLOCKS), default=[*BLOCKS])
    options.add_argument("--rounds", type=int, default=9)
    o = options.parse_args()
    torch.set_num_threads(1)
    found = read("cost") or {}
    for host in o.hosts:
        found[host] = measured(host, o.rounds)
        print(host, {name: round(value, 1) for name, value in found[host].items()}, file=sys.stderr)
        write("cost", found)


if __name__ == "__main__":
    main()
