"""S4D's layer beside the published one, in one run: `python -m benchmarks.s4d_forward --s4 FOLDER`.

FOLDER is a checkout of github.com/state-spaces/s4 (it needs einops); without it only our times are printed. Both layers do the
same work with the same weights: core, GELU, linear to twice the width, GLU. Batch 4, width 256, N = 64, float32, one thread, no
gradients; runs are interleaved and the medians of process time compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import smrdsl

WIDTH, STATE, BATCH = 256, 64, 4
LENGTHS = (1024, 4096)


def ours(length: int) -> smrdsl.CompiledModel:
    text = f"model layer {{ signal(channels={WIDTH})  core: s4d(state={STATE}, copies=width)  gelu  mix: glu }}"
    return smrdsl.compile_text(text, mode="infer", length=length, batch=BATCH)


def published(folder: Path) -> nn.Module:
    """The S4D layer of models/s4/s4d.py, whose layout is (batch, width, length)."""
    sys.path.insert(0, str(folder))
    from models.s4.s4d import S4D  # type: ignore[import-not-found]

    return S4D(WIDTH, d_state=STATE, dropout=0.0).eval()


def carry_over(model: smrdsl.CompiledModel, peer: nn.Module) -> None:
    """Give ours the peer's weights; A_imag has the other sign there, and there is no B."""
    kernel, conv = peer.kernel, peer.output_linear[0]
    model.load_state_dict(
        {
            "core.log_dt": kernel.log_dt,
            "core.log_A_real": kernel.log_A_real,
            "core.A_imag": -kernel.A_imag,
            "core.B": torch.tensor([1.0, 0.0]).expand(WIDTH, STATE // 2, 2),
            "core.C": kernel.C,
            "core.D": peer.D,
            "mix.weight": conv.weight[..., 0],
            "mix.bias": conv.bias,
        }
    )


def medians(works: dict[str, Callable[[], Tensor]], rounds: int = 9) -> dict[str, float]:
    """Median milliseconds of process time, the works taking turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time()
            work()
            times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(t) for name, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--s4", type=Path, help="a checkout of state-spaces/s4")
    folder = parser.parse_args().s4
    torch.set_num_threads(1)
    peer = published(folder) if folder else None
    print(f"S4D layer, batch {BATCH}, width {WIDTH}, N = {STATE}, one thread, float32, forward")
    for length in LENGTHS:
        torch.manual_seed(0)
        model, u = ours(length), torch.randn(BATCH, length, WIDTH)
        strategy = model.plan.choices["core"].strategy
        with torch.no_grad():
            works: dict[str, Callable[[], Tensor]] = {"smrdsl": lambda: model(u)}  # noqa: B023
            if peer is not None:
                carry_over(model, peer)
                turned = u.transpose(1, 2).contiguous()
                works["state-spaces/s4"] = lambda: peer(turned)[0]  # noqa: B023
                apart = (model(u) - works["state-spaces/s4"]().transpose(1, 2)).abs().max().item()
                assert apart < 1e-3, f"the outputs differ by {apart}"
            found = medians(works)
        line = "  ".join(f"{name} {ms:.1f} ms" for name, ms in found.items())
        ratio = f"  ratio {found['state-spaces/s4'] / found['smrdsl']:.1f}" if peer is not None else ""
        print(f"length {length:5} ({strategy}): {line}{ratio}")
    if peer is None:
        print("the published layer was not timed: name a checkout of state-spaces/s4 with --s4 FOLDER")


if __name__ == "__main__":
    main()
