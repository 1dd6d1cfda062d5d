"""The passes that fuse: what each makes of a small graph, that it changes no number, and what makes it stand back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

import smrdsl
from smrdsl.compiler import lower_source, plan_lowered
from smrdsl.core.source import Source
from smrdsl.graph.show import show
from smrdsl.passes.order import FUSIONS, executed
from smrdsl.runtime.model import CompiledModel

NAMES = [p.name for p in FUSIONS]
MAPS = "linear(6) norm(batch) linear(5, bias=false) affine gelu linear(2) linear(8)"
WAYS = "bidirectional(merge=add) { s4d(state=2)  gelu } execute ssm as "
TERMS = "a := it |> s4d(state=2)  b := it |> ema(state=2)  c := it |> s4d(state=4)  it := (a + c) + b execute ssm as "
SUM = "parallel(merge=add) { branch { s4d(state=2) } branch { s4d(state=4) } } execute ssm as "
BODIES = [MAPS, *(body + way for body in (WAYS, SUM) for way in ("conv", "scan", "recurrent"))]


def compiled(body: str, **options: object) -> CompiledModel:
    text = f"model m {{ signal(channels=8) {body} }}"
    return smrdsl.compile_text(text, **{"mode": "infer", "dtype": "float64", **options})  # type: ignore[arg-type]


def fused(body: str, **options: object) -> str:
    """The graph that is executed, as text, without the nodes at its ends."""
    lowered = lower_source(Source("<text>", f"model m {{ signal(channels=8) {body} }}"))
    g, plan = plan_lowered(lowered, **{"mode": "infer", **options})  # type: ignore[arg-type]
    return "\n".join(line.strip() for line in show(executed(g, plan)).splitlines()[2:-1])


def signal(length: int = 40, **options: object) -> Tensor:
    return torch.randn(2, length, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def learnt(model: CompiledModel) -> CompiledModel:
    """The model after a batch norm has seen something."""
    with torch.no_grad():
        model.train()(signal())
    return model.eval()


# --- what is made of a graph


def test_maps_are_folded_but_not_what_is_narrow_between_what_is_wide() -> None:
    assert fused(MAPS) == (
        "affine = fold-maps(linear, norm, linear_2, affine) <- signal : (B, L, 5)\n"
        "gelu = gelu() <- affine : (B, L, 5)\n"
        "linear_3 = linear(width=2) <- gelu : (B, L, 2)\n"
        "linear_4 = linear(width=8) <- linear_3 : (B, L, 8)"
    )


def test_maps_stay_apart_in_training_and_where_another_reads_between() -> None:
    assert "fold-maps" not in fused(MAPS, mode="train")
    assert "fold-maps" not in fused("x := it |> linear(3)  it := (x |> linear(3)) + x")
    assert "fold-maps" not in fused("tok: linear(8, bias=false) gelu linear(8, tie=tok, bias=false) linear(2)")


def test_siblings_are_one_product_where_calls_take_the_time() -> None:
    body = "q := it |> linear(3)  k := it |> linear(3, bias=false)  it := q * k"
    assert fused(body, device="cuda") == (
        "linear_siblings = siblings(linear, linear_2) <- signal : (B, L, 3)\n"
        "linear = part(0) <- linear_siblings : (B, L, 3)\n"
        "linear_2 = part(1) <- linear_siblings : (B, L, 3)\n"
        "mul = mul() <- linear, linear_2 : (B, L, 3)"
    )
    assert "siblings" not in fused(body)


def test_a_core_between_reversals_runs_backwards() -> None:
    assert fused(WAYS + "scan") == (
        "ahead.s4d = s4d(state=2) <- signal as scan : (B, L, 8)\n"
        "back.s4d = both-directions(flip, back.s4d, flip_2) <- signal as scan : (B, L, 8)\n"
        "bidirectional = pointwise-chains(ahead.gelu, back.gelu, bidirectional) <- ahead.s4d, back.s4d : (B, L, 8)"
    )


def test_two_convolutions_share_a_transform() -> None:
    assert fused("bidirectional { s4d(state=2) } execute ssm as conv") == (
        "ahead.s4d_both_directions = both-directions(ahead.s4d, flip, back.s4d, flip_2) <- signal as conv : (B, L, 8)\n"
        "ahead.s4d = part(0) <- ahead.s4d_both_directions as conv : (B, L, 8)\n"
        "back.s4d = part(1) <- ahead.s4d_both_directions as conv : (B, L, 8)\n"
        "bidirectional = bidirectional() <- ahead.s4d, back.s4d : (B, L, 16)"
    )


def test_reversals_stay_around_what_sees_more_than_a_position() -> None:
    for inside in ("conv1d(2)", "s4d(state=2) conv1d(2)", "s5(state=4)", "s4d(state=2) norm(batch)"):
        assert "both-directions" not in fused(f"bidirectional {{ {inside} }}"), inside


def test_systems_that_are_added_are_one() -> None:
    assert fused(TERMS + "conv") == "add_2 = merge-systems(s4d, ema, s4d_2, add, add_2) <- signal : (B, L, 8)"
    assert "merge-systems" not in fused("a := it |> s4d(state=2)  it := a + (it |> gelu)")
    assert "merge-systems" not in fused("a := it |> s4d(state=2)  b := it |> s4d(state=2)  it := (a + b) * a")


def test_each_is_left_out_by_name() -> None:
    for body in BODIES:
        assert not set(NAMES) & set(fused(body, disable=NAMES).replace("(", " ").split())


# --- that no number changes


@pytest.mark.parametrize("body", [*BODIES, TERMS + "conv"])
def test_values_and_gradients_are_those_of_the_layers_apart(body: str) -> None:
    options = [{"mode": mode, "disable": disable} for mode in ("infer", "train") for disable in ((), NAMES)]
    found = []
    for option in options:
        model, u = learnt(compiled(body, **option)), signal().requires_grad_()
        y = model(u)
        found.append([y, *torch.autograd.grad(y.square().sum(), [u, *model.parameters()])])
        with torch.no_grad():
            found[-1].append(model(u))
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("body", [WAYS + "conv", WAYS + "recurrent", SUM + "conv"])
def test_rates_and_padding_mean_the_same(body: str) -> None:
    one, apart = compiled(body), compiled(body, disable=NAMES)
    u, lengths = signal(), torch.tensor([3, 40])
    torch.testing.assert_close(one(u, rate=1.5), apart(u, rate=1.5), rtol=1e-9, atol=1e-11)
    found, wanted = one(u, lengths=lengths), apart(u, lengths=lengths)
    for i, n in enumerate(lengths.tolist()):
        torch.testing.assert_close(found[i, :n], wanted[i, :n], rtol=1e-9, atol=1e-11)


def test_siblings_compute_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, where the pass would not run."""
    from smrdsl.passes.siblings import Siblings

    body = "q := it |> linear(3)  k := it |> linear(3, bias=false)  it := q * k + (it |> linear(3))"
    wanted = compiled(body)
    monkeypatch.setattr(Siblings, "fits", lambda self, conditions: True)
    model = compiled(body)
    assert "_fused.linear_siblings" in dict(model.named_modules())
    for length in (40, 1):
        u = signal(length)
        torch.testing.assert_close(model(u), wanted(u))
        torch.testing.assert_close(model.step(u[:, 0], {})[0], wanted.step(u[:, 0], {})[0])


