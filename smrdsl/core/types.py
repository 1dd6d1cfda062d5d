"""StreamType: what flows between two steps.

Axes: `B` batch and `L` length are symbolic, the last axis is the width, a number.
"""

from __future__ import annotations

from dataclasses import dataclass

Dim = int | str


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

    def with_width(self, width: int) -> StreamType:
        return StreamType((*self.dims[:-1], width), self.kind, self.vocab)

    def __str__(self) -> str:
        shape = ", ".join(str(d) for d in self.dims)
        return f"({shape}) below {self.vocab}" if self.kind == "index" else f"({shape})"
