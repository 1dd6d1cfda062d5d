"""What the language means, rule by rule: small specs and the graphs that they stand for."""

from __future__ import annotations

from pathlib import Path

import pytest

from smrdsl.compiler import lower_source
from smrdsl.core.errors import SpecError
from smrdsl.core.source import Source
from smrdsl.graph.graph import Graph
from smrdsl.spec.resolve import check_text


def graph(text: str, model: str | None = None, **settings: object) -> Graph:
    return lower_source(Source("<text>", text), model=model, set=settings).graph


def keys(body: str, head: str = "") -> list[str]:
    """The keys of the nodes behind the input of a model with this body."""
    return list(graph(f"{head} model m {{ signal(channels=4) {body} }}").keys)[1:]


def reads(g: Graph) -> dict[str, tuple[str, ...]]:
    return {k: g.inputs(k) for k in g.keys}


# --- names of parameters


def test_later_steps_of_a_name_are_numbered_on_their_path() -> None:
    assert keys("gelu gelu residual { gelu norm(layer) } norm(rms)") == [
        "gelu", "gelu_2", "gelu_3", "norm", "residual", "norm_2",
    ]  # fmt: skip


def test_both_arms_of_a_when_are_counted() -> None:
    assert keys("when false { gelu } else { silu } gelu") == ["silu", "gelu_2"]


def test_bodies_are_counted_where_they_are_put() -> None:
    head = "component wraps { gelu body gelu }"
    assert keys("wraps { gelu }", head) == ["wraps.gelu", "wraps.gelu_2", "wraps.gelu_3"]


def test_each_body_is_a_fresh_copy() -> None:
    head = "component twice { body residual { body } }"
    assert keys("twice { linear(4) }", head) == ["twice.linear", "twice.linear_2", "twice.residual"]


def test_repeats_branches_directions_and_labels_make_paths() -> None:
    body = """repeat 2 { gelu } stack: repeat 1 { gelu }
      parallel(merge=add) { branch { gelu } branch { silu } }
      bidirectional(merge=add) { linear(4) }
      mix: residual { gelu }"""
    found = keys(body)
    assert found[:3] == ["layers.0.gelu", "layers.1.gelu", "stack.0.gelu"]
    assert {"branch.0.gelu", "branch.1.silu", "parallel", "ahead.linear", "back.linear"} <= set(found)
    assert found[-2:] == ["mix.gelu", "mix.residual"]


def test_a_second_repeat_and_a_second_parallel_are_numbered() -> None:
    found = keys("repeat 1 { gelu } repeat 1 { gelu } parallel(merge=add) { branch { gelu } } "
                 "parallel(merge=add) { branch { gelu } }")  # fmt: skip
    assert {"layers.0.gelu", "layers_2.0.gelu", "branch.0.gelu", "branch_2.0.gelu"} <= set(found)


def test_placed_steps_are_counted_after_the_written_ones() -> None:
    g = graph("model m { signal(channels=4) norm(layer) linear(4) norm(rms) place norm(rms) before linear }")
    assert g.inputs("linear") == ("norm_3",)
    assert g.inputs("norm_3") == ("norm",)


def test_a_prefixed_component_has_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "lib.smr").write_text("let n = 6\ncomponent pre { linear(n) }\ncomponent _hidden { skip }")
    text = 'import "lib.smr" as zoo\nmodel m { signal(channels=4) zoo.pre linear(zoo.n + 1) }'
    g = lower_source(Source("x", text), tmp_path / "main.smr").graph
    assert list(g.keys) == ["signal", "pre.linear", "linear"]
    assert g.node("linear").type.width == 7


# --- scope, width, words


def test_width_follows_the_stream_unless_a_parameter_has_its_name() -> None:
    assert graph("model m { signal(channels=4) linear(2 * width) linear(width + 1) }").node("linear_2").type.width == 9
    assert graph("model m(width = 3) { signal(channels=4) linear(8) linear(width) }").node("linear_2").type.width == 3


def test_a_component_sees_its_input_its_parameters_and_its_file_only() -> None:
    head = "let five = 5 component c(inner = 2 * width, more = inner + five) { linear(more) }"
    assert graph(f"{head} model m {{ signal(channels=4) c }}").node("c.linear").type.width == 13
    (problem,) = check_text("component c { linear(n) } model m(n = 2) { signal(channels=1) c }")
    assert (problem.code, problem.message) == ("E0201", "unknown name `n`")


def test_names_in_a_body_are_the_callers_and_its_stream_is_the_places() -> None:
    head = "component c { linear(6) body }"
    g = graph(f"{head} model m {{ signal(channels=4) let k = 3 x := it c {{ linear(width + k + x.width) }} }}")
    assert g.node("c.linear_2").type.width == 6 + 3 + 4


