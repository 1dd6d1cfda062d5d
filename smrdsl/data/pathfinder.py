"""pathfinder: two long dashed curves among short ones, and whether two marked ends belong to one curve: two classes.

Generated to the recipe of Linsley et al. 2018 (arXiv 1805.08315; github drewlinsley/pathfinder, `snakes2.py`), which
the Long Range Arena uses: both target curves grow dash by dash from ends that stand near each other; a dash turns by an
angle d with a probability like cos^2 of `continuity` d, up to a right angle; no dash comes nearer to others than a
margin; then distractors of a third of the length; then a disc on one end of a curve and one on the far end of the same
(1) or of the other (0). Pictures are drawn at `size` x `size`, where every dash is a capsule with smooth edges, and
read a row after the other, from 0 to 1. The published pictures are drawn large and scaled down; ours are drawn at their
size, with lengths in proportion of those at 300 x 300, and at least what can still be seen. The arena has curves of 14
dashes with a continuity of 1 at 32 x 32 (about half a second a picture), of 14 with 1.8 at 128 x 128.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from smrdsl.data.cache import cached
from smrdsl.data.contract import Array, Data, DataError, DataSet, Options, Part, Request

VERSION = 2
SIZE = 32
ANGLES = np.arange(-90, 91, 5) * math.pi / 180
TRIES = 4
MOST_TRIES = 3_000
"""Until it is said that no pair of curves finds room."""
BESIDE = 50
"""Tries to grow the second curve, before the first is given up."""
DISTRACTING = 30
"""Dashes of all distractors together."""
Rng = np.random.Generator
Point = Array


class PathfinderOptions(Options):
    size: int | None = Field(default=None, ge=16, le=512, description="Rows and columns; by default the root of the "
                             "model's length, else 32.")  # fmt: skip
    train: int = Field(default=16_000, gt=0, description="How many pictures there are to train on.")
    held_out: int = Field(default=2_000, gt=0, description="How many there are in each of the other two parts.")
    dashes: int = Field(default=6, ge=2, le=18, description="Of a target curve: 6, 9 or 14 in the papers.")
    continuity: float = Field(
        default=1.8, ge=1.0, allow_inf_nan=False, description="How straight curves are; the papers have 1.8."
    )
    seed: int = Field(default=0, ge=0)


@dataclass(frozen=True, slots=True)
class Scale:
    """Lengths in points of the picture; in brackets those of the papers at 300 points."""

    size: int
    dash: float
    thickness: float
    margin: float
    marker: float
    apart: float
    border: float

    @classmethod
    def of(cls, size: int) -> Scale:
        """Small pictures keep dashes that can be told from each other."""
        s, border = size / 300, float(np.interp(size, (128, 300), (1, 22)))  # the arena has 1 at 32 and at 128 points
        return cls(size, max(2.0, 5 * s), max(0.5, 1.0 * s), max(0.8, 3 * s), max(1.25, 5 * s),
                   max(4.0, 27 * s), border)  # fmt: skip


@dataclass
class Curve:
    """The dashes of a curve that grows: where it started, where its last dash ends, and which way that points."""

    dashes: list[tuple[Point, Point]]
    heading: float

    @property
    def start(self) -> Point:
        return self.dashes[0][0]

    @property
    def tip(self) -> Point:
        return self.dashes[-1][1]


class Canvas:
    """Where dashes stand: the distance of every point from the nearest of them."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        grid = np.arange(scale.size) + 0.5
        self.x, self.y = np.meshgrid(grid, grid)
        self.near = np.full((scale.size, scale.size), np.inf)

    def distance(self, a: Point, b: Point) -> Array:
        """Of every point from the line between two points."""
        along = b - a
        length = float(along @ along)
        part = ((self.x - a[0]) * along[0] + (self.y - a[1]) * along[1]) / length if length else 0.0
        part = np.clip(part, 0.0, 1.0)
        return np.hypot(self.x - a[0] - part * along[0], self.y - a[1] - part * along[1])

    def inside(self, p: Point) -> bool:
        low, high = self.scale.border, self.scale.size - self.scale.border
        return bool((p >= low).all() and (p <= high).all())

    def free(self, a: Point, b: Point, near: Array) -> bool:
        """Whether a dash keeps its margin from what stands in `near`."""
        if not (self.inside(a) and self.inside(b)):
            return False
        wide = self.scale.thickness + 0.5
        return not bool(((self.distance(a, b) <= wide) & (near <= wide + self.scale.margin)).any())

    def add(self, curve: Curve) -> None:
        for a, b in curve.dashes:
            self.near = np.minimum(self.near, self.distance(a, b))

    def picture(self, marks: list[Point]) -> Array:
        """Bytes (size * size,): dashes and discs with an edge of one point."""
        ink = np.clip(self.scale.thickness + 0.5 - self.near, 0.0, 1.0)
        for mark in marks:
            ink = np.maximum(ink, np.clip(self.scale.marker + 0.5 - self.distance(mark, mark), 0.0, 1.0))
        return np.round(255 * ink).astype(np.uint8).reshape(-1)


