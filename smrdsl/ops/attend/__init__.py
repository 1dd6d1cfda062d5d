"""attend: attention over streams: what its queries, keys and values are is left to the spec.

    softmax         a_ts = softmax over s of (q_t . k_s / sqrt(d) + bias_ts)
    laplace, relu2  a_ts = act(q_t . k_s / n_t + bias_ts)
    y_t = sum_s a_ts v_s        heads side by side, d = width of q / heads

over the n_t positions s that t sees: all up to t (`causal`), or all; with `window` the last `window` of them, t
included, or as many centred on t where not causal, (window - 1) // 2 of them before it; with `chunk` those of its
own chunk, chunks being cut from the start of the stream.

    laplace(s) = (1 + erf((s - 0.707107) / (0.282095 sqrt 2))) / 2        relu2(s) = max(s, 0)^2

    simple  bias_ts = rel_pos_bias[max - 1 + s - t], max = max_length, or else the chunk or window
    rotary  bias_ts = <rot_t rel_alpha, rot_s rel_beta>; at t, channels i and i + d/2 of a head turn by t 10000^(-2i/d)
    t5      bias_ts = rel_bias[bucket(s - t)], as in `attention`

Each head has a bias of its own; of one head rel_pos_bias is a vector, as in Mega's checkpoints, of more it has a row
for each. All start normal with deviation 0.02. Sources: Ma et al. 2022, "Mega: Moving Average Equipped Gated Attention"
(2209.10655), and facebookresearch/mega, where there is one head; t5: Raffel et al. 2020, section 2.1.

State: without chunk and window the keys and values of the whole past, which grow. With one, those of the last
positions, one fewer than it holds, oldest first, and how many were seen, so that the rows of a batch may stand at
different positions.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.attention import check_buckets
from smrdsl.ops.contract import Cost, Misfit, Operator, Parameter, Params, State, Streams, need_sequence


class AttendParams(Params):
    heads: int = Field(default=1, gt=0, description="Number of heads; it divides the widths of q, k and v.")
    act: Literal["softmax", "laplace", "relu2"] = Field(
        default="softmax",
        description="How scores become weights: `softmax`, or each by itself, `laplace` and `relu2`, of scores "
        "divided by the number of positions seen.",
    )
    bias: Literal["simple", "rotary", "t5"] | None = Field(
        default=None,
        description="What scores gain by distance: `none`; `simple`, a learned number for each distance; `rotary`, "
        "two learned vectors turned by their positions; `t5`, a learned number for each of `buckets`.",
    )
    chunk: int | None = Field(
        default=None, gt=0, description="Length of the chunks that attention stays in; `none`: there are none."
    )
    window: int | None = Field(
        default=None, gt=0, description="Number of positions seen, the present one included; `none`: all."
    )
    causal: bool = Field(default=True, description="Whether only the present and past positions are seen.")
    max_length: int | None = Field(
        default=None,
        gt=0,
        description="Longest sequence that bias=simple takes, unless a chunk or window bounds the distances.",
    )
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability with which an attention weight is dropped in training.",
    )
    buckets: int = Field(
        default=32,
        gt=1,
        description="Number of buckets of bias=t5; where not causal, half of them are for the positions ahead.",
    )
    max_distance: int = Field(default=128, gt=0, description="Distance from which on bias=t5 has one bucket.")


def infer(p: AttendParams, inputs: Streams) -> StreamType:
    for stream in inputs:
        need_sequence("attend", stream)
    q, k, v = inputs
    if q.width != k.width:
        raise Misfit(f"attend: queries of {q.width} channels do not fit keys of {k.width}; their widths must be equal")
    for name, stream in (("q", q), ("v", v)):
        if stream.width % p.heads:
            raise Misfit(
                f"attend: the {stream.width} channels of {name} are not divisible by {p.heads} heads", argument="heads"
            )
    if p.chunk is not None and p.window is not None:
        raise Misfit(
            "attend takes a chunk or a window, not both: in chunks a position sees its own chunk, in a window what is "
            "near it",
            argument="window",
            code="E0309",
        )
    check_bias(p, q.width // p.heads)
    return v


def check_bias(p: AttendParams, head: int) -> None:
    """Raise unless the bias has what it needs; `head` is the number of channels of a head of q."""
    seen = p.chunk or p.window
    if p.bias == "simple" and not (p.max_length or seen):
        raise Misfit(
            "attend(bias=simple) learns a number for each distance: it needs max_length, the longest sequence, or a "
            "chunk or window",
            argument="bias",
            code="E0309",
        )
    if p.bias == "simple" and p.max_length and seen and p.max_length < seen:
        kind = "chunk" if p.chunk else "window"
        raise Misfit(
            f"attend(bias=simple): max_length={p.max_length} does not reach over the {kind} of {seen}; leave it out, "
            f"and the {kind} tells how many distances there are",
            argument="max_length",
            code="E0309",
        )
    if p.bias == "rotary" and head % 2:
        raise Misfit(
            f"attend(bias=rotary): heads of {head} channels of q cannot be turned: the number must be even",
            argument="bias",
        )
    if p.bias == "t5":
        check_buckets("attend(bias=t5)", p.buckets, p.max_distance, p.causal)


def table_length(p: AttendParams) -> int:
    """`max` of bias=simple: distances are below it."""
    length = p.max_length or p.chunk or p.window
    assert length is not None, "infer lets no simple bias without a bound pass"
    return length


def parameters(p: AttendParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    """One head's table is a vector and one head's alpha and beta are too: the shapes of Mega's checkpoints."""
    shapes: dict[str, tuple[int, ...]] = {}
    if p.bias == "simple":
        distances = 2 * table_length(p) - 1
        shapes["rel_pos_bias"] = (distances,) if p.heads == 1 else (p.heads, distances)
    if p.bias == "rotary":
        shapes["rel_alpha"] = shapes["rel_beta"] = (inputs[0].width,)
    if p.bias == "t5":
        shapes["rel_bias"] = (p.buckets, p.heads)
    return {name: Parameter(shape, decay=False) for name, shape in shapes.items()}