def test_a_member_of_an_arguments_words_is_always_the_member() -> None:
    g = graph("model m(layer = 3) { signal(channels=4) norm(layer) repeat 1 as rms { norm(rms) } }")
    assert [g.node(k).params.kind for k in ("norm", "layers.0.norm")] == ["layer", "rms"]


def test_words_are_passed_on_and_compared() -> None:
    text = "component c(kind) { when kind == rms { norm(kind) } else { gelu } } model m { signal(channels=4) c(rms) c(other) }"
    assert list(graph(text).keys)[1:] == ["c.norm", "c_2.gelu"]


def test_inner_hides_outer_and_taps_end_with_their_block() -> None:
    g = graph("model m(n = 2) { signal(channels=4) x := it residual { let n = 4 x := it |> gelu it := x } linear(n) it := x2 |> linear(1) }"
              .replace("x2", "it"))  # fmt: skip
    assert g.node("linear").type.width == 2
    (problem,) = check_text("model m { signal(channels=4) residual { y := it gelu } it := y }")
    assert problem.code == "E0201"


def test_whole_and_real_numbers_are_distinct() -> None:
    g = graph(
        "model m { signal(channels=4) linear(7 // 2) dropout(1 / 4) linear(ceil(7 / 2)) linear(2 ** 3 - -1 % 3) }"
    )
    widths = [g.node(k).type.width for k in ("linear", "linear_2", "linear_3")]
    assert widths == [3, 4, 6]


# --- flows


def test_flows_and_arithmetic() -> None:
    g = graph("model m { signal(channels=4) x := it h := x |> linear(4) |> silu it := 2 * h + (x |> gelu) / 2 - 1 }")
    assert g.inputs("add") == ("scale", "scale_2")
    assert [g.node(k).params.value for k in ("scale", "scale_2", "shift")] == [2.0, 0.5, -1.0]
    g = graph("model m { signal(channels=4) it := 1 - it it := -it * it }")
    assert reads(g)["mul"] == ("neg_2", "shift")


# --- edits


BASE = """
component block(n = 1, kind = plain) { residual { norm(layer)  core: linear(width)  gelu } }
model base(depth = 3, extra = 5) {
  signal(channels=4)
  repeat depth as i { block(n=i) }
  linear(2)
}
"""


def edited(edits: str) -> Graph:
    return graph(f"{BASE} model twin extends base {{ {edits} }}", "twin")


def test_before_changes_the_first_input_and_after_every_reader() -> None:
    g = edited("place silu before residual  place tanh after norm where i == 0")
    assert g.inputs("layers.0.block.residual") == ("layers.0.block.silu", "layers.0.block.gelu")
    assert g.inputs("layers.0.block.core") == ("layers.0.block.tanh",)
    assert g.inputs("layers.1.block.core") == ("layers.1.block.norm",)


def test_after_a_component_goes_to_all_that_follow_it() -> None:
    g = edited("place silu after block where n == 2")
    assert g.inputs("linear") == ("layers.2.silu",)
    assert g.inputs("layers.2.silu") == ("layers.2.block.residual",)


def test_before_a_component_moves_all_that_reads_what_enters_it() -> None:
    g = edited("place silu before block where i == 1")
    assert g.inputs("layers.1.block.norm") == ("layers.1.silu",)
    assert g.inputs("layers.1.block.residual")[0] == "layers.1.silu"


def test_a_component_is_removed_or_replaced_as_a_whole() -> None:
    g = edited("remove block where i < 2  replace block with conv1d(3)")
    assert list(g.keys) == ["signal", "layers.2.conv1d", "linear"]


def test_replace_keeps_the_label() -> None:
    g = edited("replace core with mlp(2 * width + i + extra) where i > 0")
    assert g.node("layers.0.block.core").op.name == "linear"
    assert g.node("layers.2.block.core").params.hidden == 2 * 4 + 2 + 5
    assert g.node("layers.2.block.core").label == "core"


def test_the_arguments_of_a_component_are_seen_when_it_is_selected() -> None:
    g = edited("replace block with mlp(width * (n + 1)) where kind == plain and i > 0")
    assert g.node("layers.2.mlp").params.hidden == 4 * 3
    assert "layers.0.block.core" in g.keys


def test_arguments_of_what_is_selected_are_seen_with_their_defaults() -> None:
    g = graph("model m { signal(channels=4) dropout(0.5) dropout(0.1) norm(layer) norm(rms) "
              "remove dropout where p > 0.2 and not tied  replace norm with gelu where kind == rms }")  # fmt: skip
    assert list(g.keys)[1:] == ["dropout_2", "norm", "gelu"]


