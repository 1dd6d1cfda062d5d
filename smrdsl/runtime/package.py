"""Packages: a compiled model as a folder that Python imports, written whole or not at all, and loaded as data only."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from smrdsl.core.errors import Diagnostic, SmrError, SpecError
from smrdsl.graph.graph import Graph
from smrdsl.graph.show import from_json, to_json
from smrdsl.lowering.layers import make_layers
from smrdsl.plan.plan import Conditions, make_plan
from smrdsl.runtime.model import CompiledModel
from smrdsl.runtime.weights import compare, load_into, read_shapes, weights_bytes

MARK = "A package compiled by smrdsl."
FILES = {
    "__init__.py", "model.py", "weights.safetensors", "graph.json", "plan.json", "spec.smr",
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


def save_package(model: CompiledModel, folder: str | os.PathLike[str]) -> Path:
    """Write a model as a package. Raises `SpecError` (E0604) where the folder cannot be written or is not ours."""
    target = Path(os.path.abspath(folder))
    try:
        refuse_others(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            temporary.chmod(0o755)
            _write_files(model, temporary, target.name)
            _swap(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        message = f"cannot write {folder}: {error.strerror or error}"
        raise SpecError([Diagnostic("E0604", message, file=str(folder))]) from None
    return target


def refuse_others(target: Path) -> None:
    """Raise `SpecError` where something stands at the target that is not a package of ours, or an empty folder."""

    def refuse(why: str) -> SpecError:
        message = f"{target} {why}; name another folder with -o"
        return SpecError([Diagnostic("E0604", message, file=str(target))])

    if not target.exists():
        return
    if not target.is_dir():
        raise refuse("is a file, not a folder")
    inside = {p.name for p in target.iterdir()}
    if not inside:
        return
    init = target / "__init__.py"
    if not init.is_file() or MARK not in init.read_text(encoding="utf-8", errors="replace")[:500]:
        raise refuse("is there already and is no package of ours")
    if others := sorted(inside - FILES):
        raise refuse(f"holds what is not ours ({', '.join(others[:3])})")


def _swap(new: Path, target: Path) -> None:
    """Let `new` stand at the target; the old package, if any, stays whole until then."""
    if not target.exists():
        new.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / target.name)
    try:
        new.rename(target)
    except BaseException:
        (old / target.name).rename(target)
        raise
    finally:
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)


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
        (folder / file).write_text(text, encoding="utf-8")
    digest = hashlib.sha256(model.text.encode()).hexdigest()
    metadata = {"smrdsl": "1", "model": model.graph.name, "spec": model.text, "spec_sha256": digest}
    (folder / "weights.safetensors").write_bytes(weights_bytes(model, metadata))
    _draw(model.graph, folder)


def _draw(g: Graph, folder: Path) -> None:
    """The picture, or its DOT text where nothing here can render it: a package never fails for its picture."""
    from smrdsl.draw.render import render

    try:
        render(g, folder / "architecture.svg")
    except SmrError:
        with contextlib.suppress(SmrError):
            render(g, folder / "architecture.dot")


def load_package(folder: str | os.PathLike[str], mode: str = "infer") -> CompiledModel:
    """The model of a package. Reads graph.json, plan.json and the weights, as data. Raises `SmrError`."""
    place = Path(folder)
    graph = from_json(_text(place, "graph.json"), str(place / "graph.json"))
    file = place / "weights.safetensors"
    found = read_shapes(file)
    declared = {f"{key}.{n}": p.shape for key in graph.keys for n, p in graph.parameters(key).items()}
    compare(declared, {k: s for k, s in found.items() if k in declared}, file)
    plan = make_plan(graph, _conditions(place, mode))
    model = CompiledModel(graph, make_layers(graph), plan, _text(place, "spec.smr"))
    load_into(model, file)
    return model.train(mode == "train")


def _conditions(place: Path, mode: str) -> Conditions:
    try:
        return Conditions(**{**json.loads(_text(place, "plan.json"))["conditions"], "mode": mode})
    except (ValueError, KeyError, TypeError) as error:
        raise SmrError(f"{place / 'plan.json'} is no plan of ours: {error}") from None


def _text(place: Path, name: str) -> str:
    try:
        return (place / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SmrError(f"{place} is no compiled package: cannot read {name}: {reason}") from None
