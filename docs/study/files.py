"""Where the study keeps what it measured: JSON beside the scripts, four digits a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def write(name: str, data: Any) -> None:
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(rounded(data), indent=None, separators=(",", ":"))
    (RESULTS / f"{name}.json").write_text(text.replace('},"', '},\n"') + "\n", encoding="utf-8")


def read(name: str) -> Any:
    """What was measured, None where it was not yet."""
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def rounded(value: Any) -> Any:
    match value:
        case dict():
            return {k: rounded(v) for k, v in value.items()}
        case list() | tuple():
            return [rounded(v) for v in value]
        case float():
            return float(f"{value:.4g}")
    return value
