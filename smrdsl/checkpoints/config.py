"""Config: a stranger's config.json, read key by key, so that every refusal names the key and what it holds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smrdsl.core.errors import SmrError
from smrdsl.ops.contract import Range

FILE = "config.json"
LARGEST = 1 << 20
"""Bytes that such a file may have."""
LARGEST_SIZE = 1 << 40
"""No width, depth or state is above that."""


@dataclass(frozen=True, slots=True)
class Config:
    """The keys of a config, or of a part of it. `where` is the file, and the part. null is as good as nothing."""

    where: str
    keys: dict[str, Any]

    def __contains__(self, key: str) -> bool:
        return self.keys.get(key) is not None

    def get(self, key: str, default: Any) -> Any:
        return self.keys[key] if key in self else default

    def refuse(self, key: str, why: str) -> SmrError:
        """What to raise where a key says what cannot be."""
        found = f"`{key}` is {json.dumps(self.keys[key])}" if key in self.keys else f"there is no `{key}`"
        return SmrError(f"{self.where}: {found}; {why}")

    def need(self, key: str, known: object, why: str) -> None:
        """Refuse a key that is given and holds anything but what is known."""
        if key in self and (self.keys[key] != known or isinstance(self.keys[key], bool) != isinstance(known, bool)):
            raise self.refuse(key, why)

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number above 0."""
        value = self.get(key, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST_SIZE:
            raise self.refuse(key, "a whole number above 0 is needed")
        return value

    def real(self, key: str, default: float) -> float:
        """A real number above 0."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.refuse(key, "a number above 0 is needed")
        return float(value)

    def range(self, low: tuple[str, float], high: tuple[str, float]) -> Range:
        """The range between the numbers of two keys, each with its default."""
        ends = self.real(*low), self.real(*high)
        if ends[0] > ends[1]:
            raise self.refuse(low[0], f"that is above {high[0]}, {ends[1]:g}")
        return Range(low=ends[0], high=ends[1])

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, "true or false is needed")
        return value

    def pair(self, key: str, default: tuple[float, float]) -> tuple[float, float]:
        """Two numbers, the second at least the first; infinity is one."""
        value = self.get(key, default)
        numbers = [_number(v) for v in value] if isinstance(value, list | tuple) else []
        if len(numbers) != 2 or None in numbers or not numbers[0] <= numbers[1]:  # type: ignore[operator]
            raise self.refuse(key, "two numbers are needed, the smaller first")
        return numbers[0], numbers[1]  # type: ignore[return-value]

    def part(self, key: str) -> Config:
        """A part of the config, empty where it is not given."""
        value = self.keys.get(key) or {}
        if not isinstance(value, dict):
            raise self.refuse(key, "a part of a config is needed")
        return Config(f"{self.where}: `{key}`", value)


def _number(value: Any) -> float | None:
    """A number; transformers writes infinity as an object."""
    if isinstance(value, dict) and value.get("__float__") == "Infinity":
        return math.inf
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_config(folder: Path) -> Config | None:
    """The config of a checkpoint's folder, None where it has none. Raises `SmrError` where it cannot be read."""
    file = folder / FILE
    if not file.is_file():
        return None
    return Config(str(file), read_json(file, LARGEST))


def read_json(file: Path, largest: int) -> dict[str, Any]:
    """The object that a JSON file holds. Raises `SmrError`: too large, not UTF-8, not JSON, a key twice."""
    try:
        if file.stat().st_size > largest:
            raise SmrError(f"{file} has {file.stat().st_size:,} bytes, more than the {largest:,} that are read")
        found = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as error:
        raise SmrError(f"cannot read {file}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SmrError(f"{file} is no JSON text: {error}") from None
    if not isinstance(found, dict):
        raise SmrError(f"{file} holds no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)} stands there twice")
    return found
