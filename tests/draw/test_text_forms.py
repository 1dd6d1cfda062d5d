"""DOT and Mermaid: the text is the same each time, says what the scene says, and no spec can break it."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from smrdsl.draw.boxes import Box
from smrdsl.draw.dot import dot
from smrdsl.draw.forks import Frame, Line
from smrdsl.draw.mermaid import mermaid
from smrdsl.draw.scene import Scene, scene
from tests.draw.graphs import COMPONENTS, HYBRID, QUICKSTART, TWO_WAYS, graph

GOLDEN = Path(__file__).parent / "golden"
FORMS = {"dot": dot, "mmd": mermaid}
HOSTILE = [
    '"',
    "\\",
    "\\N",
    "<b>x</b>",
    "&lt;",
    "a|b{c}",
    "#quot;",
    "]]",
    "end",
    "naïve ☃",
    "--> x",
    "%%{init}%%",
]


def small() -> Scene:
    return scene(graph((GOLDEN / "small.smr").read_text(encoding="utf-8")), fold=True)


@pytest.mark.parametrize("form", FORMS)
def test_golden(form, golden):
    golden(GOLDEN / f"small.{form}", FORMS[form](small()))


@pytest.mark.parametrize("form", FORMS)
def test_the_same_in_another_process(form):
    code = f"from tests.draw.test_text_forms import *; print(FORMS['{form}'](small()), end='')"
    root = Path(__file__).parents[2]
    environment = {"PYTHONHASHSEED": "7", "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True, env=environment)
    assert done.stdout.decode() == FORMS[form](small())


def hostile() -> Scene:
    boxes = [Box(f"n{i}", "step", "other", text, (text,), (text,)) for i, text in enumerate(HOSTILE)]
    lines = [Line(f"n{i}", f"n{i + 1}", text) for i, text in enumerate(HOSTILE[:-1])]
    frame = Frame("f", '"</text>', 2, [*boxes])
    return Scene("graph", ("a&b <i>",), Frame("", "", 1, [frame]), tuple(lines))


def test_graphviz_shows_all_text_as_it_is():
    pytest.importorskip("pygraphviz")
    from smrdsl.draw.layout import lay_out

    root = ElementTree.fromstring(lay_out(dot(hostile()), "svg"))
    shown = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert set(HOSTILE) <= set(shown)
    assert {"a&b <i>", '"</text>', "× 2", "\N{NO-BREAK SPACE}graph"} <= set(shown)
    assert [text.strip() for text in shown if text.startswith(" ")] == HOSTILE[:-1]
    tips = [a.get("{http://www.w3.org/1999/xlink}title") for a in root.iter("{http://www.w3.org/2000/svg}a")]
    assert set(HOSTILE) - {"\\N"} <= set(tips), "in a tooltip Graphviz puts in the name of the node even so"


def test_mermaid_has_no_mark_of_its_own_inside_quotes():
    text = mermaid(hostile())
    for quoted in re.findall(r'[(\[|]"(.*)"[)\]|]', text):
        plain = quoted.replace("<br/>", "")
        assert not re.search(r'["<>\\`{}|&%\[\]]', plain), quoted
        assert all(re.fullmatch(r"\d+", part) for part in re.findall(r"#(.*?);", plain)), quoted


@pytest.mark.parametrize("text", [QUICKSTART, HYBRID, TWO_WAYS, COMPONENTS])
@pytest.mark.parametrize("fold", [False, True])
def test_mermaid_is_well_formed(text, fold):
    seen = scene(graph(text), fold=fold, close=fold)
    lines = mermaid(seen).splitlines()
    assert lines[0] == lines[2] == "---"
    assert lines[3] == "flowchart TB"
    body = [line.strip() for line in lines[4:]]
    opened = [line for line in body if line.startswith("subgraph ")]
    assert len(opened) == body.count("end")
    known = set(re.findall(r"^(?:subgraph )?(n\d+)[(\[]", "\n".join(body), re.M))
    edges = [m for line in body if (m := re.fullmatch(r'(n\d+) (?:-->|---|-\.->)(?:\|".*"\|)? (n\d+)', line))]
    assert len(edges) == len(seen.lines)
    assert {end for m in edges for end in m.groups()} <= known
    used, defined = (set(re.findall(mark, "\n".join(body), re.M)) for mark in (r":::(\w+)$", r"^classDef (\w+) "))
    assert used <= defined
