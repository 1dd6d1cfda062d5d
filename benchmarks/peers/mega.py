"""facebookresearch/mega: its moving average with 16 averages a channel, and the SiLU that it ends in.

Of fairseq only the file of the average is loaded, and the one that this imports. It takes (length, batch, width), and
is given a view of the same input. In training mode, as here, it makes its kernel in every run.
"""

from __future__ import annotations

from torch import Tensor

import smrdsl
from benchmarks.peers.contract import FORWARD, TRAINING, Pair, Peer, Setting, from_folder, take

SOURCE = "https://github.com/facebookresearch/mega"
AVERAGES = 16


def ema(setting: Setting, length: int) -> Pair:
    folder, bare = setting.folder("mega", SOURCE), ("fairseq", "fairseq.modules")
    published = from_folder(folder, "fairseq.modules.exponential_moving_average", bare)
    theirs = published.MultiHeadEMA(setting.width, ndim=AVERAGES)
    ours = smrdsl.layer(f"ema(state={AVERAGES})  silu", setting.width)
    take(ours, theirs.state_dict())

    def run(u: Tensor) -> Tensor:
        return theirs(u.transpose(0, 1)).transpose(0, 1)

    return Pair(ours, theirs, run)


PEERS = (Peer("ema", "EMA of Mega", "Mega", ema, goals={FORWARD: 3.5, TRAINING: 8}),)
