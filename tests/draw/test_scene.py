"""Scene: which boxes and lines a picture has, and what is written on them."""

from collections.abc import Iterator

from smrdsl.draw.boxes import Box
from smrdsl.draw.forks import Frame
from smrdsl.draw.scene import Scene, scene
from tests.draw.graphs import COMPONENTS, HYBRID, QUICKSTART, TWO_WAYS, graph, model


def boxes(frame: Frame) -> Iterator[Box]:
    for item in frame.items:
        if isinstance(item, Box):
            yield item
        else:
            yield from boxes(item)


def told(s: Scene) -> dict[str, list[str]]:
    """What each box says, by its key."""
    return {box.key: [box.title, *box.details] for box in boxes(s.root)}


def labels(s: Scene) -> dict[tuple[str, str], str]:
    return {(line.source, line.target): f"{line.news} {line.note}".strip() for line in s.lines}


def frames(frame: Frame, depth: int = 0) -> list[str]:
    inner = [item for item in frame.items if isinstance(item, Frame)]
    return [
        line
        for f in inner
        for line in (
            "  " * depth + (f"{f.title} x {f.copies}" if f.copies > 1 else f.title),
            *frames(f, depth + 1),
        )
    ]


def test_headings_name_the_model_its_arguments_and_its_size():
    g = graph(QUICKSTART)
    s, size = scene(g), sum(p.size for key in g.keys for p in g.parameters(key).values())
    assert (s.title, s.subtitle) == ("quickstart", ("hidden = 16, depth = 4", f"{size:,} parameters"))


def test_a_box_says_its_label_and_what_matters_of_its_arguments():
    g = model("mix: s4d(state=4)  linear(8, bias=false)  gelu  norm  mlp  execute mix as scan")
    says = told(scene(g))
    assert says["mix"] == ["mix: s4d", "state=4", "as scan"]
    assert says["linear"] == ["linear", "width=8, bias=false"]
    assert says["gelu"] == ["gelu"]
    assert says["norm"] == ["norm", "kind=layer"]
    assert says["mlp"] == ["mlp"], "`hidden` was not given, so there is nothing to tell"


def test_widths_stand_where_they_change():
    s = scene(graph(QUICKSTART))
    assert labels(s) == {
        **{(line.source, line.target): "" for line in s.lines},
        ("signal", "linear"): "(B, L, 1)",
        ("linear", "linear>layers.0"): "16",
        ("pool", "linear_2"): "(B, 16)",
        ("linear_2", "return"): "(B, 10)",
    }


def test_a_type_is_told_once_where_a_stream_is_read_twice():
    s = scene(model("linear(4)  a := it  x := a |> gelu  it := x + a"))
    assert [line.news for line in s.lines if line.source == "linear"] == ["4", ""]


def test_the_way_round_of_a_residual_forks_inside_its_layer():
    s = scene(graph(QUICKSTART))
    around = [(line.source, line.target) for line in s.lines if line.bypass]
    assert around[1] == ("layers.0.residual>layers.1", "layers.1.residual")
    assert len(around) == 4
    into = [line for line in s.lines if line.target == "layers.0.residual>layers.1"]
    assert [(line.source, line.arrow) for line in into] == [("layers.0.residual", False)]


def test_branches_are_no_bypass():
    assert not any(line.bypass for line in scene(graph(TWO_WAYS)).lines)


def test_a_stream_that_is_read_twice_by_one_node_has_two_lines():
    s = scene(model("linear(8)  it := it * it"))
    assert [(line.source, line.target) for line in s.lines].count(("linear", "mul")) == 2


def test_joins_have_signs():
    g = graph(TWO_WAYS)
    says = told(scene(g))
    assert [says[key][0] for key in ("flip", "bidirectional", "parallel")] == ["reverse", "concat", "+"]
    arithmetic = "x := it  it := 2 * x - (x / 4) + 1  it := -it"
    s = scene(model(arithmetic, "residual(scale=0.5) { gelu }  gated(silu) { gelu }"))
    says = told(s)
    assert [says[key][0] for key in ("scale", "scale_2", "sub", "shift", "neg", "residual", "gated")] == [
        "× 2", "× 0.25", "+", "+ 1", "−", "+", "×",
    ]  # fmt: skip
    notes = {line.target: line.note for line in s.lines if line.note}
    assert notes == {"sub": "−", "residual": "× 0.5", "gated": "silu"}


def test_folded_layers_have_one_line_in_and_one_out():
    s = scene(graph(HYBRID), fold=True)
    assert frames(s.root) == ["layers.0-7 x 2", "  layers.0-2 x 3", "  layers.3"]
    inside = {box.key for item in s.root.items if isinstance(item, Frame) for box in boxes(item)}
    into = [line for line in s.lines if line.source not in inside and line.target in inside]
    out_of = [line for line in s.lines if line.source in inside and line.target not in inside]
    assert (len(into), len(out_of)) == (1, 1)


def test_titles_of_frames_leave_out_the_frames_around():
    assert frames(scene(graph(COMPONENTS), fold=True).root) == ["layers.0-2 x 3", "  prenorm", "  ffn"]
    assert frames(scene(graph(COMPONENTS)).root)[:3] == ["layers.0", "  prenorm", "  ffn"]


def test_closed_components_are_one_box():
    s = scene(graph(COMPONENTS), fold=True, close=True)
    says = told(s)
    assert list(says) == ["tokens", "tok", "layers.0.prenorm", "layers.0.ffn", "head", "return"]
    assert says["layers.0.prenorm"][:2] == ["prenorm", "norm, smr, s4d"]
    assert [(line.source, line.target) for line in s.lines] == [
        ("tokens", "tok"),
        ("tok", "layers.0.prenorm"),
        ("layers.0.prenorm", "layers.0.ffn"),
        ("layers.0.ffn", "head"),
        ("head", "return"),
    ]


def test_tooltips_say_where_a_step_was_written():
    (tied,) = [box for box in boxes(scene(graph(COMPONENTS)).root) if box.key == "head"]
    assert tied.tooltip == (
        "head",
        "linear(width=32, tie=tok)",
        "(B, L, 8) -> (B, L, 32)",
        "32 parameters: bias (32,)",
        "shares the weight of tok",
        "spec.smr:8:3: head: linear(32, tie=tok)",
    )


def test_the_streams_of_an_operator_have_their_names():
    steps = "q := it |> linear(4)  k := it |> linear(4)  it := attend(q, k, it, act=laplace)"
    assert labels(scene(model(steps))) == {
        ("signal", "linear"): "(B, L, 8)",
        ("signal", "linear_2"): "",
        ("linear", "attend"): "4 q",
        ("linear_2", "attend"): "4 k",
        ("signal", "attend"): "v",
        ("attend", "return"): "(B, L, 8)",
    }
