"""Two processes that run a model as a pipeline; the last prints how far its losses are from those of the whole model.

`python -m torch.distributed.run --nproc-per-node 2 -m tests.lowering.pipeline`
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.pipelining import PipelineStage, ScheduleGPipe
from torch.nn.functional import mse_loss

import smrdsl

TEXT = "model m { signal(channels=3)  linear(8)  repeat 4 { residual { norm  smr  s4d(state=4)  gelu } }  linear(2) }"
MICRO = 4


def main() -> None:
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    dist.init_process_group("gloo", timeout=timedelta(seconds=30))
    torch.manual_seed(0)
    u, wanted = torch.randn(8, 20, 3), torch.randn(8, 20, 2)
    model, alone = (smrdsl.compile_text(TEXT) for _ in range(2))
    stage = PipelineStage(model.stages(size)[rank], rank, size, torch.device("cpu"))
    schedule = ScheduleGPipe(stage, MICRO, loss_fn=mse_loss)
    losses: list[torch.Tensor] = []
    if rank == 0:
        schedule.step(u)
    else:
        schedule.step(target=wanted, losses=losses)
    loss = mse_loss(alone(u), wanted)
    loss.backward()
    loss = loss.detach()
    learnt, whole = dict(stage.submod.named_parameters()), dict(alone.named_parameters())
    apart = max(float((p.grad - whole[name].grad).abs().max()) for name, p in learnt.items())
    if rank == size - 1:
        apart = max(apart, abs(float(torch.stack(losses).detach().mean() - loss)))
    sys.stdout.write(f"rank {rank}: {len(learnt)} weights, apart by {apart:.1e}\n")  # at once: two write here
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
