"""Packages: a compiled model as a folder that Python imports, written whole or not at all, loaded as data."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from smrdsl.core.errors import Diagnostic, SmrError, SpecError
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import from_json, to_json
from smrdsl.lowering.layers import make_layers, nest
from smrdsl.plan.plan import Conditions, make_plan
from smrdsl.runtime.conditions import check_mode, conditions
from smrdsl.runtime.model import CompiledModel
from smrdsl.runtime.weights import FILE, Shapes, compare, load_into, read_shapes, shapes_of, write_weights

MARK = "A package compiled by smrdsl."
FILES = {
    "__init__.py", "model.py", FILE, "graph.json", "plan.json", "spec.smr",
    "architecture.svg", "architecture.dot", "report.html", "__pycache__",
}  # fmt: skip
INIT = '''"""{name}. {mark}

    import {folder}
    model = {folder}.load()         # a smrdsl.CompiledModel
"""

from pathlib import Path

import smrdsl


def load(mode: str = "infer") -> smrdsl.CompiledModel:
    """The compiled model with its weights: reads data only, runs no code but smrdsl's."""
    return smrdsl.load(Path(__file__).parent, mode=mode)
'''
TRIES = 100
TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""Of two programs that write to one place at a time, each may find that the other was there first."""


# --- writing


def save_package(model: CompiledModel, folder: str | os.PathLike[str]) -> Path:
    """Write a model as a package. Raises `SpecError` (E0604) where it cannot be written or is not ours.

    It is written beside the folder and then put in its place, so that an old package stays whole until the
    new one is.
    """
    check_target(folder)
    with _told(folder):
        target = Path(os.path.realpath(folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        new = place / "new"
        try:
            new.mkdir()
            if (old := _status(target)) is not None:
                new.chmod(old.st_mode & 0o777)
            _write_files(model, new, Path(os.path.abspath(folder)).name)
            _swap(new, target, place)
        finally:
            _clear(place, new)
    return Path(folder)


def check_target(folder: str | os.PathLike[str]) -> None:
    """Raise `SpecError` unless a package can stand there: a new or empty folder, or a package of ours."""
    if "\0" in os.fspath(folder):
        raise _refusal(folder, "is no path")
    with _told(folder):
        target = Path(os.path.realpath(folder))
        if (seen := _status(target)) is not None:
            try:
                _refuse_others(target, folder)
            except (SpecError, FileNotFoundError):
                now = _status(target)
                if now is not None and os.path.samestat(seen, now):
                    raise
                # Otherwise another program is just replacing it; `_swap` looks again.
            if target == Path.cwd():
                raise _refusal(folder, "is the folder that you are in, and it would be replaced")
        parent = next(p for p in target.parents if p.exists())
        if not parent.is_dir():
            raise _refusal(folder, f"cannot be made, because {parent} is a file")
        if not os.access(parent, os.W_OK | os.X_OK):
            raise _refusal(folder, f"cannot be made, because {parent} may not be written to")


def _status(path: Path) -> os.stat_result | None:
    """What stands at a path, None if nothing does."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _refuse_others(target: Path, folder: str | os.PathLike[str]) -> None:
    if not target.is_dir():
        raise _refusal(folder, "is a file, not a folder")
    inside = {p.name for p in target.iterdir()}
    if not inside:
        return
    init = target / "__init__.py"
    if not init.is_file() or MARK not in init.read_text(encoding="utf-8", errors="replace")[:500]:
        raise _refusal(folder, "is there already and is no package of ours")
    if others := sorted(inside - FILES):
        raise _refusal(folder, f"holds what is not ours ({', '.join(others[:3])})")


def _refusal(folder: str | os.PathLike[str], why: str) -> SpecError:
    message = f"{folder} {why}; name another folder"
    return SpecError([Diagnostic("E0604", message, file=str(folder))])


@contextlib.contextmanager
def _told(folder: str | os.PathLike[str]) -> Iterator[None]:
    """What the system says, as a diagnostic."""
    try:
        yield
    except OSError as error:
        message = f"cannot write {folder}: {error.strerror or error}"
        raise SpecError([Diagnostic("E0604", message, file=str(folder))]) from None


def _swap(new: Path, target: Path, place: Path) -> None:
    """Let `new` stand at the target; what stands there is moved to `place`, and back if that fails."""
    for turn in range(TRIES):
        old = place / f"old{turn}"
        try:
            with contextlib.suppress(FileNotFoundError):
                target.rename(old)
                _refuse_others(old, target)  # whatever came there since the first look
            new.rename(target)
            return
        except BaseException as error:
            if isinstance(error, OSError) and error.errno in TAKEN and turn + 1 < TRIES:
                continue  # another program was there first
            with contextlib.suppress(OSError):
                if old.exists() and not target.exists():
                    old.rename(target)
            raise


def _clear(place: Path, new: Path) -> None:
    """Remove what is left beside the target, but never an old package that could not be brought back."""
    if not new.exists():
        shutil.rmtree(place, ignore_errors=True)
        return
    shutil.rmtree(new, ignore_errors=True)
    with contextlib.suppress(OSError):
        place.rmdir()


def _write_files(model: CompiledModel, folder: Path, name: str) -> None:
    importable = name if name.isidentifier() else model.graph.name
    texts = {
        "__init__.py": INIT.format(name=model.graph.name, folder=importable, mark=MARK),
        "model.py": model.source,
        "graph.json": to_json(model.graph),
        "plan.json": json.dumps(model.plan.as_dict(), indent=1) + "\n",
        "spec.smr": model.text,
    }
    for file, text in texts.items():
        (folder / file).write_bytes(text.encode())
    metadata = {
        "smrdsl": "1",
        "model": model.graph.name,
        "arguments": json.dumps(dict(model.graph.arguments)),
        "spec": model.text,
        "spec_sha256": hashlib.sha256(model.text.encode()).hexdigest(),
    }
    write_weights(model, folder / FILE, metadata)
    _draw(model.graph, folder)


def _draw(g: Graph, folder: Path) -> None:
    """The picture, or its DOT text where nothing here can render it: no package fails for its picture."""
    from smrdsl.draw.render import render

    try:
        render(g, folder / "architecture.svg")
    except SmrError:
        with contextlib.suppress(SmrError):
            render(g, folder / "architecture.dot")


# --- loading


def load_package(folder: str | os.PathLike[str], mode: str = "infer") -> CompiledModel:
    """The model of a package, on the CPU. Reads it as data and runs nothing of it. Raises `SmrError`.

    The shapes of all tensors are compared with the header of the weights before memory is taken for any.
    """
    check_mode(mode)
    place = Path(folder)
    graph = from_json(_text(place, "graph.json"), str(place / "graph.json"))
    wanted = _conditions(place, mode)
    compare(_shapes(graph, place), read_shapes(place / FILE), place / FILE)
    layers = make_layers(graph, seed=None)
    model = CompiledModel(graph, layers, make_plan(graph, wanted), _text(place, "spec.smr"))
    load_into(model, place / FILE)
    return model.train(mode == "train")


def _shapes(graph: Graph, place: Path) -> Shapes:
    """The shapes of the tensors of a model, from layers that take no memory."""
    try:
        return shapes_of(nest(make_layers(graph, seed=None, device="meta")))
    except (RuntimeError, TypeError, OverflowError) as error:  # sizes beyond what a tensor can have
        reason = str(error).partition("\n")[0]
        raise SmrError(f"the layers of {place / 'graph.json'} cannot be made: {reason}") from None


def _conditions(place: Path, mode: str) -> Conditions:
    """What the package was planned for, on this machine."""
    try:
        kept = dict(json.loads(_text(place, "plan.json"))["conditions"])
        budget = kept.get("memory") if kept.get("mode") == mode else None
        return conditions(**{**kept, "mode": mode, "device": "cpu", "threads": None, "memory": budget})
    except (SmrError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SmrError(f"{place / 'plan.json'} is no plan of ours: {error}") from None


def _text(place: Path, name: str) -> str:
    try:
        return (place / name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SmrError(f"{place} is no compiled package: cannot read {name}: {reason}") from None
