"""What SMR adds to a layer: `python -m benchmarks.smr_cost [--threads N] [--seconds S] [--disable PASS ...]`.

For a layer of S4D, of Mega's EMA and of Mamba, width 256, batch 4, float32, forward and with the backward pass, it runs
by turns: the layer alone, with `smr(memory=4)` in front of its core as it is executed, the same without the passes that
are named (by default smr-into-host, so that the gate and its core run one after the other), and the layer with the
plain control, `conv1d(kernel=4)` without a gate. Each figure is the median over the rounds of what that round's run
took more than the layer alone: what the machine does besides falls on both. Process time on one thread, else wall time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping

import torch

import smrdsl
from smrdsl.compiler import compile_text
from smrdsl.runtime.timing import model_work, threads

BATCH, WIDTH, LENGTHS = 4, 256, (1024, 4096)
LAYERS = {
    "s4d layer": "residual { norm(layer)  s4d(state=64)  gelu  glu }",
    "ema layer": "residual { norm(layer)  ema(state=16)  silu  linear(256) }",
    "mamba layer": "residual { norm(rms)  mamba(state=16) }",
}
FRONTS = {"plain": "", "smr": "smr(memory=4)", "conv": "conv1d(kernel=4, init=identity)"}
Work = Callable[[], object]


def model(layer: str, front: str, length: int, training: bool, disable: tuple[str, ...]) -> torch.nn.Module:
    """A layer with something in front of its core."""
    edit = f"place {front} before ssm" if front else ""
    text = f"""
        import "std/mamba.smr"
        model base {{ signal(channels={WIDTH})  {LAYERS[layer]} }}
        model edited extends base {{ {edit} }}
    """
    mode = "train" if training else "infer"
    return compile_text(text, "edited", length=length, batch=BATCH, mode=mode, disable=disable)


def rounds(works: Mapping[str, Work], seconds: float) -> list[dict[str, float]]:
    """Milliseconds of each piece of work in every round, each round in another order."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    for work in works.values():
        work()
    found, names, end = [], list(works), time.perf_counter() + seconds
    while len(found) < 5 or time.perf_counter() < end:
        names.append(names.pop(0))
        times = {}
        for name in names:
            start = clock()
            works[name]()
            times[name] = 1000 * (clock() - start)
        found.append(times)
    return found


def line(layer: str, length: int, training: bool, disable: tuple[str, ...], seconds: float) -> str:
    """One row of the table."""
    u = torch.randn(BATCH, length, WIDTH, requires_grad=training)
    models = {name: model(layer, front, length, training, ()) for name, front in FRONTS.items()}
    models["apart"] = model(layer, FRONTS["smr"], length, training, disable)
    found = rounds({name: model_work(m, u, training=training) for name, m in models.items()}, seconds)
    plain = statistics.median(times["plain"] for times in found)
    more = {name: statistics.median(100 * (times[name] / times["plain"] - 1) for times in found) for name in models}
    what = "training" if training else "forward"
    return (
        f"{layer:12} {what:9} {length:7} {plain:10.1f} {more['smr']:+9.1f} {more['apart']:+9.1f} {more['conv']:+9.1f}"
        f" {len(found):7}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=15.0, help="for each row")
    parser.add_argument("--disable", action="append", metavar="PASS", help="of the second figure; smr-into-host")
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    given = parser.parse_args()
    disable = tuple(given.disable or ["smr-into-host"])
    print(f"smrdsl {smrdsl.__version__}, torch {torch.__version__}, {given.threads} thread(s)")
    print(f"{'':12} {'':9} {'':7} {'':>10} {'added by smr, %':>19} {'by conv1d':>9}")
    print(f"{'':12} {'':9} {'length':>7} {'alone, ms':>10} {'':>9} {'disabled':>9} {'':>9} {'rounds':>7}")
    with threads(given.threads):
        for layer in given.layers:
            for training in (False, True):
                for length in LENGTHS:
                    print(line(layer, length, training, disable, given.seconds), flush=True)


if __name__ == "__main__":
    main()
