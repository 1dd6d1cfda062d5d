"""`smrdsl explain`: what the compiler does with a model, and why: its passes, and the execution of every core."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import click

from smrdsl.cli.options import lower_model, memory_option, model_options
from smrdsl.cli.output import paint
from smrdsl.compiler import plan_lowered
from smrdsl.core.errors import SmrError
from smrdsl.draw.boxes import arguments
from smrdsl.draw.table import scaled
from smrdsl.graph.cost import rows, total
from smrdsl.graph.graph import Graph, Node
from smrdsl.passes.contract import STARTS
from smrdsl.passes.order import FUSIONS, executed, passes_without
from smrdsl.plan.budget import size
from smrdsl.plan.calibration import calibration
from smrdsl.plan.explain import Turn, behind, turns
from smrdsl.plan.plan import Choice, Plan
from smrdsl.runtime.conditions import DTYPES, LARGEST, MODES

MANY = 6
"""Regions that are named one by one."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What a pass did: nodes and work before it and after, and what it made one of what."""

    name: str
    law: str
    seconds: float
    nodes: tuple[int, int]
    flops: tuple[float, float]
    fused: tuple[str, ...] = ()


@click.command()
@model_options
@click.option("--length", type=click.IntRange(1, LARGEST), help="The length to plan for.")
@click.option("--batch", type=click.IntRange(1, LARGEST), help="The batch size to plan for.")
@click.option("--mode", type=click.Choice(MODES), default="infer", show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default=None)
@click.option("--device", default=None, help="cpu, cuda, ...")
@memory_option
@click.option("--disable", multiple=True, metavar="PASS", help="Leave a pass out. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
def command(
    file: str,
    name: str | None,
    settings: tuple[str, ...],
    limits: tuple[str, ...],
    disable: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Tell what the compiler does with a model of FILE (`-` is standard input), and why."""
    try:
        known = {p.name: p.law for p in (*passes_without(disable), *FUSIONS)}
    except SmrError as error:
        raise click.UsageError(str(error)) from None
    lowered = lower_model(file, name, settings, limits)
    steps: list[tuple[str, Graph, float]] = []

    def watch(name: str, g: Graph) -> None:
        steps.append((name, g, time.perf_counter()))

    graph, plan = plan_lowered(lowered, disable=disable, watch=watch, **options)
    executed(graph, plan, watch)
    fired = [_fired(known, *pair, plan.conditions.length) for pair in pairwise(steps) if pair[1][0] not in STARTS]
    others = turns(graph, plan)
    if as_json:
        print(json.dumps(as_dict(plan, fired, others), indent=1), flush=True)
    else:
        print("\n".join(report(graph, plan, fired, others)), flush=True)
    return 0


def _fired(
    laws: dict[str, str], before: tuple[str, Graph, float], after: tuple[str, Graph, float], length: int
) -> Fired:
    name, g, end = after
    nodes, seconds = (len(before[1]), len(g)), end - before[2]
    made = [_made_one(n) for _, n, _ in g if n.fusion and n.fusion.name == name and n.fusion.holds]
    if any(n.fusion for _, n, _ in g):
        return Fired(name, laws[name], seconds, nodes, (0.0, 0.0), tuple(dict.fromkeys(made)))
    flops = tuple(total(rows(graph, length)).flops for graph in (before[1], g))
    return Fired(name, laws[name], seconds, nodes, (flops[0], flops[1]))


def _made_one(node: Node) -> str:
    """`linear + norm + linear`: what a fused node stands for."""
    assert node.fusion is not None
    return " + ".join(held.node.op.name for held in node.fusion.holds)


def report(g: Graph, plan: Plan, fired: list[Fired], others: dict[str, list[Turn]]) -> Iterator[str]:
    """The note that a person reads."""
    yield f"{g.name}: {job(plan)}"
    yield from ("", _head("passes"))
    yield from (_pass(f) for f in fired)
    yield from ("", f"{_head('execution')}, by timings {calibration().told}")
    if not plan.choices:
        yield "  nothing here can be executed in more than one way"
    for keys in _alike(g, plan, others):
        yield from _choice(g, keys, plan.choices[keys[0]], others[keys[0]])
    yield from ("", f"{_head('memory')} and time, predicted")
    yield from _memory(plan)
    yield f"  {plan.time:.3g} ms in all, of what was not measured by its operations and bytes"


def job(plan: Plan) -> str:
    """The conditions of a plan, as people say them."""
    c = plan.conditions
    threads = f", {c.threads} thread{'s' * (c.threads > 1)}" if c.device == "cpu" else ""
    return f"length {c.length:,}, batch {c.batch:,}, {c.mode}, {c.dtype} on {c.device}{threads}"


def _memory(plan: Plan) -> Iterator[str]:
    """The peak, what it is made of, and what is run again."""
    c, m = plan.conditions, plan.memory
    work = "a step of training by AdamW" if c.training else "a chunk" if c.stateful else "a forward pass"
    budget = f", within {size(c.memory)}" if c.memory else ""
    yield f"  {size(m.peak)} at the peak of {work}{budget}: weights {size(m.weights)}"
    if c.training:
        yield f"    gradients {size(m.gradients)}, optimiser {size(m.optimiser)}"
        yield f"    kept for the backward pass {size(m.kept)}, and at most {size(m.temporary)} in use besides"
    else:
        state = f", state {size(m.state)}" if c.stateful else ""
        inside = f"at most {size(m.temporary)} in use in one step, and " if m.temporary else ""
        yield f"    {inside}the streams between steps{state}"
    if plan.recompute:
        names = [region.name for region in plan.recompute]
        told = ", ".join(names) if len(names) <= MANY else f"{names[0]}, ..., {names[-1]}, {len(names)} of them"
        yield f"  run again in the backward pass: {told}; {plan.again:.3g} ms more"


def _pass(f: Fired) -> str:
    nodes, flops = f.nodes[0] - f.nodes[1], f.flops[0] - f.flops[1]
    saved = [f"{nodes:,} fewer operations"] if nodes else []
    saved += [f"{scaled(flops)} FLOPs less for each sequence"] if flops else []
    saved += [f"one of {made}" for made in f.fused]
    return f"  {f.name}: {', '.join(saved) or 'found nothing to do'} ({1000 * f.seconds:.1f} ms; law: {f.law})"


def _alike(g: Graph, plan: Plan, others: dict[str, list[Turn]]) -> Iterator[list[str]]:
    """Nodes of which the same is to be said, together."""
    groups: dict[object, list[str]] = {}
    for key, choice in plan.choices.items():
        node = g.node(key)
        what = (node.op.name, node.params, node.type, choice.strategy, choice.reason, tuple(others[key]))
        groups.setdefault(what, []).append(key)
    yield from groups.values()


def _choice(g: Graph, keys: list[str], choice: Choice, others: list[Turn]) -> Iterator[str]:
    node = g.node(keys[0])
    where = keys[0] if len(keys) == 1 else f"{keys[0]} to {keys[-1]}, {len(keys)} of them"
    yield f"  {node.op.name}({', '.join(arguments(node))}), {where}, {node.location}"
    for strategy, ms, times in behind(choice):
        mark = "chosen" if strategy == choice.strategy else f"{times:.3g} times that"
        yield f"    {strategy:<10} {ms:>9.3g} ms {size(choice.memory[strategy]):>10}   {mark}"
    yield f"    {choice.strategy}: {choice.reason.partition(':')[0]}"
    for turn in others:
        yield f"    at {turn.condition} it would be {turn.strategy}"
    if choice.predicted and not others:
        yield "    no other length or mode would change that"


def _head(text: str) -> str:
    return paint(text, "place", sys.stdout)


def as_dict(plan: Plan, fired: list[Fired], others: dict[str, list[Turn]]) -> dict[str, object]:
    """What a program reads: plan.json, what the passes did, and where choices turn."""
    turned = {key: [asdict(turn) for turn in found] for key, found in others.items()}
    return plan.as_dict() | {"passes": [asdict(f) for f in fired], "turns": turned}