def looks_ahead(p: AttendParams) -> bool:
    return not p.causal and (p.chunk or p.window) != 1


def state(p: AttendParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    if looks_ahead(p):
        return {}
    bound = p.chunk or p.window
    rows = "T" if bound is None else bound - 1
    kept = {"keys": State((rows, inputs[1].width)), "values": State((rows, inputs[2].width))}
    return kept if bound is None else kept | {"position": State((), index=True)}


def cost(p: AttendParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    seen = length if p.window is None else min(p.window, length)
    if p.window is None:
        seen = min(p.chunk or length, length) / (2 if p.causal else 1)
    q, _, v = (i.width for i in inputs)
    scores = length * seen * p.heads
    kept = length * (q + 2 * v + _held(p, q, v, length))
    return Cost(2 * length * seen * (q + v) + (0 if p.act == "softmax" else 4 * scores), kept, inputs=False)


def _held(p: AttendParams, q: int, v: int, length: int) -> float:
    """Numbers of the scores that are kept for each position, and copies of keys and values in windows."""
    if p.window is not None:
        return 2 * (q + v) + 4 * p.heads * p.window
    if p.chunk is not None:
        return (1 if p.act == "softmax" else 2) * p.heads * min(p.chunk, length)
    whole = p.act == "softmax" and p.bias is None
    if whole and q == v:
        return q + p.heads
    return (1 if whole else 2) * p.heads * length


Q, V = StreamType.real(4), StreamType.real(6)


def sample(v: StreamType = V, **arguments: object) -> tuple[AttendParams, Streams]:
    return AttendParams.model_validate(arguments), (Q, Q, v)


OPERATOR = Operator(
    name="attend",
    summary="Attention over queries, keys and values, in chunks or a window where asked for.",
    params=AttendParams,
    infer=infer,
    layer="smrdsl.ops.attend.layer:Attend",
    parameters=parameters,
    state=state,
    cost=cost,
    looks_ahead=looks_ahead,
    uses_lengths=looks_ahead,
    streams=("q", "k", "v"),
    families=("mixer",),
    equations="softmax: y_t = sum_s softmax_s(q_t . k_s / sqrt(d) + bias_ts) v_s\n"
    "laplace, relu2: y_t = sum_s act(q_t . k_s / n_t + bias_ts) v_s, n_t the number of positions seen",
    source="Ma et al. 2022, Mega: Moving Average Equipped Gated Attention (2209.10655)",
    reference="smrdsl.ops.attend.reference:reference",
    samples=(
        sample(),
        sample(heads=2, bias="rotary", dropout=0.1),
        sample(heads=2, act="laplace", bias="simple", max_length=64),
        sample(heads=2, act="relu2", bias="t5", causal=False),
        sample(chunk=4, bias="simple"),
        sample(heads=2, chunk=5, act="laplace", bias="rotary"),
        sample(StreamType.real(3), chunk=32, act="relu2", bias="t5"),
        sample(heads=2, chunk=4, causal=False, bias="rotary"),
        sample(chunk=1, causal=False, act="relu2"),
        sample(heads=2, window=4, bias="simple"),
        sample(window=20, act="relu2", bias="t5", buckets=6, max_distance=9),
        sample(window=4, causal=False, act="laplace", bias="simple", max_length=9),
    ),
)
