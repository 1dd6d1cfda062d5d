"""What texts mean: the trees that they read as, and where their nodes are."""

from __future__ import annotations

import dataclasses

import pytest

from smrdsl.core.source import Source, Span
from smrdsl.syntax import tree
from smrdsl.syntax.parse import parse_steps
from smrdsl.syntax.show import show
from smrdsl.syntax.tree import Argument, Binary, Call, Dotted, It, Listing, Name, Number, Pipe, Range, Unary
from tests.syntax.reading import codes, expression, mistakes, steps, well

NOWHERE = Span(Source("", ""), 0, 0)


def name(text: str) -> Name:
    return Name(text, span=NOWHERE)


def number(value: float) -> Number:
    return Number(value, span=NOWHERE)


# --- expressions

# A text, and the same with every pair of parentheses that the grammar puts in.
PRECEDENCE = {
    "a or b and not c == d": "(a or (b and (not (c == d))))",
    "a and b or c and d": "((a and b) or (c and d))",
    "not a < b": "(not (a < b))",
    "not not a": "(not (not a))",
    "a < b + c": "(a < (b + c))",
    "a - b - c": "((a - b) - c)",
    "a + b * c // d % e / f": "(a + ((((b * c) // d) % e) / f))",
    "-a * b": "((-a) * b)",
    "-a ** b": "(-(a ** b))",
    "a ** -b": "(a ** (-b))",
    "a ** b ** c": "(a ** (b ** c))",
    "--a - -b": "((-(-a)) - (-b))",
    "x |> f |> g(1)": "((x |> f) |> g(1))",
    "(a + b) |> f |> (g |> h)": "(((a + b) |> f) |> (g |> h))",
    "(x |> f) * 2": "((x |> f) * 2)",
}


def grouped(node: tree.Expression) -> str:
    """An expression with all its parentheses."""
    match node:
        case Binary():
            return f"({grouped(node.left)} {node.operator} {grouped(node.right)})"
        case Unary():
            return f"({node.operator}{' ' * (node.operator == 'not')}{grouped(node.operand)})"
        case Pipe():
            return f"({grouped(node.stream)} |> {grouped(node.target)})"
    return show(node)


@pytest.mark.parametrize("text", PRECEDENCE)
def test_precedence(text: str) -> None:
    assert grouped(expression(text)) == PRECEDENCE[text]


@pytest.mark.parametrize("text", PRECEDENCE.values())
def test_parentheses_change_nothing_where_they_stand_anyway(text: str) -> None:
    assert grouped(expression(text)) == text


def test_atoms() -> None:
    assert expression("x") == name("x")
    assert expression("it") == It(span=NOWHERE)
    assert expression("x.width") == Dotted("x", "width", span=NOWHERE)
    assert expression('"a\\n\\u00e9\\ud83d\\ude00"') == tree.Text("a\né😀", span=NOWHERE)
    assert expression("[1, x,]") == Listing((number(1), name("x")), span=NOWHERE)
    assert expression("[]") == Listing((), span=NOWHERE)
    for text, value in (("true", True), ("false", False), ("none", None)):
        assert expression(text) == tree.Constant(value, span=NOWHERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("50_257", 50257),
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("1_0.0_1e+1_0", 10.01e10),
    ],
)
def test_numbers(text: str, value: float) -> None:
    found = expression(text)
    assert found == number(value)
    assert type(found.value) is type(value)


def test_calls_and_ranges() -> None:
    (step,) = steps("s4(64, dt=0.001..2 * x, init=[legs])")
    assert step.arguments == (
        Argument(None, number(64), span=NOWHERE),
        Argument(
            "dt",
            Range(number(0.001), Binary("*", number(2), name("x"), span=NOWHERE), span=NOWHERE),
            span=NOWHERE,
        ),
        Argument("init", Listing((name("legs"),), span=NOWHERE), span=NOWHERE),
    )
    call = expression("zoo.attend(q, k, heads=4)")
    assert isinstance(call, Call)
    assert call.callee == Dotted("zoo", "attend", span=NOWHERE)
    assert [a.name for a in call.arguments] == [None, None, "heads"]


def test_range_next_to_numbers() -> None:
    assert show(well("let a = 1..2")) == "let a = 1..2\n"
    assert show(well("let a = 1 .. -2")) == "let a = 1..-2\n"
    assert show(well("let a = x.y..z.w")) == "let a = x.y..z.w\n"


# --- statements and items