def _towards(p: Point, angle: float, length: float) -> Point:
    return p + length * np.array([math.cos(angle), math.sin(angle)])


def grow(rng: Rng, canvas: Canvas, curve: Curve, near: Array, weights: Array) -> bool:
    """Add a dash behind a gap, if there is room for one among a few draws."""
    scale = canvas.scale
    for _ in range(TRIES):
        heading = curve.heading + float(rng.choice(ANGLES, p=weights))
        a = _towards(curve.tip, curve.heading, 2 * scale.margin)
        b = _towards(a, heading, scale.dash)
        own = np.full_like(near, np.inf)
        for dash in curve.dashes[:-1]:  # the last one is near, as it should be
            own = np.minimum(own, canvas.distance(*dash))
        if canvas.free(a, b, np.minimum(near, own)):
            curve.dashes.append((a, b))
            curve.heading = heading
            return True
    return False


def curve_from(rng: Rng, canvas: Canvas, start: Point, count: int, near: Array, weights: Array) -> Curve | None:
    """A curve of `count` dashes, if there is room for it."""
    heading = float(rng.uniform(0, 2 * math.pi))
    end = _towards(start, heading, canvas.scale.dash)
    if not canvas.free(start, end, near):
        return None
    curve = Curve([(start, end)], heading)
    whole = all(grow(rng, canvas, curve, near, weights) for _ in range(count - 1))
    return curve if whole else None


def picture(rng: Rng, scale: Scale, dashes: int, continuity: float) -> tuple[Array, int]:
    """One picture and its label."""
    turn = np.minimum(np.abs(ANGLES) * continuity, math.pi / 2)
    weights = np.cos(turn) ** 2
    weights = weights / weights.sum()
    for _ in range(MOST_TRIES):
        canvas = Canvas(scale)
        low, high = scale.border, scale.size - scale.border
        start = rng.uniform(low, high, 2)
        first = curve_from(rng, canvas, start, dashes, canvas.near, weights)
        if first is None:
            continue
        canvas.add(first)
        tries = (_towards(start, float(rng.uniform(0, 2 * math.pi)), scale.apart) for _ in range(BESIDE))
        grown = (curve_from(rng, canvas, beside, dashes, canvas.near, weights) for beside in tries)
        second = next((curve for curve in grown if curve is not None), None)
        if second is not None:
            break
    else:
        raise DataError(f"pathfinder: two curves of {dashes} dashes find no room in {scale.size} x {scale.size}: "
                        "ask for fewer dashes or larger pictures")  # fmt: skip
    canvas.add(second)
    short = max(1, dashes // 3)
    for _ in range(DISTRACTING // short):
        for _ in range(TRIES):
            distractor = curve_from(rng, canvas, rng.uniform(low, high, 2), short, canvas.near, weights)
            if distractor is not None:
                canvas.add(distractor)
                break
    label = int(rng.integers(2))
    one, other = (first, second) if rng.integers(2) else (second, first)
    return canvas.picture([one.start, one.tip if label else other.tip]), label


def generate(options: PathfinderOptions, size: int, request: Request) -> Iterator[tuple[Array, int]]:
    """Every picture has a draw of its own, so that a larger set begins with a smaller one."""
    scale, wanted = Scale.of(size), options.train + 2 * options.held_out
    for number in range(wanted):
        if number and number % 2_000 == 0:
            request.tell(f"pathfinder: {number:,} of {wanted:,} pictures")
        yield picture(np.random.default_rng((options.seed, number)), scale, options.dashes, options.continuity)


def load(options: PathfinderOptions, request: Request) -> Data:
    root = math.isqrt(request.length) if request.length else SIZE
    size = options.size or root
    if request.length is not None and size * size != request.length:
        raise DataError(f"pathfinder: no square picture has {request.length} points; say length={size * size}")
    if size < 16:
        raise DataError(f"pathfinder: pictures have at least 16 x 16 points, the length {request.length} has less")

    def make() -> dict[str, Array]:
        request.tell("pathfinder: generating (once: the pictures are kept in the cache folder)")
        pictures, labels = zip(*generate(options, size, request), strict=True)
        return {"u": np.stack(pictures), "y": np.array(labels, dtype=np.int64)}

    kept = cached("pathfinder", options.model_dump() | {"size": size, "version": VERSION}, make)
    u, y = (kept["u"].astype(np.float32) / 255)[:, :, None], kept["y"]
    first, second = len(u) - 2 * options.held_out, len(u) - options.held_out
    train, valid, test = (Part(u[s], y[s]) for s in (slice(first), slice(first, second), slice(second, None)))
    return Data("pathfinder", train, valid, test, classes=2)


DATASET = DataSet("pathfinder", "Dashed curves, generated: whether two ends are of one curve.", load, PathfinderOptions,
                  source="Linsley et al. 2018; Tay et al. 2021, Pathfinder", holds="reals")  # fmt: skip
