"""An S4D layer against the one of state-spaces/s4: `python -m benchmarks.s4d_forward --s4 DIR [--backward]`.

DIR is a checkout of https://github.com/state-spaces/s4, whose models/s4/s4d.py needs einops; without it only ours is
timed. Both layers are core, GELU, linear to twice the width and GLU, with the same weights and the same output.
Batch 4, width 256, N = 64, float32, one thread; the two run by turns, and figures are medians of process time.
Without gradients our core keeps its kernel while its parameters stay as they are, which the published layer does not:
the ratio is of layers that both make their kernel, and what a kept one takes is told beside it.

`--strategies` prints instead what each way to run costs with nothing kept, for widths 256 and 64.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.types import StreamType
from smrdsl.kernels.memo import Memo
from smrdsl.ops.registry import operators

BATCH, WIDTH, STATE = 4, 256, 64
LENGTHS = (64, 256, 1024, 4096, 16384)
LONGEST_LOOP = 1024
"""Beyond it a loop in Python is far behind; its time is proportional to the length."""

Work = Callable[[Tensor], Tensor]


def core(width: int, copies: int = 1) -> nn.Module:
    """Our `s4d` with its initial values."""
    op, stream = operators()["s4d"], (StreamType.real(width),)
    p = op.params(state=STATE, copies=copies)
    layer = op.load_layer()(p, stream, op.infer(p, stream))
    layer.reset_parameters(lambda name: torch.Generator().manual_seed(len(name)))
    return layer


class Ours(nn.Module):
    """(B, L, H) -> (B, L, H)."""

    def __init__(self) -> None:
        super().__init__()
        self.core = core(WIDTH, copies=WIDTH)
        self.mix = nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, u: Tensor) -> Tensor:
        return F.glu(self.mix(F.gelu(self.core(u))))

    def anew(self, u: Tensor) -> Tensor:
        """With nothing kept from the last time."""
        self.core.memo = Memo()
        return self(u)

    @torch.no_grad()
    def take(self, theirs: nn.Module) -> None:
        """The weights of the other layer, whose A_imag has the other sign and whose B is 1."""
        kernel = theirs.kernel
        self.core.log_dt.copy_(kernel.log_dt)
        self.core.log_A_real.copy_(kernel.log_A_real)
        self.core.A_imag.copy_(-kernel.A_imag)
        self.core.B.copy_(torch.tensor([1.0, 0.0]))
        self.core.C.copy_(kernel.C)
        self.core.D.copy_(theirs.D)
        self.mix.weight.copy_(theirs.output_linear[0].weight.squeeze(-1))
        self.mix.bias.copy_(theirs.output_linear[0].bias)


def published(folder: str) -> nn.Module | None:
    """state-spaces/s4's layer, or None with a sentence."""
    sys.path.insert(0, folder)
    try:
        from models.s4.s4d import S4D
    except ImportError as error:
        print(f"cannot import models/s4/s4d.py from {folder} ({error}); timing ours alone")
        return None
    return S4D(WIDTH, d_state=STATE, transposed=False).eval()


def medians(works: dict[str, Work], u: Tensor, *, backward: bool, runs: int) -> dict[str, float]:
    """Milliseconds of each, run by turns."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for round in range(runs + 1):
        for name, work in works.items():
            start = time.process_time()
            with torch.set_grad_enabled(backward):
                y = work(u)
                if backward:
                    y.square().mean().backward()
            if round:  # the first is for warming up
                times[name].append(1000 * (time.process_time() - start))
    return {name: statistics.median(t) for name, t in times.items()}


def compare(theirs: nn.Module | None, *, backward: bool) -> None:
    """One line for each length."""
    ours = Ours().eval()
    works: dict[str, Work] = {"ours": ours.anew}
    if not backward:
        works["kept"] = ours
    if theirs is not None:
        ours.take(theirs)
        works["theirs"] = lambda u: theirs(u)[0]
    for length in (1024, 4096):
        u = torch.randn(BATCH, length, WIDTH, requires_grad=backward)
        found = medians(works, u, backward=backward, runs=7 if length <= 1024 else 3)
        line = f"length {length:5}: ours {found['ours']:7.1f} ms"
        if "kept" in found:
            line += f" ({found['kept']:.1f} with a kept kernel)"
        if theirs is not None:
            with torch.no_grad():
                apart = (ours(u) - works["theirs"](u)).abs().max()
            ratio = found["theirs"] / found["ours"]
            line += f", state-spaces/s4 {found['theirs']:7.1f} ms, ratio {ratio:.1f}, outputs apart by {apart:.0e}"
        print(line, flush=True)


def strategies() -> None:
    """Forward and forward + backward of the core alone, in milliseconds."""
    print("width  length  strategy      forward   and backward")
    for width in (WIDTH, 64):
        layer = core(width)
        for length in LENGTHS:
            u = torch.randn(BATCH, length, width, requires_grad=True)
            for strategy in operators()["s4d"].strategies:
                if strategy == "recurrent" and length > LONGEST_LOOP:
                    continue
                layer.strategy = strategy
                runs = 9 if length <= 1024 else 3

                def anew(u: Tensor, layer: nn.Module = layer) -> Tensor:
                    layer.memo = Memo()
                    return layer(u)

                forward, training = (medians({"": anew}, u, backward=b, runs=runs)[""] for b in (False, True))
                print(f"{width:5}  {length:6}  {strategy:10} {forward:10.2f} {training:14.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--s4", metavar="DIR", help="checkout of state-spaces/s4")
    parser.add_argument("--backward", action="store_true", help="time the backward pass too")
    parser.add_argument("--strategies", action="store_true", help="time the strategies of our core")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.strategies:
        strategies()
        return
    if not given.s4:
        print("no --s4 DIR was given: timing ours alone")
    compare(published(given.s4) if given.s4 else None, backward=given.backward)


if __name__ == "__main__":
    main()
