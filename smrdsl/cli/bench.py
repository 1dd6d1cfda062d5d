"""`smrdsl bench`: what every way to execute a model's cores takes on this machine, beside what the plan predicted."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import click
from rich.console import Console

from smrdsl.cli.options import lower_model, model_options
from smrdsl.cli.output import paint
from smrdsl.draw.boxes import arguments
from smrdsl.graph.graph import Graph
from smrdsl.plan.budget import size
from smrdsl.plan.plan import Plan
from smrdsl.runtime.conditions import LARGEST

SECONDS = 2.0
"""For each kind of core."""
NEAR = 1.1
"""A choice within this of the best is as good as it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of each strategy for some nodes that are alike, and how many times the best's the chosen took."""

    nodes: tuple[str, ...]
    operator: str
    chosen: str
    predicted: dict[str, float]
    measured: dict[str, float]

    @property
    def regret(self) -> float:
        return self.measured[self.chosen] / min(self.measured.values())


@dataclass(frozen=True, slots=True)
class Whole:
    """What the whole model takes: milliseconds and, in training, bytes at the peak of a step by AdamW."""

    milliseconds: float
    peak: int | None


@click.command()
@model_options
@click.option("--length", type=click.IntRange(1, LARGEST), help="Of the sequences.")
@click.option("--batch", type=click.IntRange(1, LARGEST), help="How many of them.")
@click.option("--mode", type=click.Choice(("infer", "train")), default="infer", show_default=True,
              help="train: forward and backward.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1, 1024), help="By default as many as torch takes.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    length: int | None,
    batch: int | None,
    mode: str,
    threads: int | None,
    as_json: bool,
) -> int:
    """Measure every strategy of every core of a model of FILE (`-` is standard input), and the whole model."""
    lowered = lower_model(file, name, settings, limits)
    console = Console(stderr=True, quiet=as_json)
    with console.status("importing torch") as status:
        from smrdsl.compiler import compile_lowered
        from smrdsl.runtime.memory import training_peak
        from smrdsl.runtime.timing import alike, medians, model_input, model_work
        from smrdsl.runtime.timing import threads as running

        with running(threads) as count:
            model = compile_lowered(lowered, length=length, batch=batch, mode=mode, threads=count)
            plan, graph = model.plan, model.graph
            found = []
            for keys in alike(graph, tuple(k for k in plan.choices if len(plan.choices[k].predicted) > 1)):
                status.update(f"measuring {graph.node(keys[0]).op.name}, {keys[0]}")
                found.append(_measure(graph, plan, keys))
            status.update("measuring the whole model")
            u = model_input(graph, plan.conditions.batch, plan.conditions.length)
            time = medians({"model": model_work(model, u, training=mode == "train")}, SECONDS)["model"]
            whole = Whole(time, training_peak(model, u) if mode == "train" else None)
    if as_json:
        print(json.dumps(as_dict(plan, found, whole), indent=1), flush=True)
    else:
        print("\n".join(report(graph, plan, found, whole, count)), flush=True)
    return 0


def _measure(g: Graph, plan: Plan, keys: list[str]) -> Measured:
    from smrdsl.runtime.timing import medians, node_works

    c, choice, node = plan.conditions, plan.choices[keys[0]], g.node(keys[0])
    works = node_works(g, keys[0], tuple(choice.predicted), c.length, c.batch, training=c.mode == "train")
    name = f"{node.op.name}({', '.join(arguments(node))})"
    return Measured(tuple(keys), name, choice.strategy, dict(choice.predicted), medians(works, SECONDS))


def report(g: Graph, plan: Plan, found: list[Measured], whole: Whole, threads: int) -> Iterator[str]:
    """The table that a person reads."""
    c = plan.conditions
    work = "forward and backward" if c.mode == "train" else "forward"
    count = f"{threads} thread{'s' * (threads > 1)}"
    yield f"{g.name}: length {c.length:,}, batch {c.batch:,}, {work}, float32 on {c.device}, {count}"
    for m in found:
        where = m.nodes[0] if len(m.nodes) == 1 else f"{m.nodes[0]} to {m.nodes[-1]}, {len(m.nodes)} of them"
        yield from ("", f"{paint(m.operator, 'place', sys.stdout)}, {where}")
        yield f"  {'':<10} {'measured':>12} {'predicted':>12}"
        for strategy, ms in sorted(m.measured.items(), key=lambda item: item[1]):
            mark = "   chosen" if strategy == m.chosen else ""
            yield f"  {strategy:<10} {ms:>9.3g} ms {m.predicted[strategy]:>9.3g} ms{mark}"
    yield ""
    samples = 1000 * c.batch * c.length / whole.milliseconds
    yield f"the whole model: {whole.milliseconds:.3g} ms, predicted {plan.time:.3g}; {samples:,.0f} samples a second"
    if whole.peak:
        yield f"memory at the peak of a step by AdamW: {size(whole.peak)}, predicted {size(plan.memory.peak)}"
    if found:
        good = sum(m.regret <= NEAR for m in found)
        worst = max(found, key=lambda m: m.regret)
        yield (
            f"regret (chosen / best): {worst.regret:.2f} at worst, {worst.operator}; "
            f"{good} of {len(found)} kinds of core within {NEAR - 1:.0%} of their best"
        )


def as_dict(plan: Plan, found: list[Measured], whole: Whole) -> dict[str, object]:
    """What a program reads."""
    cores = [asdict(m) | {"regret": m.regret} for m in found]
    figures = {"milliseconds": whole.milliseconds, "predicted": plan.time, "peak": whole.peak}
    return {"conditions": asdict(plan.conditions), **figures, "memory": asdict(plan.memory), "cores": cores}
