"""Imports: what a file brings in, what stays its own, and what is said of files that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from smrdsl.compiler import compile, lower_source
from smrdsl.core.errors import Diagnostic
from smrdsl.graph.graph import Graph
from smrdsl.spec.files import STD, read_source
from smrdsl.spec.resolve import check, check_text

MODEL = "model m { signal(channels=4) gelu }"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function of the texts of files by their names, with `_` for `/`; the first is the one to check."""

    def write(**texts: str | bytes) -> Path:
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('_', '/')}.smr"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / f"{next(iter(texts))}.smr"

    return write


def graph(path: Path, model: str | None = None) -> Graph:
    return lower_source(read_source(path), path, model=model).graph


def told(found: list[Diagnostic]) -> list[tuple[str, str, str, int]]:
    """(code, file, the part that is wrong, its column) of each."""
    return [(d.code, os.path.basename(d.path), d.span.text if d.span else "", d.column) for d in found]


# --- what comes in


def test_components_models_and_lets_come_in_by_their_names(write: Write) -> None:
    path = write(
        main='import "lib.smr"\nmodel m extends base(w=n) { place block before gelu }',
        lib="let n = 6\ncomponent block { gelu }\nmodel base(w = 2) { signal(channels=1) linear(w) gelu }",
    )
    assert told(check(path)) == [("E0503", "main.smr", "block", 35)], "an edit brings an operator"
    path.write_text('import "lib.smr"\nmodel m extends base(w=n) { }\nmodel k { signal(channels=n) block }')
    assert graph(path).node("linear").type.width == 6
    assert list(graph(path, "k").keys) == ["signal", "block.gelu"]


def test_a_prefix_brings_all_three_and_hides_nothing(write: Write) -> None:
    lib = "let n = 6\ncomponent block { linear(n) }\nmodel base(w = 2) { signal(channels=w) block gelu }"
    main = """import "lib.smr" as zoo
      let n = 3
      component block { linear(n) }
      model m extends zoo.base(w = zoo.n + n) { remove zoo.block }
      model k { signal(channels=1) block zoo.block it := it |> zoo.block }"""
    path = write(main=main, lib=lib)
    g = graph(path)
    assert [(k, g.node(k).type.width) for k in g.keys] == [("signal", 9), ("gelu", 9)]
    g = graph(path, "k")
    assert [(k, g.node(k).type.width) for k in g.keys][1:] == [
        ("block.linear", 3), ("block_2.linear", 6), ("block_3.linear", 6),
    ]  # fmt: skip


def test_a_diamond_is_read_once_and_is_no_clash(write: Write) -> None:
    path = write(
        main='import "left.smr"\nimport "right.smr"\nmodel m { signal(channels=1) a b }',
        left='import "base.smr"\ncomponent a { linear(n) }',
        right='import "base.smr"\ncomponent b { linear(n + 1) }',
        base="let n = 6",
    )
    assert [graph(path).node(k).type.width for k in ("a.linear", "b.linear")] == [6, 7]
    path.write_text('import "left.smr"\nimport "./base.smr"\nlet k = n\nmodel m { signal(channels=k) a }')
    assert check(path) == []


def test_the_same_file_twice(write: Write) -> None:
    main = f'import "lib.smr" as a\nimport "lib.smr" as b\n{MODEL[:-1]} a.f b.f }}'
    path = write(main=main, lib="component f { gelu }")
    assert list(graph(path).keys)[2:] == ["f.gelu", "f_2.gelu"]
    path.write_text(f'import "lib.smr"\nimport "lib.smr"\n{MODEL}')
    assert told(check(path)) == [("E0603", "main.smr", 'import "lib.smr"', 1)]


def test_imports_are_not_transitive(write: Write) -> None:
    path = write(
        main='import "mid.smr" as mid\nimport "mid.smr"\nmodel m { signal(channels=n) far linear(mid.n) mid.far near }',
        mid='import "end.smr"\ncomponent near { far linear(n) }',
        end="let n = 6\ncomponent far { gelu }",
    )
    assert told(check(path)) == [
        ("E0201", "main.smr", "n", 27),
        ("E0202", "main.smr", "far", 30),
        ("E0201", "main.smr", "mid.n", 41),
        ("E0202", "main.smr", "mid.far", 48),
    ]
    path.write_text('import "mid.smr"\nmodel m { signal(channels=1) near }')
    assert list(graph(path).keys) == ["signal", "near.far.gelu", "near.linear"]


def test_private_names_stay_in_their_file(write: Write) -> None:
    path = write(
        main="""import "lib.smr" as lib
import "lib.smr"
let _n = 2
model m { signal(channels=_n) open _own lib._own linear(lib._n) }
model k extends lib._base { }
model l extends _base { }
model n extends _bass { }""",
        lib="let _n = 6\ncomponent _own { linear(_n) }\ncomponent open { _own }\nmodel _base { signal(channels=1) }",
    )
    assert told(check(path)) == [
        ("E0603", "main.smr", "_own", 36),
        ("E0603", "main.smr", "lib._own", 41),
        ("E0603", "main.smr", "lib._n", 57),
        ("E0603", "main.smr", "lib._base", 17),
        ("E0603", "main.smr", "_base", 17),
        ("E0209", "main.smr", "_bass", 17),
    ]
    path.write_text('import "lib.smr"\nlet _n = 2\nmodel m { signal(channels=_n) open }')
    assert graph(path).node("open._own.linear").type.width == 6


