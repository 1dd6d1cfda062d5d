"""How `embed` computes.

A sequence longer than the table of learned positions is an error, never a wrong position. Whole sequences
are checked by their length. A step has only a counter on the device, and reading it would wait for the
device, so there the table's own bounds check speaks: on the CPU it is told in our words, in compiled code
and on a GPU in torch's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smrdsl.core.errors import SmrError
from smrdsl.core.types import StreamType
from smrdsl.kernels.initial import Draw, fill_normal, fill_xavier
from smrdsl.kernels.step_program import Slot, StepProgram, Stream
from smrdsl.ops.contract import Streams
from smrdsl.ops.embed import EmbedParams, parts

STD = 0.02
LONGEST_WAVE = 10_000.0


class Embed(nn.Module):
    """(B, L) whole numbers -> (B, L, width). State: `position` (B,), how many tokens were seen."""

    def __init__(self, p: EmbedParams, inputs: Streams, output: StreamType) -> None:
        super().__init__()
        assert inputs[0].vocab is not None
        self.vocab, self.width, self.kind = inputs[0].vocab, p.width, p.positions
        self.bands = parts(p, inputs)
        for i, band in enumerate(self.bands):
            self.register_parameter(f"weight_{i}", nn.Parameter(torch.empty(band.size, band.width)))
            self.register_parameter(f"proj_{i}", nn.Parameter(torch.empty(p.width, band.width)))
        self.weight = None if self.bands else nn.Parameter(torch.empty(self.vocab, p.width))
        rows = p.max_length if p.positions == "learned" else None
        self.positions = None if rows is None else nn.Parameter(torch.empty(rows, p.width))

    def reset_parameters(self, draw: Draw) -> None:
        if self.weight is not None:
            fill_normal(self.weight, STD, draw("weight"))
        for i, band in enumerate(self.bands):
            fill_normal(self.get_parameter(f"weight_{i}"), band.width**-0.5, draw(f"weight_{i}"))
            fill_xavier(self.get_parameter(f"proj_{i}"), draw(f"proj_{i}"))
        if self.positions is not None:
            fill_normal(self.positions, STD, draw("positions"))

    def forward(self, tokens: Tensor) -> Tensor:
        if self.kind is None:
            return self._vectors(tokens)
        if self.positions is not None and tokens.shape[1] > self.positions.shape[0]:
            raise SmrError(self._too_long())
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return self._vectors(tokens) + self._position(positions)

    def extend(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        positions = position[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        return self._vectors(tokens) + self._position(positions), position + tokens.shape[1]

    def step(self, token: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        return self._vectors(token) + self._position(position), position + 1

    def write_step(self, program: StepProgram, streams: tuple[Stream, ...], state: tuple[Slot, ...]) -> Stream | None:
        """Neither waves nor bands: a layer of torch's is as good for those."""
        if self.weight is None or self.kind not in (None, "learned"):
            return None
        y = program.gather(streams[0], self.weight, self._no_token())
        if self.positions is None:
            return y
        position = state[0].rows()
        there = program.gather(position, self.positions, self._too_long())
        program.write("count", position)
        return program.add(y, there)

    def _vectors(self, tokens: Tensor) -> Tensor:
        try:
            return F.embedding(tokens, self.weight) if self.weight is not None else self._banded(tokens)
        except IndexError:
            raise SmrError(self._no_token()) from None

    def _no_token(self) -> str:
        return f"embed: a token is not in 0..{self.vocab - 1} (vocab={self.vocab})"

    def _banded(self, tokens: Tensor) -> Tensor:
        """The sum over the bands, in all but one of which a token has zeros."""
        y: Tensor | None = None
        for i, band in enumerate(self.bands):
            first, last = i == 0, i + 1 == len(self.bands)  # open, so that their tables refuse what is no word
            inside = tokens < band.start + band.size if first else tokens >= band.start
            if not first and not last:
                inside = inside & (tokens < band.start + band.size)
            row = torch.where(inside, tokens - band.start, 0)
            vectors = F.embedding(row, self.get_parameter(f"weight_{i}"))
            vectors = torch.where(inside[..., None], vectors, 0.0)
            part = F.linear(vectors, self.get_parameter(f"proj_{i}"))
            y = part if y is None else y + part
        assert y is not None
        return y

    def _position(self, positions: Tensor) -> Tensor:
        """(...) positions -> (..., width)."""
        if self.positions is None:
            weight = self.get_parameter("weight_0" if self.bands else "weight")
            return waves(positions, self.width, weight.dtype)
        try:
            return F.embedding(positions, self.positions)
        except IndexError:
            raise SmrError(self._too_long()) from None

    def _too_long(self) -> str:
        assert self.positions is not None
        limit = self.positions.shape[0]
        return (
            f"embed(positions=learned): the sequence is longer than max_length={limit}, the positions that "
            "were learned; raise max_length or use positions=sinusoidal"
        )


def waves(positions: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Sines and cosines of the positions in turn, (...) -> (..., width)."""
    exact = torch.promote_types(dtype, torch.float32)  # half precision cannot count beyond 2048
    pairs = torch.arange(0, width, 2, device=positions.device, dtype=exact)
    angles = positions[..., None].to(exact) * LONGEST_WAVE ** (-pairs / width)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)[..., :width].to(dtype)
