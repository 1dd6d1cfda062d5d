"""The `spec.smr` of a package is one text that needs no other: it means the same as the file with its imports."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from smrdsl.compiler import compile_lowered, lower_source
from smrdsl.core.source import Source
from smrdsl.graph.build import build
from smrdsl.graph.graph import Graph, Location
from smrdsl.spec.files import read_source
from smrdsl.spec.resolve import Resolver, check

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "tests" / "examples").glob("*.smr"), *(ROOT / "specs").rglob("*.smr")])
EXAMPLES = [path for path in FILES if "\nmodel " in path.read_text()]
START = "signal(channels=4)"


def bundled(path: Path) -> str:
    """The bundle of a file, after a look whether every model of it is still the same, and the text canonical."""
    source = read_source(path)
    text = lower_source(source, path).text
    assert 'import "' not in text.replace('# import "', "")
    again = Source("<bundle>", text)
    assert lower_source(again).text == text, "a bundle is its own bundle"
    old, new = Resolver(source, path), Resolver(again)
    assert old.load()
    assert new.load()
    for model in old.models():
        assert meaning(graph(old, model)) == meaning(graph(new, model))
    return text


def graph(resolver: Resolver, name: str) -> Graph:
    model = resolver.model(name)
    assert model is not None
    return build(model)


def meaning(g: Graph) -> list[object]:
    """All of a graph but the places of its steps in the text."""
    nowhere = Location("", 0, 0, "")
    return [g.output, *((k, replace(g.node(k), location=nowhere), g.inputs(k)) for k in g.keys)]


def files(tmp_path: Path, main: str, **others: str) -> Path:
    for name, text in {"main": main, **others}.items():
        (tmp_path / f"{name}.smr").write_text(text)
    found = check(tmp_path / "main.smr")
    assert found == []
    return tmp_path / "main.smr"


def definitions(text: str) -> list[str]:
    """The names that a text defines at its top."""
    starts = ("component ", "model ", "let ")
    return [line.split()[1].split("(")[0] for line in text.splitlines() if line.startswith(starts)]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_the_examples(path: Path) -> None:
    bundled(path)


def test_initial_weights_are_the_same_by_path(tmp_path: Path) -> None:
    path = files(
        tmp_path,
        'import "one.smr"\nimport "two.smr" as two\n'
        f"model m {{ {START} block two.block core: two.s4d residual {{ block }} }}",
        one="let _n = 3\ncomponent _inner { linear(_n) }\ncomponent block { _inner _inner linear(4) }",
        two="let _n = 5\ncomponent _inner { linear(_n) }\ncomponent block { _inner linear(4) }\n"
        "component s4d { _inner linear(4) }",
    )
    old = compile_lowered(lower_source(read_source(path), path), seed=3).state_dict()
    new = compile_lowered(lower_source(Source("<bundle>", bundled(path))), seed=3).state_dict()
    assert list(old) == list(new)
    assert "block_2._inner.linear.weight" in old
    assert all(torch.equal(old[key], new[key]) for key in old)


def test_only_what_is_used_is_brought(tmp_path: Path) -> None:
    path = files(
        tmp_path,
        f'import "one.smr"\nmodel m extends base {{ }}\nmodel k {{ {START} used }}',
        one=f"let n = 4\nlet unused = n\ncomponent used {{ _deep }}\ncomponent _deep {{ linear(n) }}\n"
        f"component other {{ used }}\nmodel base {{ {START} gelu }}\nmodel spare {{ {START} }}",
    )
    assert definitions(bundled(path)) == ["n", "used", "_deep", "m", "k", "base"], "the default model stays the first"


def test_private_names_of_several_files_are_kept_apart(tmp_path: Path) -> None:
    path = files(
        tmp_path,
        f'import "one.smr"\nimport "two.smr"\nlet _n = 7\ncomponent _inner {{ linear(_n) linear(4) }}\n'
        f"model m {{ {START} one two _inner }}",
        one="let _n = 3\ncomponent _inner { linear(_n) linear(4) }\ncomponent one { _inner }",
        two="let _n = 5\ncomponent _inner { linear(_n) linear(4) }\ncomponent two { _inner }",
    )
    text = bundled(path)
    assert definitions(text) == ["_n__2", "_inner__2", "one", "_n__3", "_inner__3", "two", "_n", "_inner", "m"]


HARD = {
    "a component named as an operator that others use": (
        f'import "one.smr"\nimport "two.smr"\nmodel m {{ {START} one two }}',
        {"one": "component gelu { silu }\ncomponent one { gelu }", "two": "component two { gelu }"},
    ),
    "the root's own operator": (
        f'import "one.smr" as one\ncomponent gelu {{ silu }}\nmodel m {{ {START} gelu one.f }}',
        {"one": "component f { gelu }"},
    ),
    "a let named as a word": (
        f'import "one.smr"\nimport "two.smr"\nmodel m {{ {START} one two }}',
        {
            "one": "let soft = 3\ncomponent one { linear(soft) linear(4) }",
            "two": "component c(kind) { when kind == soft { gelu } }\ncomponent two { c(soft) }",
        },
    ),
    "a let named as a parameter, an index and a tap": (
        f'import "one.smr" as zoo\nmodel m(n = 2) {{ {START} i := it\n'
        "repeat n as k { zoo.f(n + k) linear(zoo.i) linear(4) } it := it + i }",
        {"one": "let n = 3\nlet k = 5\nlet i = 6\ncomponent f(n) { linear(n + k + i) linear(4) }"},
    ),
    "a let named as a label": (
        f'import "one.smr"\nimport "two.smr"\nmodel m {{ {START} one two }}\n'
        "model n extends m { place gelu after mix }",
        {"one": "let mix = 3\ncomponent one { linear(mix) }", "two": "component two { mix: linear(4) }"},
    ),
    "selectors of components": (
        f'import "one.smr" as zoo\nimport "one.smr"\ncomponent g {{ gelu }}\n'
        f"model m {{ {START} f zoo.f g place silu after f remove zoo.f }}"
        f"\nmodel n {{ {START} f g place silu after zoo.f place tanh before g }}",
        {"one": "component _x { gelu }\ncomponent f { _x }"},
    ),
    "edits see the names of what they select": (
        'import "one.smr" as zoo\nlet state = 2\n'
        "model m extends zoo.base { replace s4d with linear(state) where state == 8 }",
        {"one": f"model base {{ {START} s4d(state=8) s4d(state=4) linear(4) }}"},
    ),
    "twins across files": (
        'import "one.smr" as zoo\nlet n = 2\nmodel m extends zoo.b(k = 3 * n) { place gelu after tip }',
        {"one": 'import "two.smr"\nlet n = 5\nmodel b(k = n) extends a(w = k + n) { place silu before tip }',
         "two": f"let _n = 9\nmodel a(w) {{ {START} linear(w + _n) tip: linear(_n) }}"},
    ),
    "numbered names that are taken": (
        'import "one.smr" as one\nlet n = 1\nlet n__2 = 2\n'
        f"model m(n__3 = 3) {{ {START} one.f linear(n + n__2 + n__3) }}",
        {"one": "let n = 7\nlet n__2 = 8\ncomponent f { linear(n + n__2) linear(4) }"},
    ),
    "components that differ by a number only": (
        f'import "one.smr" as one\ncomponent f__2 {{ gelu }}\nmodel m {{ {START} f__2 one.f one.f__2 one.f__3 }}',
        {"one": "component f { silu }\ncomponent f__2 { tanh }\ncomponent f__3 { f }"},
    ),
    "bodies": (
        'import "one.smr" as zoo\nlet n = 6\n'
        f"model m {{ {START} zoo.around(n) {{ linear(n) zoo.around(2) {{ gelu }} }} }}",
        {"one": "let n = 3\ncomponent around(k, w = k + n) { linear(w) body linear(4) }"},
    ),
    "a clash of a let and a component": (
        f'import "one.smr" as a\nimport "two.smr" as b\nmodel m {{ {START} linear(a.f) b.f b.g }}',
        {"one": "let f = 3", "two": "component f { linear(4) }\ncomponent g { f }"},
    ),
    "on one line": (
        f'import "one.smr" as a import "two.smr" as b let f = a.f model m {{ {START} linear(f) b.f }}',
        {"one": "let g = 2 let f = g", "two": "component g { gelu } component f { g }"},
    ),
    "the default of a component": (
        f'import "one.smr" as a\nlet n = 2\nmodel m {{ {START} a.f a.f(n) }}',
        {"one": "let n = 3\ncomponent f(w = n * width) { linear(w) linear(4) }"},
    ),
    "a file in two ways": (
        f'import "one.smr"\nimport "two.smr" as two\nimport "one.smr" as one\nmodel m {{ {START} f two.g one.f }}',
        {"one": "component f { gelu }", "two": 'import "one.smr"\ncomponent g { f }'},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("main", "others"), HARD.values(), ids=HARD)
def test_names_mean_what_they_meant(tmp_path: Path, main: str, others: dict[str, str]) -> None:
    bundled(files(tmp_path, main, **others))


def test_comments_go_with_what_they_stand_at(tmp_path: Path) -> None:
    path = files(
        tmp_path,
        '# about the file\n\nimport "one.smr"  # zoo\n# the model\n'
        f"model m {{ # starts\n {START}\n # inside\n f }} # ends\n",
        one="# of the other file\n\n# two lines\n# on f\ncomponent f { gelu }  # behind f\n\n"
        "# on what is not used\nlet n = 1",
    )
    text = bundled(path)
    comments = [line[line.index("#") :].strip() for line in text.splitlines() if "#" in line]
    here = ["# about the file", "# zoo", "# the model", "# starts", "# inside", "# ends"]
    assert sorted(comments) == sorted([*here, "# two lines", "# on f", "# behind f"])
    assert text.index("# on f") < text.index("component f") < text.index("# behind f") < text.index("# the model")


NAMES = ("a", "b", "_c", "gelu", "d__2")


@pytest.mark.parametrize("seed", range(12))
def test_files_that_use_the_same_names(tmp_path: Path, seed: int) -> None:
    """Three files draw the names of their lets and components from one short list, and use one another's."""
    rnd = random.Random(seed)
    texts: dict[str, str] = {}
    kept: dict[str, list[str]] = {}
    for i, name in enumerate(("one", "two", "main")):
        lets, parts = rnd.sample(NAMES, 2), []
        components = [n for n in NAMES if n not in lets][:2]
        used = [f"linear({rnd.choice(lets)}) linear(4)", "gelu" if "gelu" not in components else "silu"]
        lines = [f'import "{other}.smr" as {other}' for other in ("one", "two")[:i]]
        for other in ("one", "two")[:i]:
            public = [n for n in definitions(texts[other]) if n[0] != "_"]
            used += [f"linear({other}.{n}) linear(4)" if n in kept[other] else f"{other}.{n}" for n in public]
        for n in lets:
            lines.append(f"let {n} = {rnd.randrange(2, 9)}")
        for n in components:
            lines.append(f"component {n} {{ {' '.join(rnd.choices([*used, *parts], k=3))} }}")
            parts.append(n)
        texts[name], kept[name] = "\n".join(lines), lets
        if name == "main":
            texts[name] += f"\nmodel m {{ {START} {' '.join([*parts, *rnd.choices(used, k=3)])} }}"
    bundled(files(tmp_path, texts.pop("main"), **texts))
