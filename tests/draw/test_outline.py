"""Outline: the parts of a model, and equal layers that stand once."""

from hypothesis import given, settings
from hypothesis import strategies as st

from smrdsl.draw.outline import Part, outline
from tests.draw.graphs import COMPONENTS, HYBRID, QUICKSTART, TWO_WAYS, graph, model


def titles(part: Part, depth: int = 0) -> list[str]:
    """The parts below one, one line each: its path, its kind and how often it stands there."""
    lines = []
    for inner in part.parts:
        times = f" x {inner.copies}" if inner.copies > 1 else ""
        lines += [f"{'  ' * depth}{inner.path} ({inner.kind}){times}", *titles(inner, depth + 1)]
    return lines


def test_every_node_has_its_place():
    g = graph(COMPONENTS)
    plan = outline(g)
    assert sorted(plan.root.keys()) == sorted(g.keys)
    assert titles(plan.root) == [
        "layers (layers)",
        "  layers.0 (layer)",
        "    layers.0.prenorm (component)",
        "    layers.0.ffn (component)",
        "  layers.1 (layer)",
        "    layers.1.prenorm (component)",
        "    layers.1.ffn (component)",
        "  layers.2 (layer)",
        "    layers.2.prenorm (component)",
        "    layers.2.ffn (component)",
    ]


def test_branches_and_directions_are_no_layers():
    assert titles(outline(graph(TWO_WAYS), fold=True).root) == [
        "ahead (direction)",
        "back (direction)",
        "branch (branches)",
        "  branch.0 (branch)",
        "  branch.1 (branch)",
    ]


def test_equal_layers_stand_once():
    plan = outline(graph(QUICKSTART), fold=True)
    assert titles(plan.root) == ["layers (layers)", "  layers.0-3 (run) x 4"]
    assert plan.shown["layers.3.smr"] == "layers.0.smr"
    assert len(list(plan.root.keys())) == 11


def test_a_pattern_of_layers_stands_once():
    assert titles(outline(graph(HYBRID), fold=True).root) == [
        "layers (layers)",
        "  layers.0-7 (run) x 2",
        "    layers.0-2 (run) x 3",
        "    layers.3 (layer)",
    ]


def test_repeats_in_repeats_fold_too():
    g = model("repeat 3 { repeat 2 { gelu } relu }")
    plan = outline(g, fold=True)
    assert titles(plan.root) == [
        "layers (layers)",
        "  layers.0-2 (run) x 3",
        "    layers.0.layers (layers)",
        "      layers.0.layers.0-1 (run) x 2",
    ]
    assert plan.shown["layers.2.layers.1.gelu"] == "layers.0.layers.0.gelu"


def test_a_layer_that_differs_in_one_argument_stands_alone():
    text = QUICKSTART.replace("linear(10)\n", "linear(10)\n  execute s4 as scan where i == 1\n")
    assert titles(outline(graph(text), fold=True).root) == [
        "layers (layers)",
        "  layers.0 (layer)",
        "  layers.1 (layer)",
        "  layers.2-3 (run) x 2",
    ]


def test_layers_that_read_different_streams_are_not_equal():
    g = model("a := it  repeat 3 as i { b := it  gelu  when i < 2 { it := it + a } else { it := it + b } }")
    kinds = [part.kind for part in outline(g, fold=True).root.parts[0].parts]
    assert kinds == ["layer", "layer", "layer"], "the first reads `a` in two roles, the last does not read it"


def test_layers_that_read_the_same_tap_are_equal():
    g = model("linear(8)  a := it  gelu  repeat 3 { linear(8)  it := it * a }")
    assert titles(outline(g, fold=True).root)[1:] == ["  layers.0-2 (run) x 3"]


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["gelu", "relu", "linear(8)"]), min_size=2, max_size=12))
def test_what_stands_for_a_node_is_equal_to_it(choices):
    arms = " else ".join(f"when i == {i} {{ {step} }}" for i, step in enumerate(choices[:-1]))
    g = model(f"repeat {len(choices)} as i {{ residual {{ {arms} else {{ {choices[-1]} }} }} }}")
    plan = outline(g, fold=True)
    shown = set(plan.root.keys())
    for key, stand_in in plan.shown.items():
        one, other = g.node(key), g.node(stand_in)
        assert stand_in in shown
        assert (one.op.name, one.params, one.type) == (other.op.name, other.params, other.type)
    assert sum(count_layers(part) for part in plan.root.parts) == len(choices)


def count_layers(part: Part) -> int:
    """How many layers a part stands for."""
    inner = [p for p in part.parts if p.kind in ("layer", "run")]
    return part.copies * (sum(map(count_layers, inner)) if inner else part.kind in ("layer", "run"))
