"""Insert: whether SMR can be put into a trained model without changing it, and what a random start does to it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

import torch

from smrdsl.probe.fit import error
from smrdsl.probe.lab import ASKING, Lab
from smrdsl.probe.subject import EDITS, HOST, SMR, clocked, plain, take_over
from smrdsl.runtime.model import CompiledModel

EXACT = {
    "sigmoid2": EDITS[SMR],
    "tanh1": "place smr(memory=4, gate=tanh1) before ssm",
    "identity": "place smr(memory=4, gate=identity) before ssm",
    "silu": "place smr(memory=4, gate=silu) before ssm",
}
RANDOM = {
    "sigmoid2, random": "place smr(memory=4, init=random) before ssm",
    "sigmoid, random": "place smr(memory=4, gate=sigmoid) before ssm",
    "identity, random": "place smr(memory=4, gate=identity, init=random) before ssm",
}
SEQUENCES = 32


@dataclass(frozen=True, slots=True)
class Insertion:
    """A kind of SMR put into the host, over the seeds: whether every output was equal bit for bit, the largest
    difference over the largest output, and the mean ratio of the errors, where there are errors."""

    gate: str
    exact: bool
    difference: float
    ratio: float | None


@dataclass(frozen=True, slots=True)
class Insert:
    """The part. `trained`: whether the host had learned something before."""

    insertions: list[Insertion]
    trained: bool
    seeds: int


def insert(lab: Lab) -> Insert:
    hosts = [lab.trained(HOST, seed).blind for seed in range(lab.runs)]
    found = []
    for gate, edit in (EXACT | RANDOM).items():
        lab.meter.start(f"putting SMR into the host, {gate}")
        found.append(_insertion(lab, gate, edit, hosts))
        lab.meter.advance(ASKING * len(hosts))
    return Insert(found, lab.trains or lab.subject.weights is not None, len(hosts))


@torch.no_grad()
def _insertion(lab: Lab, gate: str, edit: str, hosts: list[CompiledModel]) -> Insertion:
    exact, differences, ratios = True, [], []
    for seed, host in enumerate(hosts):
        twin = plain(clocked(lab.subject.twin(edit), False), seed).eval()
        take_over(twin, host.state_dict())
        b = lab.batch("clean", seed, 2 * SEQUENCES)
        u = lab.tokens(seed, 2 * SEQUENCES) if lab.fit.tokens else b.u
        u = u.unflatten(0, (-1, 2)) if lab.fit.paired else u
        before, after = host(u), twin(u)
        exact &= torch.equal(before, after)
        differences.append(float((after - before).abs().max() / before.abs().max().clamp_min(1e-30)))
        if lab.scores:
            ratios.append(error(after, b.y, lab.recipe.burn_in) / error(before, b.y, lab.recipe.burn_in))
    return Insertion(gate, exact, max(differences), statistics.fmean(ratios) if ratios else None)