def test_names_weights_and_copies_are_the_model_s() -> None:
    one, apart = compiled(MAPS), compiled(MAPS, disable=NAMES)
    assert list(one.state_dict()) == list(apart.state_dict())
    assert show(one.graph) == show(apart.graph)
    u = signal()
    twin = copy.deepcopy(learnt(one))
    torch.testing.assert_close(twin(u), one(u))
    with torch.no_grad():
        one(u)
        one.linear.weight.mul_(2)  # type: ignore[union-attr]
        one.norm.running_mean.add_(1)  # type: ignore[union-attr]
        apart.load_state_dict(one.state_dict())
        torch.testing.assert_close(one(u), apart(u))
        assert not torch.allclose(twin(u), one(u))


def test_disabled_passes_stay_so_after_another_plan() -> None:
    model = compiled(MAPS, disable=["fold-maps"])
    model.replan(length=7)
    assert "fold" not in model.fx.code
    assert "_fused.affine" not in model.fx.code
    model.replan(disabled=())
    assert "_fused.affine" in model.fx.code


# --- what makes it stand back


def test_a_model_for_inference_that_learns_takes_the_statistics_of_its_batch() -> None:
    one, apart = (compiled(MAPS, disable=disable).train() for disable in ((), NAMES))
    with torch.no_grad():
        torch.testing.assert_close(one(signal()), apart(signal()))
    torch.testing.assert_close(one.norm.running_mean, apart.norm.running_mean)  # type: ignore[union-attr]


def test_hooks_are_called_and_replaced_layers_are_used() -> None:
    model, u, seen = compiled(MAPS), signal(), []
    handle = model.linear.register_forward_hook(lambda *_: seen.append(1))  # type: ignore[union-attr]
    with torch.no_grad():
        before = model(u)
        handle.remove()
        torch.testing.assert_close(model(u), before)
        assert seen == [1]
        model.linear = nn.Linear(8, 6).double()
        assert not torch.allclose(model(u), before)


def test_a_compiled_and_an_exported_model_are_the_layers_apart() -> None:
    model, u = compiled(MAPS), signal()
    program = torch.export.export(model, (u,))
    assert "addmm" in str(program.graph) or "linear" in str(program.graph)
    torch.testing.assert_close(program.module()(u), model(u))
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(u), model(u))
