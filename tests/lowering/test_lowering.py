"""Layers under their paths, the three forms in torch.fx, and where each of their nodes comes from."""

import pytest
import torch
from torch import nn

import smrdsl
from smrdsl.compiler import lower_source
from smrdsl.core.source import Source
from smrdsl.lowering.layers import draw_for, make_layers, nest
from smrdsl.lowering.to_fx import FORMS, failed_at, to_fx

SPEC = """model m {
  tokens(vocab=7)
  tok: embed(4)
  repeat 2 { residual { smr(memory=2)  s4d(state=2) } }
  self: linear(4)
  linear(7, tie=tok)
}
"""


@pytest.fixture(scope="module")
def graph():
    return lower_source(Source("spec.smr", SPEC)).graph


def test_initial_values_depend_on_seed_path_and_name_alone(graph):
    layers = make_layers(graph, seed=5)
    other = lower_source(Source("x", SPEC.replace("smr(memory=2)", "").replace("self: linear(4)", ""))).graph
    for key, layer in make_layers(other, seed=5).items():
        for name, value in layer.state_dict().items():
            assert torch.equal(value, layers[key].state_dict()[name])
    places = ((0, "a", "w"), (1, "a", "w"), (0, "b", "w"), (0, "a", "v"), (0, "a.w", ""))
    draws = [draw_for(seed, path)(name).initial_seed() for seed, path, name in places]
    assert len(set(draws)) == len(draws)
    assert draw_for(0, "a")("w").initial_seed() == draws[0]


def test_layers_may_take_no_memory(graph):
    layers = make_layers(graph, seed=None, device="meta")
    wanted = make_layers(graph)
    assert layers.keys() == wanted.keys()
    for key, layer in layers.items():
        tensors = layer.state_dict()
        assert all(t.is_meta for t in tensors.values())
        shapes = {name: t.shape for name, t in wanted[key].state_dict().items()}
        assert {name: t.shape for name, t in tensors.items()} == shapes


def test_what_does_not_fit_into_memory_is_named(monkeypatch):
    def full(*shape, **options):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    g = lower_source(Source("m.smr", "model m {\n  signal(channels=2)\n  wide: linear(3)\n}")).graph
    monkeypatch.setattr(torch, "empty", full)
    told = r"m.smr:3:3: wide: linear\(3\): there is no memory for 9 parameters, 36 bytes"
    with pytest.raises(smrdsl.SmrError, match=told):
        make_layers(g)


def test_runs_of_numbers_are_lists_and_others_are_not():
    root = nest({key: nn.Linear(1, 1) for key in ("a.0", "a.1.x", "b.1", "c", "d.0.0")})
    assert isinstance(root.a, nn.ModuleList)
    assert isinstance(root.d[0], nn.ModuleList)
    assert not isinstance(root.b, nn.ModuleList)
    assert {name.rpartition(".")[0] for name in root.state_dict()} == {"a.0", "a.1.x", "b.1", "c", "d.0.0"}
    with pytest.raises(smrdsl.SmrError, match="every torch module has an attribute `forward`"):
        nest({"a.forward": nn.Linear(1, 1)})


@pytest.mark.parametrize("form", FORMS)
def test_each_node_says_where_it_comes_from(form, graph):
    module = to_fx(graph, nest(make_layers(graph)), form)
    assert [p.name for p in module.graph.nodes if p.op == "placeholder"] == (
        ["u", "rate"] if form == "parallel" else ["u", "state", "rate"]
    )
    places = {}
    for node in module.graph.nodes:
        if "spec" in node.meta:
            key, where = node.meta["spec"]
            places[key] = str(where)
            assert f'File "spec.smr", line {where.line}, in {key}' in node.stack_trace
    assert places["layers.1.s4d"] == "spec.smr:4:40"
    assert places["self"] == "spec.smr:5:3"
    assert places.keys() == set(graph.keys)


def test_the_node_that_failed_is_found(graph):
    layers = make_layers(graph)

    class Broken(nn.Module):
        def forward(self, *streams):
            raise ValueError("broken")

    layers["self"] = Broken()
    form = to_fx(graph, nest(layers), "parallel")
    with pytest.raises(ValueError, match="broken") as caught:
        form.forward(torch.zeros(1, 2, dtype=torch.int64))
    key, where = failed_at(form, caught.value)
    assert (key, where.line, where.text) == ("self", 5, "self: linear(4)")
    assert failed_at(to_fx(graph, nest(layers), "parallel"), caught.value) is None
    assert failed_at(form, ValueError("never raised")) is None
