"""Compiled models under torch.compile, torch.export, and the wrappers that train on several machines."""

import copy

import pytest
import torch
import torch.distributed
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.export import Dim, export
from torch.nn.parallel import DistributedDataParallel

import smrdsl

SPEC = """model all {
  signal(channels=3)
  linear(4)
  smr(memory=2)
  s4d(state=2)
  s4(state=2)
  attention(heads=2, window=3)
  pool(mean)
}
"""


@pytest.fixture
def model():
    torch._dynamo.reset()
    return smrdsl.compile_text(SPEC, mode="infer")


def close(found, wanted):
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_forward_chunk_and_step_compile_as_one_graph(model, u):
    fast = torch.compile(model, fullgraph=True, backend="eager")
    close(fast(u), model(u))
    y, state = fast(u, return_state=True)
    wanted, wanted_state = model(u, return_state=True)
    close(y, wanted)
    close(state, wanted_state)
    close(fast(u, state=state, return_state=True)[0], model(u, state=state))
    step = torch.compile(model.step, fullgraph=True, backend="eager")
    close(step(u[:, 0], state), model.step(u[:, 0], state))


def test_gradients_of_a_compiled_model(u):
    torch._dynamo.reset()
    model = smrdsl.compile_text("model m { signal(channels=3) smr(memory=2) s4d(state=2) linear(2) }")
    fast = torch.compile(model, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(fast(u, rate=2.0).sum(), list(model.parameters()))
    close(found, torch.autograd.grad(model(u, rate=2.0).sum(), list(model.parameters())))


@torch.no_grad()
def test_tokens_and_gaps_compile():
    torch._dynamo.reset()
    text = "model m { tokens(vocab=5, timed=true) embed(4, positions=sinusoidal) s4d(state=2) }"
    model = smrdsl.compile_text(text, mode="infer")
    fast = torch.compile(model, fullgraph=True, backend="eager")
    tokens, dt = torch.tensor([[0, 4, 2]]), torch.tensor([[1.0, 2.0, 0.5]])
    close(fast(tokens, dt), model(tokens, dt))


def test_exported_for_any_batch_and_length(model, u):
    program = export(model, (u,), dynamic_shapes={"u": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}).module()
    for shape in ((2, 9), (5, 14), (3, 2)):
        other = torch.randn(*shape, 3)
        close(program(other), model(other))


def test_exported_as_a_chunk(u):
    text = "model m { signal(channels=3) linear(4) s4d(state=2) smr(memory=2) }"
    model = smrdsl.compile_text(text, mode="infer")
    state = model.initial_state(2)
    shapes = {"u": {0: Dim.DYNAMIC}, "state": {key: {0: Dim.DYNAMIC} for key in state}, "return_state": None}
    program = export(model, (u,), {"state": state, "return_state": True}, dynamic_shapes=shapes).module()
    other = torch.randn(4, 9, 3)
    y, after = program(other, state=model.initial_state(4), return_state=True)
    wanted, wanted_after = model(other, return_state=True)
    close(y, wanted)
    close(after, wanted_after)


@pytest.fixture
def process_group(tmp_path):
    """A group of this process alone."""
    place = f"file://{tmp_path}/rendezvous"
    torch.distributed.init_process_group("gloo", init_method=place, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def trained(module: nn.Module, u: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of one step."""
    module.train()
    module(u).square().sum().backward()
    return [getattr(p.grad, "full_tensor", lambda p=p: p.grad)() for p in module.parameters()]


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module .* returned a view")
def test_data_parallel_and_sharded(model, u, process_group):
    wanted = trained(copy.deepcopy(model), u)
    close(trained(DistributedDataParallel(copy.deepcopy(model)), u), wanted)
    mesh = init_device_mesh("cpu", (1,))
    whole, by_layer = copy.deepcopy(model), copy.deepcopy(model)
    for layer in [m for m in by_layer.modules() if not list(m.children()) and list(m.parameters())]:
        fully_shard(layer, mesh=mesh)
    for sharded in (whole, by_layer):
        fully_shard(sharded, mesh=mesh)
        close(trained(sharded, u), wanted)
        assert list(sharded.state_dict()) == list(model.state_dict())
