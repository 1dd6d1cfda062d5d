"""Stages: a model cut into parts that run one behind the other, each a module with its own weights, for pipelines.

A part takes what crosses from the one before it and gives what crosses to the next; the first takes the model's input,
the last gives its output. Cuts are made only where one stream crosses, so as to share the work out evenly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from torch import fx, nn

from smrdsl.core.errors import SmrError
from smrdsl.graph.graph import Graph
from smrdsl.lowering.to_fx import Writer, variable


def to_stages(g: Graph, root: nn.Module, count: int, work: Mapping[str, float]) -> list[fx.GraphModule]:
    """The parallel form of a graph in `count` parts; `work` is what each node takes. Raises `SmrError`.

    The parts take no lengths and no rate. Their layers are those of `root`, not copies.
    """
    if g.timed or g.paired:
        what = "takes the gaps between its samples" if g.timed else "takes pairs of sequences"
        raise SmrError(f"a model that {what} cannot be cut into stages: more than one stream would cross")
    keys = [key for key in g.keys if key != g.input]
    ends = _cuts(g, keys, count, work)
    parts = [keys[start:end] for start, end in zip([0, *ends], [*ends, len(keys)], strict=True)]
    _check_ties(g, parts)
    crossing = [g.input, *(keys[end - 1] for end in ends), g.output]
    pairs = zip(parts, crossing, crossing[1:], strict=False)
    return [_stage(g, root, part, taken, given, i) for i, (part, taken, given) in enumerate(pairs)]


def _stage(g: Graph, root: nn.Module, keys: Sequence[str], taken: str, given: str, index: int) -> fx.GraphModule:
    writer = Writer(g, "parallel")
    writer.values[taken] = writer.fx.placeholder("u" if taken == g.input else variable(taken))
    for key in keys:
        writer.add(key)
    writer.fx.output(writer.values[given])
    writer.fx.lint()
    return fx.GraphModule(root, writer.fx, class_name=f"{g.name}_stage_{index}")


def _cuts(g: Graph, keys: Sequence[str], count: int, work: Mapping[str, float]) -> list[int]:
    """Where the parts but the last end: at the places nearest to even shares of the work. Raises `SmrError`."""
    places = _places(g, keys)
    if not 1 <= count <= len(places) + 1:
        most = f"this model can be cut into 1 to {len(places) + 1} stages, where one stream crosses"
        raise SmrError(f"{most}; {count} were asked for")
    done = list(accumulate((work.get(key, 0.0) for key in keys), initial=0.0))
    ends: list[int] = []
    for i in range(1, count):
        left = places[len(ends) : len(places) - (count - 1 - i)]  # as many must be left as there are cuts to come
        after = [p for p in left if not ends or p > ends[-1]]
        ends.append(min(after, key=lambda place: abs(done[place] - done[-1] * i / count)))
    return ends


def _places(g: Graph, keys: Sequence[str]) -> list[int]:
    """The lengths of beginnings of which only the last node is read behind them."""
    at = {key: i for i, key in enumerate(keys)} | {g.input: -1}
    last_read = {key: max((at[r] for r in g.readers(key)), default=-1) for key in at}
    last_read[g.output] = len(keys)
    places, farthest = [], last_read[g.input]
    for i, key in enumerate(keys[:-1]):
        fusion = g.node(key).fusion
        if farthest <= i and not (fusion and fusion.gives):
            places.append(i + 1)
        farthest = max(farthest, last_read[key])
    return places


def _check_ties(g: Graph, parts: Sequence[Sequence[str]]) -> None:
    """Weights that two stages share would learn apart."""
    stage = {key: i for i, part in enumerate(parts) for key in part}
    for key in stage:
        owner = g.node(key).shares
        if owner and stage[owner] != stage[key]:
            where = f"{g.node(key).location}: {g.node(key).location.text}"
            raise SmrError(f"{where}: it shares the weights of {owner}, which would stand in another stage; untie them")