def test_a_component_sees_the_lets_of_its_own_file(write: Write) -> None:
    path = write(main=f'import "lib.smr"\nlet n = 2\n{MODEL[:-1]} f }}', lib="let n = 6\ncomponent f { linear(n) }")
    assert told(check(path)) == [("E0203", "main.smr", "n", 5)]
    path.write_text(f'import "lib.smr" as lib\nlet n = 2\n{MODEL[:-1]} lib.f }}')
    assert graph(path).node("f.linear").type.width == 6


# --- clashes


def test_names_that_clash(write: Write) -> None:
    path = write(
        main='import "one.smr"\nimport "two.smr"\nimport "two.smr" as one\nimport "one.smr" as one\n'
        f"let f = 2\n{MODEL}",
        one="component f { gelu }\nlet g = 1",
        two="component g { silu }\nmodel f { signal(channels=1) }",
    )
    found = check(path)
    assert [(d.code, d.line, d.message) for d in found] == [
        ("E0603", 2, '`g` of "two.smr" clashes with another; import it `as` a prefix'),
        ("E0203", 4, "`one` is defined already in this file"),
        ("E0203", 5, "`f` is imported already in this file"),
    ]
    assert [r.span.line for d in found for r in d.related] == [1, 3, 1]


def test_a_prefix_is_a_name_like_any_other(write: Write) -> None:
    path = write(main=f'import "lib.smr" as f\ncomponent f {{ gelu }}\n{MODEL}', lib="let n = 1")
    assert told(check(path)) == [("E0203", "main.smr", "f", 11)]
    path.write_text('import "lib.smr" as zoo\nmodel m { signal(channels=zoo) zoo norm(zoo.k) zoo.gelu linear(zoo.m) }')
    assert told(check(path)) == [
        ("E0201", "main.smr", "zoo", 27),
        ("E0202", "main.smr", "zoo", 32),
        ("E0201", "main.smr", "zoo.k", 41),
        ("E0202", "main.smr", "zoo.gelu", 48),
        ("E0201", "main.smr", "zoo.m", 64),
    ]


def test_the_files_own_names_hide_operators(write: Write) -> None:
    path = write(main=f'import "lib.smr"\n{MODEL}', lib="component gelu { silu }")
    assert list(graph(path).keys) == ["signal", "gelu.silu"]


# --- where files are


def test_paths_are_relative_to_the_importing_file(write: Write, tmp_path: Path) -> None:
    path = write(
        a_main='import "../b/lib.smr"\nmodel m { signal(channels=1) f }',
        b_lib='import "deep/er.smr"\ncomponent f { g }',
        b_deep_er="component g { gelu }",
    )
    assert path.name == "a_main.smr"
    path = tmp_path / "a" / "main.smr"
    assert list(graph(path).keys) == ["signal", "f.g.gelu"]


def test_the_library_is_always_the_packages(write: Write, tmp_path: Path) -> None:
    name = next(STD.glob("*.smr")).name
    path = write(main=f'import "std/{name}"\n{MODEL}', std_x="let broken = ")
    (tmp_path / "std" / name).write_text("let broken = ")
    assert check(path) == []
    assert check_text(f'import "std/{name}" as lib\n{MODEL}') == []
    for written in ("std/../std/" + name, "std/./" + name, "std//" + name, "std/", "std/sub/" + name):
        codes = [d.code for d in check_text(f'import "{written}"\n{MODEL}')]
        assert codes in (["E0602"], []), written
        assert codes == ["E0602"] or (STD / written.removeprefix("std/")).resolve() == STD / name
    (only,) = check_text(f'import "std/nothing.smr"\n{MODEL}')
    assert only.message.startswith('the library has no "std/nothing.smr"')


def test_a_text_without_a_file_imports_the_library_only() -> None:
    (only,) = check_text(f'import "lib.smr"\n{MODEL}')
    assert (only.code, only.message) == ("E0602", '"lib.smr" is relative to a file, and this text has none')


