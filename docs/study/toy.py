"""Figures 1, 2 and 4 of the paper, in their spirit, and the numbers beside them.

    python -m docs.study.toy

One signal. Figure 1: by hand, what jitter of the sampling points does to a state, by spectral radius. Figure 2: one S4
layer with a linear read-out that has learned the signal on a uniform grid, asked on points with jitter 0.3: what it
says, a state under both, and how far all states part, up to four times the length that it was trained on. Figure 4: the
same with SMR in front. Writes figure1.svg, figure2.svg, figure4.svg and results/toy.json, over five seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from docs.study.files import write
from smrdsl.data.grids import grid, times
from smrdsl.data.signals import Sines
from smrdsl.probe import plots
from smrdsl.probe.fit import error
from smrdsl.probe.follow import Modelled, Parting, seen_by
from smrdsl.probe.handmade import handmade
from smrdsl.probe.subject import CONTROL, HOST, SMR, plain, subject_of
from smrdsl.runtime.model import CompiledModel

HERE = Path(__file__).parent
LENGTH, LONGER, SEEDS, STEPS, SKIP = 128, 4, 5, 400, 8
JITTER = "jitter=0.3"


@dataclass
class Toy:
    """A model that has learned one signal, and the signal on both grids, at four times the length."""

    model: CompiledModel
    clean: tuple[torch.Tensor, torch.Tensor]
    moved: tuple[torch.Tensor, torch.Tensor]
    at: tuple[np.ndarray, np.ndarray]

    def errors(self) -> dict[str, float]:
        """On its own points, on moved ones, and behind the end of what it was trained on."""
        with torch.no_grad():
            clean, moved = self.model(self.clean[0]), self.model(self.moved[0])
        last = slice((LONGER - 1) * LENGTH, None)
        return {
            "clean": error(clean[:, :LENGTH], self.clean[1][:, :LENGTH], SKIP),
            JITTER: error(moved[:, :LENGTH], self.moved[1][:, :LENGTH], SKIP),
            "four times the length": error(clean[:, last], self.clean[1][:, last], 0),
        }

    def parting(self) -> Parting:
        return Modelled.of(self.model).part(self.clean[0], self.moved[0], None, None)[0]


def toy(variant: str, seed: int) -> Toy:
    """A variant that has learned the signal of a seed."""
    signal = Sines.drawn(np.random.default_rng(seed), 1)
    grids = [grid(g)(np.random.default_rng(77), 1, LONGER * LENGTH) for g in ("clean", JITTER)]
    at = [times(gaps) for gaps in grids]
    u, y = ([torch.from_numpy(signal.at(t + later)).float()[..., None] for t in at] for later in (0, 1))
    model = plain(subject_of(HERE / "hosts.smr", "toy_host").variant(variant), seed)
    _learn(model, u[0][:, :LENGTH], y[0][:, :LENGTH])
    return Toy(model.eval(), (u[0], y[0]), (u[1], y[1]), (at[0][0], at[1][0]))


def _learn(model: CompiledModel, u: torch.Tensor, y: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(STEPS):
        loss = (model(u) - y)[:, SKIP:].square().mean() / y.var()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


def picture(t: Toy) -> str:
    """Prediction, a state, and the parting of all states."""
    p = t.parting()
    states = _states(t)

    def paint(figure: Any) -> None:
        told, state, parting = figure.subplots(1, 3, width_ratios=(1.3, 1.3, 1))
        with torch.no_grad():
            guess = t.model(t.moved[0])[0, :64, 0]
        told.plot(t.at[1][:64], t.moved[1][0, :64, 0], color="#828c9a", lw=1, label="true")
        told.plot(t.at[1][:64], guess, ".", color="#b03a00", ms=4, label="predicted, moved points")
        told.set(title="the next value", xlabel="time in steps")
        told.set_ylim(-3.2, 4.2)
        told.legend(loc="upper right", ncols=2)
        for x, colour, name in zip(states, ("#3d4858", "#b03a00"), ("uniform points", "moved points"), strict=True):
            state.plot(x[:128], color=colour, lw=1, label=name)
        state.set(title="a state", xlabel="samples")
        state.margins(y=0.25)
        state.legend(loc="upper right", ncols=2)
        samples = np.arange(1, len(p.deviation) + 1)
        parting.semilogy(samples, p.deviation[:, 0], color="#b03a00", lw=0.9, label="|x' - x|")
        parting.semilogy(samples, p.bound[:, 0], color="#b03a00", lw=0.9, ls=":", label="its bound")
        parting.semilogy(samples, p.size[:, 0], color="#3d4858", lw=0.9, label="|x|")
        parting.axvline(LENGTH, ymax=0.85, color="#828c9a", lw=0.8)
        parting.set(title="all states", xlabel="samples; trained up to the line")
        low, high = parting.get_ylim()
        parting.set_ylim(low, high * 20)
        parting.legend(loc="upper right", ncols=3)

    return plots.drawn(paint, 10.5, 3.0)


def _states(t: Toy) -> list[np.ndarray]:
    """The number of the state that moves most, on both grids."""
    key = next(iter(Modelled.of(t.model).cores))
    core, paths = Modelled.of(t.model).cores[key], []
    for u in (t.clean[0], t.moved[0]):
        stream = seen_by(t.model, [key], u, None)[1][key].streams[0]
        x, kept = core.rest(1), []
        for now in stream.unbind(1):
            x = core.step([now], x).detach()
            kept.append(x.flatten())
        paths.append(torch.stack(kept).numpy())
    most = int(np.abs(paths[1] - paths[0]).mean(0).argmax())
    return [path[:, most] for path in paths]


def main() -> None:
    found: dict[str, Any] = {}
    for variant in (HOST, SMR, CONTROL):
        toys = [toy(variant, seed) for seed in range(SEEDS)]
        found[variant] = {
            "errors": [t.errors() for t in toys],
            "radius": [float(s.radius.max()) for t in toys for s in Modelled.of(t.model).systems.values() if s],
            "deviation": [float(t.parting().relative[SKIP:].mean()) for t in toys],
        }
        number = {HOST: 2, SMR: 4}.get(variant)
        if number:
            (HERE / f"figure{number}.svg").write_text(picture(toys[0]), encoding="utf-8")
    (HERE / "figure1.svg").write_text(plots.growths(handmade(20)), encoding="utf-8")
    write("toy", found)


if __name__ == "__main__":
    main()