def test_an_edit_never_selects_what_it_placed_but_later_ones_do() -> None:
    g = edited("place gelu after gelu where i == 0")
    assert [k for k in g.keys if "gelu" in k and k.startswith("layers.0")] == [
        "layers.0.block.gelu", "layers.0.block.gelu_2",
    ]  # fmt: skip
    assert "layers.0.block.gelu_2" not in edited("place gelu after gelu where i == 0  remove gelu").keys


def test_families_select_all_of_theirs_and_no_smr() -> None:
    text = "model m { signal(channels=4) smr s4d(state=2) s4(state=2) attention(heads=2) place affine before ssm place skip before mixer }"
    g = graph(text)
    assert g.inputs("s4d") == ("skip",)
    assert g.inputs("skip") == ("affine",)
    assert g.inputs("affine") == ("smr",)
    assert g.inputs("attention") == ("skip_3",)


def test_edits_of_the_base_come_first_then_those_of_the_twin() -> None:
    text = "model a { signal(channels=4) gelu replace gelu with silu } model b extends a { place tanh after silu }"
    assert list(graph(text, "b").keys) == ["signal", "silu", "tanh"]


def test_types_are_inferred_anew_after_an_edit() -> None:
    g = graph(
        "model m { signal(channels=4) linear(8) norm(layer) linear(3) replace linear with linear(6) where width == 8 }"
    )
    assert g.node("norm").type.width == 6
    found = check_text("model m { signal(channels=4) residual { linear(4) } replace linear with linear(3) }")
    assert [d.code for d in found] == ["E0402"]


def test_a_condition_that_leaves_nothing_is_a_warning() -> None:
    (only,) = check_text("model m { signal(channels=4) repeat 2 as i { gelu } remove gelu where i > 7 }")
    assert (only.code, only.severity) == ("E0502", "warning")


def test_the_output_can_be_edited() -> None:
    assert graph("model m { signal(channels=4) gelu place silu after gelu }").output == "silu"
    assert graph("model m { signal(channels=4) gelu remove gelu }").output == "signal"


# --- models


def test_a_twin_without_a_list_has_what_it_leaves_open() -> None:
    text = "model a(w = 4, n = w) { signal(channels=1) linear(w) linear(n) } model b extends a(w = 2 * n) { } "
    with pytest.raises(SpecError):
        graph(text, "b", w=3)
    g = graph("model a(w = 4, n = 2) { signal(channels=1) linear(w) linear(n) } model b extends a(w = 8) { }", "b", n=5)
    assert [g.node(k).type.width for k in ("linear", "linear_2")] == [8, 5]


def test_a_twin_with_a_list_has_exactly_that() -> None:
    text = "model a(w = 4, n = 2) { signal(channels=1) linear(w) linear(n) } model b(k = 3) extends a(w = 2 * k) { }"
    assert graph(text, "b", k=5).node("linear").type.width == 10
    with pytest.raises(SpecError, match="no parameter `n`"):
        graph(text, "b", n=5)


def test_twins_of_twins() -> None:
    text = """model a(w = 4, n = 2) { signal(channels=1) linear(w) linear(n) gelu }
      model b extends a(w = 8) { remove gelu }  model c extends b(n = 7) { place silu after linear where width == 7 }"""
    g = graph(text, "c")
    assert [g.node(k).type.width for k in ("linear", "linear_2")] == [8, 7]
    assert g.output == "silu"


def test_ties_share_the_nearest_weight() -> None:
    g = graph(
        "model m { tokens(vocab=8) tok: embed(4) repeat 2 { own: linear(4) linear(4, tie=own) } linear(8, tie=tok) }"
    )
    assert g.node("layers.1.linear").shares == "layers.1.own"
    assert g.node("linear").shares == "tok"
    assert set(g.parameters("linear")) == {"bias"}


def test_a_timed_model_is_known_as_one() -> None:
    assert graph("model m { signal(channels=4, timed=true) s4d(state=4) }").timed


def test_a_library_is_checked_and_has_no_model() -> None:
    assert check_text("component c { gelu }") == []
    with pytest.raises(SpecError, match="no model"):
        graph("component c { gelu }")


def test_components_that_are_not_used_are_checked_for_names_and_arguments() -> None:
    found = check_text("component c { gelo linear(wide) norm(layer, epz=1) } model m { signal(channels=4) gelu }")
    assert [d.code for d in found] == ["E0202", "E0201", "E0301"]


def test_limits_are_told_with_the_figure() -> None:
    (only,) = check_text("model m { signal(channels=4) repeat 200_000 { gelu } }")
    assert only.code == "E0702"
    assert "100,000" in only.message


def test_components_nested_without_end_are_refused() -> None:
    chain = " ".join(f"component c{i} {{ c{i + 1} }}" for i in range(80)) + " component c80 { gelu }"
    (only,) = check_text(f"{chain} model m {{ signal(channels=4) c0 }}")
    assert only.code == "E0704"
