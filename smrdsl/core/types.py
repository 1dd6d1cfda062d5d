"""StreamType: what flows between two steps.

Axes: `B` batch and `L` length are symbolic, the last axis is the width, a number. A pair of sequences flows as one
stream with the batch axis `2B`: rows 2i and 2i + 1 belong together.
"""

from __future__ import annotations

from dataclasses import dataclass

Dim = int | str
PAIRS = "2B"
"""The batch axis of a stream of pairs."""


@dataclass(frozen=True, slots=True)
class StreamType:
    """Shape and kind of a stream. `index` streams hold whole numbers below `vocab`."""

    dims: tuple[Dim, ...]
    kind: str = "real"
    vocab: int | None = None

    @classmethod
    def real(cls, width: int) -> StreamType:
        """A sequence of reals, (B, L, width)."""
        return cls(("B", "L", width))

    @classmethod
    def pooled(cls, width: int) -> StreamType:
        """One vector a sequence, (B, width)."""
        return cls(("B", width))

    @classmethod
    def index(cls, vocab: int) -> StreamType:
        """A sequence of whole numbers below `vocab`, (B, L)."""
        return cls(("B", "L"), "index", vocab)

    @property
    def width(self) -> int:
        """The number of channels; 1 where there is no such axis."""
        last = self.dims[-1]
        return last if isinstance(last, int) else 1

    @property
    def timed(self) -> bool:
        """Whether there is a time axis."""
        return "L" in self.dims

    @property
    def paired(self) -> bool:
        """Whether its rows are pairs."""
        return self.dims[:1] == (PAIRS,)

    @property
    def rows(self) -> int:
        """How many rows one element of the batch has: 2 of a pair."""
        return 2 if self.paired else 1

    def pair(self) -> StreamType:
        """The same of a pair."""
        return StreamType((PAIRS, *self.dims[1:]), self.kind, self.vocab)

    def single(self) -> StreamType:
        """The same of one sequence: what a pair is two of."""
        return StreamType(("B", *self.dims[1:]), self.kind, self.vocab) if self.paired else self

    def with_width(self, width: int) -> StreamType:
        return StreamType((*self.dims[:-1], width), self.kind, self.vocab)

    def __str__(self) -> str:
        shape = ", ".join(str(d) for d in self.dims)
        return f"({shape}) below {self.vocab}" if self.kind == "index" else f"({shape})"
