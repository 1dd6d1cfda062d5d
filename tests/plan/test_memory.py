"""Memory: what is predicted of it beside what tensors take."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import smrdsl
from smrdsl import native
from smrdsl.compiler import lower_source
from smrdsl.core.source import Source
from smrdsl.core.types import StreamType
from smrdsl.graph.cost import NATIVE
from smrdsl.lowering.layers import draw_for
from smrdsl.ops.contract import Operator
from smrdsl.ops.registry import operators
from smrdsl.plan.budget import Costs
from smrdsl.plan.regions import blocks, joined
from smrdsl.runtime.calibrate import ran_natively
from smrdsl.runtime.memory import kept, peak, training_peak
from smrdsl.runtime.timing import stream, work_of

LEAST, MOST = 0.6, 1.6
"""Of what is measured, that a prediction may be."""
BATCH, LENGTH = 3, 256
WIDTH = 32
CORES = [(name, s) for name, op in operators().items() if len(op.strategies) > 1 for s in op.strategies]
OTHERS = [
    (name, i) for name, op in operators().items() if op.layer and not op.strategies for i in range(len(op.samples))
]
BLOCKS = {
    "s4_block": "s4_block",
    "s5_block": "s5_block",
    "h3": "h3",
    "mamba": "residual { norm(rms)  mamba }",
    "mamba2": "residual { norm(rms)  mamba2(state=32, head=32) }",
    "mega": "mega",
    "spade": "spade(window=32)",
    "attention": "residual { norm(layer)  attention(heads=4) }  residual { norm(layer)  mlp }",
    "gated s4d": "residual { norm(layer)  smr(memory=4)  s4d  gelu  glu  dropout(0.1) }",
    "two ways": "residual { norm(layer)  bidirectional(merge=add) { ema } }",
}


def layer_of(op: Operator, p, inputs) -> nn.Module:
    layer = op.load_layer()(p, inputs, op.infer(p, inputs))
    if hasattr(layer, "reset_parameters"):
        layer.reset_parameters(draw_for(0, op.name))
    return layer


def streams_of(inputs, batch: int, length: int) -> list[Tensor]:
    made = [stream(i, batch, length) for i in inputs]
    return [u.requires_grad_() if u.is_floating_point() else u for u in made]


@pytest.mark.parametrize(("name", "strategy"), CORES)
def test_what_a_core_keeps_is_as_predicted(name: str, strategy: str) -> None:
    op = operators()[name]
    widths = (WIDTH, 16, 16, 2) if len(op.streams) > 1 else (WIDTH,)
    inputs = tuple(map(StreamType.real, widths))
    p = op.params.model_validate({"head": 16} if "head" in op.params.model_fields else {})
    layer = layer_of(op, p, inputs)
    by = strategy + NATIVE if ran_natively(work_of(layer, strategy, streams_of(inputs, 1, 2), False)) else strategy
    found = kept(lambda: layer(*streams_of(inputs, BATCH, LENGTH)), layer.parameters())
    cost = op.cost(p, inputs, op.infer(p, inputs), LENGTH, by)
    own = 4 * (BATCH * cost.activations + cost.once)
    assert LEAST < (own + 4 * BATCH * LENGTH * sum(widths)) / found < MOST


@pytest.mark.parametrize(("name", "sample"), OTHERS)
def test_what_other_operators_keep_is_as_predicted(name: str, sample: int) -> None:
    op = operators()[name]
    p, inputs = op.samples[sample]
    if any(i.paired for i in inputs) or getattr(p, "tie", None) is not None:
        pytest.skip("of these a graph is needed")
    length = min(LENGTH, getattr(p, "max_length", None) or LENGTH)
    layer, output = layer_of(op, p, inputs), op.infer(p, inputs)
    streams = streams_of(inputs, BATCH, length)
    found = kept(lambda: layer(*streams), [*layer.parameters(), *layer.buffers()])
    by = NATIVE if native.available() else ""
    cost = op.cost(p, inputs, output, length, by)
    own = 4 * (BATCH * cost.activations + cost.once)
    passing = sum(u.untyped_storage().nbytes() for u in streams) if cost.inputs else 0
    passing += 4 * BATCH * output.width * (length if output.timed else 1) if cost.output else 0
    small = 4 * (BATCH * length + 4096)  # counters, tables of positions
    assert own + passing < MOST * found + small
    assert found < (own + passing) / LEAST + small


def model_of(text: str, **options) -> smrdsl.CompiledModel:
    library = "".join(
        f'import "std/{n}.smr"\n' for n in ("s4_block", "s5_block", "h3", "mamba", "mamba2", "mega", "spade")
    )
    text = f"{library}model m {{ signal(channels=8)  linear({WIDTH})  repeat 2 {{ {text} }}  linear(2) }}"
    return smrdsl.compile_text(text, length=LENGTH, batch=BATCH, **options)


def taken_by(model: smrdsl.CompiledModel) -> int:
    return training_peak(model, torch.randn(BATCH, LENGTH, 8))


@pytest.mark.parametrize("name", BLOCKS)
def test_the_peak_of_training_is_as_predicted(name: str) -> None:
    model = model_of(BLOCKS[name])
    assert LEAST < model.plan.memory.peak / taken_by(model) < MOST


def compiled(budget: int | str | None = None, depth: int = 4, **options) -> smrdsl.CompiledModel:
    text = f"""model m {{
      signal(channels=8)  linear(32)
      repeat {depth} {{ residual {{ norm(layer)  s4d(state=8)  gelu  glu  dropout(0.2) }} }}
      pool  linear(2)
    }}"""
    return smrdsl.compile_text(text, **{"length": LENGTH, "batch": BATCH, "memory": budget, **options})


def test_a_plan_fits_in_its_budget_and_so_does_the_model() -> None:
    free = compiled()
    budget = free.plan.memory.peak * 6 // 10
    tight = compiled(budget)
    assert free.plan.recompute == ()
    assert tight.plan.recompute
    assert tight.plan.memory.peak <= budget < free.plan.memory.peak
    taken = taken_by(tight)
    assert LEAST < tight.plan.memory.peak / taken < MOST
    assert taken < taken_by(free)
    assert tight.plan.again > 0


def test_less_memory_takes_more_time() -> None:
    most = compiled().plan.memory.peak
    again = [compiled(most * part // 20).plan.again for part in (20, 16, 12)]
    assert 0 == again[0] < again[1] <= again[2]


def test_no_region_is_run_again_that_need_not_be() -> None:
    budget = compiled().plan.memory.peak * 7 // 10
    plan = compiled(budget).plan
    costs = Costs(compiled().graph, plan.conditions)
    for region in plan.recompute:
        fewer = tuple(r for r in plan.recompute if r != region)
        assert costs.memory(plan.strategies, fewer).peak > budget


def test_a_strategy_that_takes_less_is_chosen_where_memory_is_short() -> None:
    text = "model m { signal(channels=16)  ssd(state=16, head=8)  linear(2) }"
    free = smrdsl.compile_text(text, length=16, batch=2).plan
    choice = free.choices["ssd"]
    least = min(choice.memory, key=choice.memory.__getitem__)
    other = next(s for s in choice.memory if s != least)
    assert choice.memory[least] < choice.memory[other]
    text = text.replace("linear(2)", f"linear(2)  execute ssd as {other}")
    forced = smrdsl.compile_text(text, length=16, batch=2).plan
    with pytest.raises(smrdsl.SmrError, match="at least"):  # what the spec asks for stays
        smrdsl.compile_text(text, length=16, batch=2, memory=forced.memory.peak - 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch": 8}, r"training by AdamW at length 256 and batch 8 needs .* at least; 1 MiB holds batch \d"),
        ({"batch": 8, "length": 4096}, r"batch 1 .*; 1 MiB holds batch 1 of length [\d,]+"),
        ({"depth": 60}, "the weights and what goes with them alone are"),
        ({"batch": 800, "mode": "infer"}, r"inference at length 256 and batch 800 needs .*; 1 MiB holds batch \d+"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(options, told) -> None:
    with pytest.raises(smrdsl.SmrError, match=told):
        compiled("1MiB", **options)


def test_the_batch_that_a_refusal_names_fits_and_the_next_does_not() -> None:
    with pytest.raises(smrdsl.SmrError) as error:
        compiled("1MiB", batch=50)
    batch = int(str(error.value).rpartition(" ")[2])
    assert compiled("1MiB", batch=batch).plan.memory.peak <= 2**20
    with pytest.raises(smrdsl.SmrError, match="at least"):
        compiled("1MiB", batch=batch + 1)


@pytest.mark.parametrize("wrong", ["", "2 apples", "0", "-3GiB", 0, True, 1.5])
def test_what_is_no_number_of_bytes(wrong) -> None:
    with pytest.raises(smrdsl.SmrError, match="memory must be bytes"):
        compiled(wrong)


def test_a_model_is_planned_anew_for_less_memory_and_back() -> None:
    model = compiled()
    before = model.plan.memory.peak
    model.replan(memory=before * 6 // 10)
    assert "again" in model.fx.code
    assert model.replan(memory=None).recompute == ()
    assert "again" not in model.fx.code


def graph_of(text: str):
    return lower_source(Source("<text>", f"model m {{ signal(channels=4)  {text} }}")).graph


def test_blocks_are_what_one_stream_goes_into_and_out_of() -> None:
    named = [r.name for r in blocks(graph_of("linear(8)  repeat 3 { residual { gelu  linear(8) }  tanh }  linear(2)"))]
    assert named == ["layers.0", "layers.1", "layers.2"]
    crossing = graph_of("a: linear(4)  repeat 2 { gelu  linear(4) }  residual { silu }  b: linear(2)")
    assert [r.keys[-1] for r in blocks(crossing)] == ["layers.0.linear", "layers.1.linear", "residual"]


def test_statistics_of_a_batch_are_not_taken_twice() -> None:
    assert [r.name for r in blocks(graph_of("repeat 2 { gelu  linear(4) }  repeat 2 { norm(batch)  gelu }"))] == [
        "layers.0",
        "layers.1",
    ]


def test_blocks_join_where_they_follow_one_another() -> None:
    parts = blocks(graph_of("repeat 5 { residual { gelu  linear(4) } }"))
    assert [r.name for r in joined(parts, 2)] == ["layers.0 to layers.1", "layers.2 to layers.3", "layers.4"]
    assert sum(len(r.keys) for r in joined(parts, 4)) == sum(len(r.keys) for r in parts)


def test_a_stream_that_two_keep_counts_once() -> None:
    both = "parallel(merge=add) { branch { linear(64) }  branch { linear(64) } }"
    kept_by = [
        smrdsl.compile_text(f"model m {{ signal(channels=64)  {t} }}").plan.memory.kept for t in ("linear(64)", both)
    ]
    assert kept_by[0] == kept_by[1]


def test_in_inference_nothing_is_kept() -> None:
    plan = compiled(mode="infer").plan
    assert plan.memory.kept == plan.memory.gradients == plan.memory.optimiser == 0
    assert plan.memory.peak < compiled().plan.memory.peak


def test_decoding_holds_a_state() -> None:
    model = compiled(mode="decode", length=1, batch=7)
    state = sum(part.nbytes for part in model.initial_state(7).values())
    assert model.plan.memory.state == 2 * state


def test_peak_counts_what_is_alive_and_no_more() -> None:
    def work() -> None:
        for _ in range(3):
            torch.zeros(1000) + 1

    assert peak(work) == 2 * 4000
    assert peak(lambda: None, [torch.zeros(10)]) == 40