def test_files_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    (tmp_path / "folder.smr").mkdir()
    os.mkfifo(tmp_path / "pipe.smr")
    (tmp_path / "loop.smr").symlink_to("loop.smr")
    path = write(main="", latin="component é { }".encode("latin-1"), wide="let a = 1".encode("utf-16"))
    for written, reason in {
        "missing.smr": "No such file or directory",
        "folder.smr": "is a directory; name a .smr file",
        "pipe.smr": "is not a regular file",
        "loop.smr": "cannot read",
        "latin.smr": "is not UTF-8 text: byte 11 is 0xe9",
        "wide.smr": "is not UTF-8 text: byte 1 is 0xff",
        "main.smr/x.smr": "Not a directory",
        "notes.txt": '"notes.txt" is not a .smr file',
        "folder": '"folder" is not a .smr file',
        "a\\u0000.smr": "is not a .smr file",
        "x" * 300 + ".smr": "File name too long",
        ".smr": "No such file",
    }.items():
        path.write_text(f'import "{written}" as lib\nmodel m {{ signal(channels=lib.n) lib.f skip(1) }}')
        first, second = check(path)
        assert (first.code, first.line, first.column) == ("E0602", 1, 8), written
        assert reason in first.message
        assert (second.code, second.line) == ("E0303", 2), "what it would bring is no news, other mistakes are"


def test_a_symlink_is_the_file_that_it_leads_to(write: Write, tmp_path: Path) -> None:
    path = write(main='import "link.smr"\nmodel m { signal(channels=n) }', far_lib="")
    (tmp_path / "far" / "near.smr").write_text("let k = 6")
    (tmp_path / "near.smr").write_text("let k = 7")
    (tmp_path / "link.smr").symlink_to("far/lib.smr")
    (tmp_path / "far" / "lib.smr").write_text('import "near.smr"\nlet n = k')
    assert graph(path).node("signal").type.width == 6
    path.write_text(f'import "link.smr"\nimport "far/lib.smr" as lib\n{MODEL}')
    assert told(check(path)) == [], "one file, however it is called"
    (tmp_path / "m.smr").symlink_to("far/top.smr")
    (tmp_path / "far" / "top.smr").write_text('import "near.smr"\nmodel m { signal(channels=k) }')
    assert graph(tmp_path / "m.smr").node("signal").type.width == 6


# --- how they are written


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_byte_order_marks_and_line_ends(write: Write, mark: bytes, end: bytes) -> None:
    lines = [b'import "lib.smr"  # the library', b"model m {", b"  signal(channels=n)", b"  gelo", b"}", b""]
    path = write(main=mark + end.join(lines), lib=mark + b"# a comment" + end + b"let n = 6" + end)
    (only,) = check(path)
    assert (only.code, only.line, only.column) == ("E0202", 4, 3)
    path.write_bytes(path.read_bytes().replace(b"gelo", b"gelu"))
    assert graph(path).node("gelu").type.width == 6


# --- mistakes in imported files


def test_mistakes_are_told_once_at_their_own_place(write: Write) -> None:
    path = write(
        main='import "mid.smr"\nimport "end.smr" as end\nmodel m { signal(channels=1) near end.far }',
        mid='import "end.smr"\ncomponent near { far gelo }',
        end="let n = 6 / 0\n\ncomponent far { linear(sise) norm(lyer) }",
    )
    assert sorted(told(check(path)), key=lambda t: (t[1], t[3])) == [
        ("E0307", "end.smr", "6 / 0", 9),
        ("E0201", "end.smr", "sise", 24),
        ("E0306", "end.smr", "lyer", 35),
        ("E0202", "mid.smr", "gelo", 22),
    ]


def test_a_mistake_of_shapes_names_the_places_of_use(write: Write) -> None:
    path = write(
        main='import "lib.smr"\nmodel m { signal(channels=3) outer }',
        lib="component outer { inner }\ncomponent inner { residual { linear(4) } }",
    )
    (only,) = check(path)
    assert (only.code, os.path.basename(only.path), only.line) == ("E0402", "lib.smr", 2)
    places = [(os.path.basename(r.span.source.path), r.span.line) for r in only.related]
    assert places == [("lib.smr", 1), ("main.smr", 2)]


def test_a_file_that_does_not_parse_hides_nothing_else(write: Write) -> None:
    path = write(
        main='import "lib.smr"\nimport "lib.smr" as lib\nmodel m { signal(channels=n) lib.f g skip(1) geluu }',
        lib="component f { gelu",
    )
    assert told(check(path)) == [
        ("E0103", "lib.smr", "", 19),
        ("E0303", "main.smr", "1", 43),
        ("E0202", "main.smr", "geluu", 46),
    ]


def test_cycles_are_named(write: Write) -> None:
    path = write(
        a='import "b.smr"\nmodel m { signal(channels=1) }',
        b='import "c.smr"\ncomponent x { skip }',
        c='import "a.smr" as a\nimport "c.smr"',
    )
    assert [(d.code, d.message) for d in check(path)] == [
        ("E0207", "imports lead back to themselves: a.smr -> b.smr -> c.smr -> a.smr"),
        ("E0207", "imports lead back to themselves: c.smr -> c.smr"),
    ]


def test_a_model_of_imported_parts_compiles(write: Write) -> None:
    path = write(main='import "lib.smr" as zoo\nmodel m { signal(channels=2) zoo.f }', lib="component f { linear(3) }")
    assert set(compile(path).state_dict()) == {"f.linear.weight", "f.linear.bias"}
