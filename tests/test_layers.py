"""The house: which room may import which, and which library has one owner; docs/architecture.md shows it too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "smrdsl"
ROOMS = {
    "core": set(),
    "syntax": {"core"},
    "native": set(),
    "kernels": {"native"},
    "ops": {"core", "kernels"},
    "spec": {"core", "syntax", "ops"},
    "graph": {"core", "ops", "spec"},
    "plan": {"core", "native", "ops", "graph"},
    "passes": {"core", "kernels", "ops", "graph", "plan"},
    "lowering": {"core", "ops", "graph"},
    "checkpoints": {"core", "syntax", "ops", "graph"},
    "runtime": {"core", "kernels", "ops", "graph", "passes", "plan", "lowering", "draw", "checkpoints"},
    "draw": {"core", "ops", "graph"},
    "data": {"core"},
    "training": {"core", "spec", "graph", "plan", "data", "runtime", "compiler"},
    "probe": {"core", "data", "ops", "graph", "passes", "spec", "runtime", "compiler"},
}
OWNERS = {
    "lark": {"syntax"},
    "networkx": {"graph"},
    "graphviz": {"draw"},
    "pygraphviz": {"draw"},
    "torch.fx": {"lowering", "runtime"},
    "safetensors": {"runtime"},
    "click": {"cli"},
    "matplotlib": {"probe"},
    "lightning": {"training"},
    "sklearn": {"data"},
    "statsmodels": {"data"},
    "triton": {"kernels"},
    "mamba_ssm": {"kernels"},
}
NEEDS_TORCH = {"kernels", "lowering", "runtime", "training", "probe"}


def imports(file: Path) -> Iterator[str]:
    """The modules that a file imports, at its top or inside functions, but not for type checkers only."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it(room: str) -> None:
    for file in (PACKAGE / room).rglob("*.py"):
        used = {name.split(".")[1] for name in imports(file) if name.startswith("smrdsl.")}
        assert not (used & {*ROOMS, "cli", "compiler"}) - ROOMS[room] - {room}, file


@pytest.mark.parametrize("library", OWNERS)
def test_a_library_has_one_owner(library: str) -> None:
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0]
        uses = any(name == library or name.startswith(f"{library}.") for name in imports(file))
        assert not uses or room in OWNERS[library], f"{file} imports {library}"


def test_torch_is_imported_only_where_models_are_made() -> None:
    for file in PACKAGE.rglob("*.py"):
        place = file.relative_to(PACKAGE)
        uses = any(name == "torch" or name.startswith("torch.") for name in imports(file))
        in_operator = place.parts[0] == "ops" and place.name != "__init__.py"
        in_operator |= place.parts[0] == "passes" and place.name == "layer.py"
        assert not uses or place.parts[0] in NEEDS_TORCH or in_operator or place.name == "compiler.py", file


def test_no_operator_is_named_outside_its_place() -> None:
    """Framework code asks the registry; constructs of the language name the structural operators they stand for."""
    from smrdsl.ops.registry import operators

    written = {name for name, op in operators().items() if not op.structural}
    ordinary = {"linear", "parallel", "scale"}  # words of torch and of English too
    for room in ("graph", "passes", "plan", "lowering", "runtime"):
        for file in (PACKAGE / room).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            literals = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            assert not literals & written - ordinary, file


def test_no_file_is_too_long() -> None:
    for file in PACKAGE.rglob("*.py"):
        lines = len(file.read_text(encoding="utf-8").splitlines())
        assert lines <= 330, f"{file} has {lines} lines: does it hold one idea?"


def test_labels_cannot_hide_what_modules_have() -> None:
    from torch import fx, nn

    from smrdsl.spec.reserved import MODULE_ATTRIBUTES

    has = set(dir(nn.Module())) | set(dir(fx.GraphModule(nn.Module(), fx.Graph())))
    assert {name for name in has if not name.startswith("_")} <= MODULE_ATTRIBUTES
