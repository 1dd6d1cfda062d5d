"""Mamba's block beside the implementations that run on a CPU: mamba.py, mamba-minimal and transformers.

All of them have the published names of the weights. transformers runs its loop over time in torch where its kernels for
GPUs are not there; mamba-minimal does too; mamba.py has a parallel scan.
"""

from __future__ import annotations

from torch import nn

import smrdsl
from benchmarks.peers.contract import FORWARD, TRAINING, Pair, Peer, Setting, from_folder, package, take

MINIMAL = "https://github.com/johnma2006/mamba-minimal"
STATE = 16
GOALS = {FORWARD: 6, TRAINING: 8}


def ours_like(theirs: nn.Module, width: int) -> smrdsl.CompiledModel:
    """Our block with the weights of theirs."""
    ours, get = smrdsl.layer(f"mamba(state={STATE}, dt_rank={-(-width // 16)})", width), theirs.state_dict()
    inner = get["in_proj.weight"].shape[0] // 2
    values = {
        "branch.0.linear.weight": get["in_proj.weight"][:inner],
        "branch.1.linear.weight": get["in_proj.weight"][inner:],
        "conv1d.weight": get["conv1d.weight"],
        "conv1d.bias": get["conv1d.bias"],
        "W_x": get["x_proj.weight"],
        "W_dt": get["dt_proj.weight"],
        "b_dt": get["dt_proj.bias"],
        "A_log": get["A_log"],
        "D": get["D"],
        "mamba.linear.weight": get["out_proj.weight"],
    }
    take(ours, values)
    return ours


def mambapy(setting: Setting, length: int) -> Pair:
    there = package("mambapy.mamba")
    theirs = there.MambaBlock(there.MambaConfig(d_model=setting.width, n_layers=1, d_state=STATE))
    return Pair(ours_like(theirs, setting.width), theirs, theirs)


def minimal(setting: Setting, length: int) -> Pair:
    there = from_folder(setting.folder("mamba-minimal", MINIMAL), "model")
    theirs = there.MambaBlock(there.ModelArgs(setting.width, n_layer=1, vocab_size=8, d_state=STATE))
    return Pair(ours_like(theirs, setting.width), theirs, theirs)


def transformers(setting: Setting, length: int) -> Pair:
    there = package("transformers.models.mamba.modeling_mamba")
    config = there.MambaConfig(hidden_size=setting.width, state_size=STATE, use_bias=False, num_hidden_layers=1)
    theirs = there.MambaMixer(config, 0)
    return Pair(ours_like(theirs, setting.width), theirs, theirs)


PEERS = (
    Peer("mambapy", "Mamba block", "mamba.py", mambapy, goals=GOALS, lengths=(1024, 4096, 16384)),
    Peer("mamba-minimal", "Mamba block", "mamba-minimal", minimal, goals=GOALS),
    Peer("transformers", "Mamba block", "transformers", transformers, goals=GOALS),
)
