"""Stages: a model in parts, for pipelines."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import torch
from torch import nn

import smrdsl
from smrdsl.runtime.model import CompiledModel

LAYER = "residual { norm  s4d(state=4)  gelu  glu }"
MIDDLE = "bidirectional(merge=add) { s4d(state=2) }"
STACK = f"tokens(vocab=32)  embed(16)  {LAYER * 2}  {MIDDLE}  {LAYER * 2}  linear(32)"


def compiled(body: str, **options: object) -> CompiledModel:
    return smrdsl.compile_text(f"model m {{ {body} }}", mode="infer", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_stages_one_behind_the_other_are_the_model(count: int) -> None:
    model, u = compiled(STACK), torch.randint(0, 32, (2, 30))
    stages = model.stages(count)
    assert len(stages) == count
    torch.testing.assert_close(nn.Sequential(*stages)(u), model(u), rtol=0, atol=0)


def test_each_weight_belongs_to_one_stage_and_is_the_model_s() -> None:
    model = compiled(STACK)
    held = [{id(p) for p in stage.parameters()} for stage in model.stages(3)]
    assert sum(map(len, held)) == len(set().union(*held))
    assert set().union(*held) == {id(p) for p in model.parameters()}


def test_gradients_flow_through_all_stages() -> None:
    model, u = compiled(STACK), torch.randint(0, 32, (2, 30))
    wanted = torch.autograd.grad(model(u).square().sum(), [*model.parameters()])
    found = torch.autograd.grad(nn.Sequential(*model.stages(3))(u).square().sum(), [*model.parameters()])
    torch.testing.assert_close(found, wanted)


def test_the_work_is_shared_out_evenly() -> None:
    model = compiled("signal(channels=8) " + "linear(8, bias=false) " * 12, disable=["fold-maps"])
    sizes = [sum(p.numel() for p in stage.parameters()) for stage in model.stages(4)]
    assert sizes == [3 * 64] * 4


def test_two_processes_that_run_it_as_a_pipeline_learn_the_same() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-m", "tests.lowering.pipeline"], capture_output=True, text=True, timeout=120, env=environment
    )
    apart = [float(found) for found in re.findall(r"weights, apart by (\d\.\de[+-]\d+)", done.stdout)]
    assert len(apart) == 2, done.stderr
    assert max(apart) < 1e-5


@pytest.mark.parametrize(
    ("body", "count", "message"),
    [
        (STACK, 0, "can be cut into 1 to .* 0 were asked for"),
        ("signal(channels=4) gelu", 9, "can be cut into 1 to 1 stages"),
        ("signal(channels=4, timed=true) s4d(state=2) gelu linear(2)", 2, "takes the gaps between its samples"),
        (f"tokens(vocab=8) tok: embed(8) {LAYER} linear(8, tie=tok)", 2, "shares the weights of tok"),
    ],
)
def test_what_cannot_be_cut_is_told(body: str, count: int, message: str) -> None:
    with pytest.raises(smrdsl.SmrError, match=message):
        compiled(body).stages(count)
