"""What all tests share: golden files, which lie beside their inputs and are small enough to read in a review.

`pytest --update-golden` writes them anew; the diff is then the thing to look at.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from smrdsl.plan.calibration import FOLDER

# Workers share the cores already: more threads for small tensors only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Plans must not depend on what the machine of who runs the tests was measured to take.
os.environ[FOLDER] = os.devnull


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """A function of a golden file and the text that should be in it."""
    update = request.config.getoption("--update-golden")

    def compare(path: Path, text: str) -> None:
        if update:
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"{path.name} is missing: run pytest with --update-golden and read what it writes"
        assert text == path.read_text(encoding="utf-8")

    return compare
