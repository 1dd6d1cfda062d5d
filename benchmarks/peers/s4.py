"""state-spaces/s4: its S4D layer with native kernels of ours and without, and its S4 layer (diagonal plus low rank).

All are core, GELU, a linear map to twice the width and GLU. Their models/s4 needs einops, scipy and pytorch_lightning.
Without CUDA and pykeops their kernels are sums of complex exponentials or of Cauchy fractions in torch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import smrdsl
from benchmarks.peers.contract import FORWARD, TRAINING, Pair, Peer, Run, Setting, from_folder, take

SOURCE = "https://github.com/state-spaces/s4"
STATE = 64


def s4d(setting: Setting, length: int) -> Pair:
    """Their minimal layer, whose A_imag has the other sign and whose B is 1."""
    folder = setting.folder("s4", SOURCE)
    theirs = from_folder(folder, "models.s4.s4d").S4D(setting.width, d_state=STATE, transposed=False)
    ours = smrdsl.layer(f"s4d(state={STATE}, copies={setting.width})  gelu  glu", setting.width)
    kernel, mix = theirs.kernel, theirs.output_linear[0]
    values = {"log_dt": kernel.log_dt, "log_A_real": kernel.log_A_real, "A_imag": -kernel.A_imag, "C": kernel.C}
    values["B"] = torch.tensor([1.0, 0.0]).expand_as(kernel.C)
    take(ours, values | {"D": theirs.D, "weight": mix.weight, "bias": mix.bias})
    return Pair(ours, theirs, first_of(theirs))


def s4(setting: Setting, length: int) -> Pair:
    """Their full layer. Its C is the plain one until its first run turns it into that of its length."""
    block = from_folder(setting.folder("s4", SOURCE), "models.s4.s4").S4Block
    theirs = block(setting.width, l_max=length, d_state=STATE, mode="dplr", init="legs", transposed=False)
    ours = smrdsl.layer(f"s4(state={STATE}, copies={setting.width})  gelu  glu", setting.width)
    with torch.no_grad():
        dt, a, b, c, p, _ = theirs.layer.kernel._get_params()
    mix = theirs.output_linear[0]
    values = {"log_dt": dt.log(), "log_A_real": (-a.real).log(), "A_imag": -a.imag, "D": theirs.layer.D}
    values |= {name: torch.view_as_real(z.resolve_conj()) for name, z in (("B", b), ("C", c), ("P", p))}
    take(ours, values | {"weight": mix.weight, "bias": mix.bias})
    return Pair(ours, theirs, first_of(theirs))


def first_of(theirs: nn.Module) -> Run:
    """Their forward without the state that it gives too."""

    def run(u: Tensor) -> Tensor:
        return theirs(u)[0]

    return run


PEERS = (
    Peer("s4d", "S4D layer", "state-spaces/s4", s4d, goals={FORWARD: 12, TRAINING: 8}),
    Peer(
        "s4d-torch", "S4D layer, torch alone", "state-spaces/s4", s4d, goals={FORWARD: 5, TRAINING: 3.5}, native=False
    ),
    Peer("s4", "S4 layer (DPLR)", "state-spaces/s4", s4, tolerance=1e-3, goals={FORWARD: 5, TRAINING: 5}),
)
