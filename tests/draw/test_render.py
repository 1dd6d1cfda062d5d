"""Render: every form and level, what is refused, and pictures in which all text can be read."""

import stat
import sys
from xml.etree import ElementTree

import pytest

from smrdsl.core.errors import SmrError
from smrdsl.draw import layout
from smrdsl.draw.palette import PAGE
from smrdsl.draw.render import FORMS, LARGEST, LEVELS, picture, render
from smrdsl.draw.text import width
from smrdsl.graph.show import from_json, show
from tests.draw.graphs import COMPONENTS, HYBRID, QUICKSTART, TWO_WAYS, graph, model

SVG = "{http://www.w3.org/2000/svg}"
BEGINS = {
    "svg": b"<?xml",
    "png": b"\x89PNG\r\n",
    "pdf": b"%PDF-",
    "dot": b"digraph",
    "mmd": b"---\n",
    "json": b"{",
}


@pytest.fixture
def graphviz():
    return pytest.importorskip("pygraphviz")


@pytest.mark.usefixtures("graphviz")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_and_level(form, level, tmp_path, capfd):
    written = render(graph(QUICKSTART), tmp_path / f"picture.{form.upper()}", level)
    assert written.read_bytes().startswith(BEGINS[form])
    assert capfd.readouterr() == ("", "")
    assert [p.name for p in tmp_path.iterdir()] == [written.name]


def test_json_is_the_graph():
    g = graph(HYBRID)
    assert show(from_json(picture(g, "json").decode())) == show(g)


@pytest.mark.parametrize(
    ("path", "level", "message"),
    [
        ("picture.gif", "op", r"there are .svg, .png, .pdf, .dot, .mmd, .json"),
        ("picture", "op", r"`picture`: the ending says which picture is wanted"),
        ("picture.svg", "blok", r"no level `blok`, did you mean `block`\?"),
        ("picture.svg", "fx", r"no level `fx`; there are op, block"),
    ],
)
def test_what_is_no_form_or_level_is_refused(path, level, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SmrError, match=message):
        render(graph(QUICKSTART), path, level)
    assert not list(tmp_path.iterdir())


def test_a_picture_stays_as_it_was_where_a_new_one_fails(tmp_path, monkeypatch):
    old = tmp_path / "picture.svg"
    old.write_text("old")
    monkeypatch.setattr(layout, "lay_out", lambda dot, form: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render(graph(QUICKSTART), old)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("picture.svg", "old")]


# --- without Graphviz, and with the program


def test_without_graphviz_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(SmrError, match=r'pip install "smrdsl\[render\]".*the endings .dot and .mmd work without'):
        render(graph(QUICKSTART), tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())
    for form in ("dot", "mmd", "json"):
        render(graph(QUICKSTART), tmp_path / f"picture.{form}")


def program(folder, text):
    """A program `dot` in a folder."""
    path = folder / "dot"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_program_is_preferred(tmp_path, monkeypatch):
    program(tmp_path, "import sys; print(sys.argv[1:], sys.stdin.read())")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert layout.lay_out("digraph {}", "pdf") == b"['-Tpdf'] digraph {}\n"
    assert layout.lay_out("digraph {}", "png") == b"['-Tpng', '-Gdpi=160'] digraph {}\n"


def test_what_the_program_says_against_it_is_told(tmp_path, monkeypatch):
    program(tmp_path, "import sys; sys.exit('out of ink')")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SmrError, match="cannot draw this: out of ink"):
        layout.lay_out("digraph {}", "svg")


def test_messages_that_matter_are_told(capfd, graphviz):
    drawn = layout.lay_out('digraph { a [shape="nonesuch"] }', "svg")
    assert b"<svg" in drawn
    assert "nonesuch" in capfd.readouterr().err


# --- what can be seen


@pytest.mark.usefixtures("graphviz")
@pytest.mark.parametrize("text", [QUICKSTART, HYBRID, TWO_WAYS, COMPONENTS])
def test_no_text_is_cut_off(text):
    """By the widths of DejaVu Sans, which are those of few fonts surpassed."""
    root = ElementTree.fromstring(picture(graph(text), "svg"))
    _, _, wide, high = map(float, root.attrib["viewBox"].split())
    shift = float(root.find(f"{SVG}g").attrib["transform"].split("translate(")[1].split()[0])
    texts = list(root.iter(f"{SVG}text"))
    for line in texts:
        size, x = float(line.attrib["font-size"]), float(line.attrib["x"]) + shift
        length = width(line.text, size)
        left = x - length / 2 if line.attrib["text-anchor"] == "middle" else x
        assert left >= 0, line.text
        assert left + length <= wide, line.text
    assert (root.attrib["width"], root.attrib["height"]) == (f"{wide:.6g}pt", f"{high:.6g}pt")
    for node in (g for g in root.iter(f"{SVG}g") if g.get("class") == "node"):
        xs = [float(pair.split(",")[0]) for path in node.iter(f"{SVG}path") for pair in corners(path.attrib["d"])]
        for line in node.iter(f"{SVG}text"):
            room = max(xs) - min(xs) if xs else 100
            assert width(line.text, float(line.attrib["font-size"])) < room or len(line.text) == 1, line.text


def corners(path):
    """The points of a path."""
    return path.replace("M", " ").replace("C", " ").split()


@pytest.mark.usefixtures("graphviz")
def test_a_long_heading_widens_the_page():
    names = ", ".join(f"a_rather_long_name_{i} = {10**i}" for i in range(4))
    g = graph(f"model a_model_with_quite_a_long_name({names}) {{ signal(channels=1) gelu }}")
    root = ElementTree.fromstring(picture(g, "svg"))
    wide = float(root.attrib["viewBox"].split()[2])
    longest = max(root.iter(f"{SVG}text"), key=lambda t: width(t.text, float(t.attrib["font-size"])))
    assert wide > width(longest.text, float(longest.attrib["font-size"])) + 40
    page = next(root.iter(f"{SVG}polygon"))
    xs = [float(point.split(",")[0]) for point in page.attrib["points"].split()]
    assert max(xs) - min(xs) == pytest.approx(wide, abs=1)


@pytest.mark.usefixtures("graphviz")
def test_the_page_has_a_background_and_names_are_bold():
    root = ElementTree.fromstring(picture(graph(QUICKSTART), "svg"))
    assert next(root.iter(f"{SVG}polygon")).attrib["fill"] == PAGE
    lines = {text.text: text.get("font-weight") for text in root.iter(f"{SVG}text")}
    assert (lines["smr"], lines["memory=4"]) == ("bold", None)
    assert "\N{NO-BREAK SPACE}quickstart" in lines


# --- large models


def test_a_thousand_equal_layers_are_folded():
    g = model("repeat 1000 { residual { norm gelu } }")
    drawn = picture(g, "mmd").decode()
    assert "layers.0-999 × 1000" in drawn
    assert drawn.count("\n") < 40


def test_what_is_too_large_even_so_is_refused_with_advice():
    digits = [f"when i // {2**b} % 2 == 0 {{ gelu }} else {{ relu }}" for b in range(10)]
    g = model("repeat 600 as i {", *digits, "}")
    message = r"are more than a .svg can show \(1,700\); try level `block`, or the endings .dot"
    with pytest.raises(SmrError, match=message):
        picture(g, "svg")
    assert picture(g, "dot").count(b" -> ") > LARGEST["svg"]
