"""s5-pytorch: S5 with 64 states for all channels, all of them stored."""

from __future__ import annotations

import torch

import smrdsl
from benchmarks.peers.contract import FORWARD, TRAINING, Pair, Peer, Setting, package, take

STATE = 64


def s5(setting: Setting, length: int) -> Pair:
    theirs = package("s5").S5(setting.width, state_width=STATE, bcInit="dense")
    ours, seq = smrdsl.layer(f"s5(state={STATE}, conj=false)", setting.width), theirs.seq
    values = {"Lambda_re": seq.Lambda.real, "Lambda_im": seq.Lambda.imag, "B": seq.B, "D": seq.D}
    take(ours, values | {"log_step": seq.log_step, "C": torch.view_as_real(seq.C.resolve_conj())})
    return Pair(ours, theirs, theirs)


PEERS = (Peer("s5", "S5 core", "s5-pytorch", s5, goals={FORWARD: 3, TRAINING: 3}),)
