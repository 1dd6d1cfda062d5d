"""The standard library as its users meet it: edits reach inside, any core stands in Mega's slot, everything streams."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import smrdsl
from smrdsl.ops.registry import families
from smrdsl.runtime.model import CompiledModel
from smrdsl.spec.library import library

STD = Path(smrdsl.__file__).parent / "std"
HOSTS = {
    "s4_block": ("s4_block(4)", "s4"),
    "s5_block": ("s5_block(4)", "s5"),
    "mamba": ("mamba(3)", "s6"),
    "mamba2": ("mamba2(state=4, head=4)", "ssd_scan"),
    "mega": ("mega(state=2, qk=4)", "ema"),
    "mega_chunk": ("mega_chunk(state=2, qk=4, chunk=3)", "ema"),
    "spade": ("spade(state=4, heads=2, window=3)", "s4"),
    "h3": ("h3(state=4, shift=3)", "s4d"),
}
"""Component -> how it is called, and the core inside."""
MAMBA2_CORE = "ssd_scan"
"""It reads four streams, so it cannot stand where one flows."""


def spec(component: str, edits: str = "", call: str | None = None) -> str:
    call = call or HOSTS[component][0]
    return (
        f'import "{library()[component].file}"\n'
        f"model base {{ signal(channels=3)  linear(8)  repeat 2 {{ residual {{ norm(rms)  {call} }} }}  linear(2) }}\n"
        f"model twin extends base {{ {edits} }}"
    )


def streams(model: CompiledModel) -> bool:
    """Whether stepping gives what the whole sequence gives."""
    u = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y, state = model(u), model.initial_state(2)
        for t in range(7):
            last, state = model.step(u[:, t], state)
    return torch.allclose(last, y[:, -1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("host", HOSTS)
def test_smr_is_placed_before_the_core_of_every_host(host: str) -> None:
    text = spec(host, "place smr(memory=8, init=random) before ssm")
    base = smrdsl.compile_text(text, "base", dtype="float64", mode="infer")
    twin = smrdsl.compile_text(text, "twin", dtype="float64", mode="infer")
    gates = [k for k in twin.graph.keys if twin.graph.node(k).op.name == "smr"]
    assert len(gates) == 2
    for gate in gates:
        assert [twin.graph.node(r).op.name for r in twin.graph.readers(gate)] == [HOSTS[host][1]]
    ours, theirs = twin.state_dict(), base.state_dict()
    assert {k for k in ours if ".smr." not in k} == set(theirs)
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)
    assert streams(twin)


@pytest.mark.parametrize("core", [c for c in families()["ssm"] if c != MAMBA2_CORE])
def test_any_core_stands_in_the_slot_of_the_moving_average(core: str) -> None:
    argument = "head=4" if core == "ssd" else "state=4"
    model = smrdsl.compile_text(
        spec("mega", f"replace ema with {core}({argument})"), "twin", dtype="float64", mode="infer"
    )
    assert sum(node.op.name == core for _, node, _ in model.graph) == 2
    assert streams(model)


@pytest.mark.parametrize("act", ["gelu", "full_glu", "half_glu1", "half_glu2"])
def test_the_four_activations_of_s5(act: str) -> None:
    text = spec("s5_block", call=f"s5_block(4, act={act})")
    assert streams(smrdsl.compile_text(text, "base", dtype="float64", mode="infer"))


@pytest.mark.parametrize("combine", ["concat", "add", "stack"])
def test_the_three_ways_in_which_spade_combines(combine: str) -> None:
    text = spec("spade", call=f"spade(state=4, heads=2, window=3, combine={combine})")
    assert streams(smrdsl.compile_text(text, "base", dtype="float64", mode="infer"))


@pytest.mark.parametrize(
    ("call", "told"),
    [("s5_block(4, act=relu)", "act is gelu, full_glu"), ("spade(combine=mean)", "combine is concat, add or stack")],
)
def test_a_word_that_is_none_of_the_choices(call: str, told: str) -> None:
    (error,) = smrdsl.check_text(spec(call.partition("(")[0], call=call))
    assert told in error.message


@pytest.mark.parametrize("path", sorted(STD.glob("*.smr")), ids=lambda p: p.stem)
def test_its_files_are_right_and_in_the_one_style(path: Path) -> None:
    from smrdsl.core.errors import Report
    from smrdsl.core.source import Source
    from smrdsl.syntax.format import format_text

    assert smrdsl.check(path) == []
    text = path.read_text(encoding="utf-8")
    assert format_text(Source(str(path), text), Report()) == text


@pytest.mark.parametrize("name", [n for n in library() if n not in ("mamba2",)])
def test_a_layer_is_known_by_the_name_of_its_component(name: str) -> None:
    layer = smrdsl.layer(f"{name}", width=16)
    assert layer(torch.randn(1, 5, 16)).shape == (1, 5, 16)