def test_labels() -> None:
    for text in (
        "mix: s4(64)",
        "mix: zoo.block",
        "mix: repeat 2 { gelu }",
        "mix: when a { gelu }",
        "mix: body",
    ):
        assert steps(text)[0].label == name("mix")


def test_white_space_only_separates() -> None:
    spread = "mix\n:\ns4\n(\n64\n,\n)\n{\ngelu\n}\nx\n:=\nit\n|>\tgelu"
    assert steps(spread) == steps("mix:s4(64){gelu}x:=it|>gelu")


def test_steps_with_bodies() -> None:
    (step,) = steps("residual(scale=0.5) { s4(64) gelu }")
    assert [s.callee.id for s in step.body.statements] == ["s4", "gelu"]
    assert [s.callee.id for s in steps("residual { f } g")] == ["residual", "g"]


def test_when() -> None:
    (when,) = steps("when a { f } else when b == c { g } else { h }")
    assert [show(arm.condition) if arm.condition else None for arm in when.arms] == ["a", "b == c", None]


def test_edits() -> None:
    place, replace, remove, execute = (
        well(
            "model a extends b {"
            "  place mix2: smr(8) before ssm where layer % 2 == 1"
            "  replace zoo.block with s4d(state=16)"
            "  remove glu where i == 0"
            "  execute s4 as conv"
            "}"
        )
        .items[0]
        .block.statements
    )
    assert (place.side, place.selector.name, show(place.step)) == ("before", "ssm", "mix2: smr(8)")
    assert show(place.condition) == "layer % 2 == 1"
    assert (replace.selector.name, replace.condition) == ("zoo.block", None)
    assert (remove.selector.name, show(remove.condition)) == ("glu", "i == 0")
    assert execute.strategy == name("conv")


def test_heads() -> None:
    file = well(
        'import "a.smr"  import "b.smr" as b  let n = 3'
        "  component c { body }  component d(x, y = 2 * x,) { f }"
        "  model e { f }  model g() { f }"
        "  model h extends b.e(n=3) { remove f }  model i() extends e { remove f }"
    )
    plain, aliased, let, c, d, e, g, h, i = file.items
    assert (plain.path.value, plain.alias, aliased.alias) == ("a.smr", None, name("b"))
    assert let.value == number(3)
    assert (c.parameters, [p.name.id for p in d.parameters]) == ((), ["x", "y"])
    # An empty list of parameters says something only beside `extends`.
    assert [m.parameters for m in (e, g, h, i)] == [None, None, None, ()]
    assert (h.base, len(h.arguments)) == (Dotted("b", "e", span=NOWHERE), 1)


def test_empty_file_and_no_steps() -> None:
    assert well("").items == ()
    assert well("# nothing\n").items == ()
    assert codes(" # nothing", parse_steps) == ["E0105"]


# --- places


def spans(node: object) -> list[Span]:
    """The spans of a node and of all nodes in it."""
    if isinstance(node, tuple):
        return [span for part in node for span in spans(part)]
    if not isinstance(node, tree.Node):
        return []
    below = [span for f in dataclasses.fields(node) for span in spans(getattr(node, f.name))]
    for span in below:
        assert node.span.start <= span.start <= span.end <= node.span.end
    return [node.span, *below]


def test_spans_nest_and_cut_out_the_text() -> None:
    text = "model a(n = 2 * 3) {\n  mix: f(x, (y + 1) * (z), w=-1..1) { g }\n  u := (it |> f) + v.width\n}\n"
    cut = [span.text for span in spans(well(text))]
    assert cut[0] == text
    for part in ("n = 2 * 3", "2 * 3", "mix: f(x, (y + 1) * (z), w=-1..1) { g }", "(y + 1) * (z)", "{ g }"):
        assert part in cut
    for part in ("y + 1", "w=-1..1", "-1..1", "-1", "u := (it |> f) + v.width", "it |> f", "v.width"):
        assert part in cut


def test_spans_count_code_points() -> None:
    (model,) = well("# é😀\nmodel a { # 😀\n  tok }").items
    step = model.block.statements[0]
    assert (step.span.line, step.span.column, step.span.text) == (3, 3, "tok")


def test_windows_texts() -> None:
    text = "\ufeff# a\r\nmodel a {\r\n\tgelu\r\n\tf(\r\n\t\tx y\r\n\t)\r\n}\r\n"
    (mistake,) = mistakes(text)
    assert (mistake.line, mistake.column) == (5, 4)
    assert well(text.replace("x y", "x, y")) == well("model a { gelu f(x, y) }")
