"""What SMR costs: layers of ours with `smr(memory=4)` in front of the core, beside the same without.

At first SMR is the identity, so that the outputs are the same.
"""

from __future__ import annotations

from collections.abc import Callable

import smrdsl
from benchmarks.peers.contract import FORWARD, TRAINING, Pair, Peer, Setting, fresh

S4D = "s4d(state=64, copies={width})  gelu  glu"
MAMBA = "mamba(state=16)"
PLACED = "  place smr(memory=4) before ssm"


def with_and_without(text: str) -> Callable[[Setting, int], Pair]:
    """The pair of a layer."""

    def make(setting: Setting, length: int) -> Pair:
        plain = text.format(width=setting.width)
        ours, theirs = (smrdsl.layer(steps, setting.width) for steps in (plain + PLACED, plain))
        missing, unknown = ours.load_state_dict(theirs.state_dict(), strict=False)
        assert not unknown, unknown
        assert all(".smr" in f".{name}" for name in missing), missing
        return Pair(ours, theirs, fresh(theirs))

    return make


def price(percent: float) -> dict[str, float]:
    """The goal that it costs at most so much."""
    return dict.fromkeys((FORWARD, TRAINING), 1 / (1 + percent / 100))


PEERS = (
    Peer("smr-s4d", "SMR before S4D", "without it", with_and_without(S4D), goals=price(10), price=True),
    Peer("smr-mamba", "SMR in Mamba", "without it", with_and_without(MAMBA), goals=price(4), price=True),
)
