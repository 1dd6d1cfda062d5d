"""CoreLayer: what every layer that runs a `Core` does with it; each adds its parameters, and makes the core of them."""

from __future__ import annotations

from torch import Tensor, nn

from smrdsl.kernels import core
from smrdsl.kernels.core import Core, Gap
from smrdsl.kernels.memo import Kept, Memo
from smrdsl.kernels.step_cores import write_bank
from smrdsl.kernels.step_program import Slot, StepProgram, Stream


class CoreLayer(nn.Module):
    """(B, L, H) -> (B, L, H). State: `x` (B, H, numbers of a state), the real parts before the imaginary ones."""

    def __init__(self, strategy: str) -> None:
        super().__init__()
        self.strategy = strategy
        self.memo: Memo[Core] = Memo()

    def forward(
        self, u: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None, lengths: Tensor | None = None
    ) -> Tensor:
        return core.forward(self.bank(), self.strategy, u, rate, dt, lengths)

    def extend(
        self, u: Tensor, x: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return core.extend(self.bank(), self.strategy, u, x, rate, dt)

    def step(self, u: Tensor, x: Tensor, *, rate: Gap | None = None, dt: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return core.step(self.bank(), u, x, rate, dt)

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        return write_bank(program, self.bank(), streams[0], state[0])

    def bank(self) -> Core:
        return self.memo([*self.parameters()], self._make_core)

    def _make_core(self, kept: Kept | None) -> Core:
        """The core of these parameters; `kept` is for what it samples."""
        raise NotImplementedError
