"""Result: all that a probe found, as plain data."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from smrdsl.core.errors import Diagnostic, SpecError
from smrdsl.core.write import check_folder, write_whole
from smrdsl.probe.insert import Insert
from smrdsl.probe.nss import Nss
from smrdsl.probe.sampling import Sampling
from smrdsl.probe.stability import Stability
from smrdsl.probe.volterra import Volterra

PAGE, DATA = "report.html", "probe.json"


@dataclass(frozen=True)
class About:
    """What was probed, and how. `trained_here`: the weights come from the recipe; `why_no_error` is empty where errors
    on the task are told."""

    model: str
    file: str
    task: str
    as_given: str
    variants: tuple[str, ...]
    edits: dict[str, str]
    seeds: int
    recipe: dict[str, Any]
    weights: str | None
    trained_here: bool
    why_no_error: str
    timed: bool
    looks_ahead: bool
    version: str
    format: int = 1
    """Of the numbers as JSON, docs/probe.md; within one, keys are only added."""


@dataclass(frozen=True)
class Result:
    """The parts that were asked for; the others are None."""

    about: About
    stability: list[Stability] | None = None
    nss: Nss | None = None
    sampling: Sampling | None = None
    volterra: Volterra | None = None
    insert: Insert | None = None

    def as_dict(self) -> dict[str, Any]:
        """What a program reads."""
        return asdict(self)

    def as_json(self) -> str:
        return json.dumps(_finite(self.as_dict()), indent=1)

    def page(self) -> str:
        """The report, one page without anything to load. Needs matplotlib."""
        from smrdsl.probe.report import page

        return page(self)

    def save(self, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
        """Write the page and the numbers into a folder, and give their paths. Raises `SpecError` (E0604)."""
        place = made_folder(folder)
        text, data = self.page(), self.as_json()
        write_whole(place / PAGE, text.encode())
        write_whole(place / DATA, data.encode())
        return place / PAGE, place / DATA


def made_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder of a probe: a new or empty one, or one of an earlier probe. Raises `SpecError` (E0604)."""
    place = Path(folder)
    check_folder(place, lambda found: (found / DATA).is_file() and not (found / PAGE).is_dir())
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return place
    except OSError as error:
        message = f"cannot write into {place}: {error.strerror or error}"
        raise SpecError([Diagnostic("E0604", message, file=str(place))]) from None


def _finite(value: Any) -> Any:
    """JSON has no numbers that are not finite."""
    match value:
        case dict():
            return {k: _finite(v) for k, v in value.items()}
        case list() | tuple():
            return [_finite(v) for v in value]
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
    return value
