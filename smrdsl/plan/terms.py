"""Terms: the job that a plan is made for, and what it says of a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_LENGTH = 1024


@dataclass(frozen=True, slots=True)
class Conditions:
    """The job that a plan is made for. `train` has a backward pass; in `decode` a chunk or step follows a state."""

    length: int = DEFAULT_LENGTH
    batch: int = 1
    mode: str = "train"
    dtype: str = "float32"
    device: str = "cpu"
    disabled: tuple[str, ...] = ()
    """Passes that are left out."""
    threads: int = 1
    memory: int | None = None
    """Bytes that the peak has to fit in."""

    @property
    def training(self) -> bool:
        return self.mode == "train"

    @property
    def stateful(self) -> bool:
        """Whether a state goes in."""
        return self.mode == "decode"


@dataclass(frozen=True, slots=True)
class Choice:
    """How one node is executed. `predicted` gives milliseconds for each candidate; the plan may be overruled.

    `memory` gives the bytes that each candidate keeps for the backward pass and uses besides.
    """

    strategy: str
    reason: str
    predicted: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
