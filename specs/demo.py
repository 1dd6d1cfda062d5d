"""The demo: compile specs/quickstart.smr, draw it, train it on handwritten digits, save it, and stream through it.

Each picture of 8 x 8 points is a sequence of 64 samples. A fresh process imports the saved package and reads the test
pictures one sample at a time; its answers are held against those of the trained module.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import cross_entropy

import smrdsl

SPEC = Path("specs/quickstart.smr")
PACKAGE = Path("build/quickstart")
EPOCHS, BATCH, LEARNING_RATE = 8, 50, 5e-3
STREAMED = 100

STREAM = """
import sys, torch, smrdsl
sys.path.insert(0, {folder!r})
import {package} as package

model = package.load()
u = torch.load({data!r}, weights_only=True)
state = model.initial_state(len(u))
with torch.no_grad():
    for t in range(u.shape[1]):
        y, state = model.step(u[:, t], state)
torch.save(y, {answers!r})
"""


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sequences (n, 64, 1) in [0, 1] and labels: to train on, and the last fifth to test on."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    u = torch.tensor(data.data, dtype=torch.float32)[order, :, None] / 16
    labels = torch.tensor(data.target)[order]
    cut = len(u) * 4 // 5
    return u[:cut], labels[:cut], u[cut:], labels[cut:]


def train(model: smrdsl.CompiledModel, u: Tensor, labels: Tensor) -> None:
    """A short run of AdamW with the architecture's own optimiser groups and a one-cycle schedule."""
    torch.manual_seed(0)
    steps = EPOCHS * -(-len(u) // BATCH)
    optimiser = torch.optim.AdamW(model.parameter_groups(LEARNING_RATE, weight_decay=0.01))
    rates = [group["lr"] for group in optimiser.param_groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rates, total_steps=steps, pct_start=0.2)
    columns = (TextColumn("training"), BarColumn(), TextColumn("loss {task.fields[loss]:.3f}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("train", total=steps, loss=float("nan"))
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(u)).split(BATCH):
                loss = cross_entropy(model(u[batch]), labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                progress.update(task, advance=1, loss=loss.item())


def stream_elsewhere(u: Tensor) -> Tensor:
    """The answers of a fresh process that imports the package and takes one sample at a time."""
    with tempfile.TemporaryDirectory() as place:
        data, answers = f"{place}/u.pt", f"{place}/y.pt"
        torch.save(u, data)
        code = STREAM.format(folder=str(PACKAGE.parent), package=PACKAGE.name, data=data, answers=answers)
        subprocess.run([sys.executable, "-c", code], check=True)
        return torch.load(answers, weights_only=True)


def main() -> None:
    torch.set_num_threads(1)  # the model is small, and two threads on a busy machine wait for each other
    u, labels, test_u, test_labels = digits()
    print(f"compiling {SPEC} for sequences of {u.shape[1]} samples")
    model = smrdsl.compile(SPEC, length=u.shape[1], batch=BATCH, mode="train", seed=0)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"training {parameters:,} parameters on {len(u):,} pictures as sequences of points")
    train(model, u, labels)

    model.eval()
    with torch.no_grad():
        y = model(test_u)
    accuracy = (y.argmax(1) == test_labels).float().mean().item()
    model.save(PACKAGE)
    print(f"package  {PACKAGE}/          import it, or smrdsl.load() it")
    print(f"picture  {next(PACKAGE.glob('architecture.*'))}")
    print(f"source   {PACKAGE}/model.py  one line for each operation")
    print(f"test accuracy {100 * accuracy:.1f} %")

    streamed = stream_elsewhere(test_u[:STREAMED])
    same = (streamed.argmax(1) == y[:STREAMED].argmax(1)).sum().item()
    apart = (streamed - y[:STREAMED]).abs().max().item()
    print(f"a fresh process streamed {STREAMED} of them, sample by sample: {same} of {STREAMED} answers are the same")
    print(f"(outputs differ by at most {apart:.1e})")
    if accuracy < 0.9 or same < STREAMED:
        sys.exit("this is not what the demo should show; please report it")
    print("next: read specs/quickstart.smr, change a line, and run")
    print("  .venv/bin/smrdsl summary specs/quickstart.smr")
    print("  .venv/bin/smrdsl graph specs/quickstart.smr -o build/quickstart.png --level block")
    print("then docs/language.md for the language, and README.md for the tour")


if __name__ == "__main__":
    main()
