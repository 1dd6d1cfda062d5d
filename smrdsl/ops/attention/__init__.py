"""attention: multi-head self-attention.

    q = W_q x,  k = W_k x,  v = W_v x        heads of width / heads channels; k and v have `kv_heads` of them
    a_ts = softmax over s of (q_t . k_s / sqrt(width / heads) + bias_ts)
    y_t = W_o sum_s a_ts v_s                 heads side by side

over the positions s that t sees: all up to t (`causal`), or all; with `window` only the last `window` of
them, t included, or as many centred on t where not causal, (window - 1) // 2 of them before it.

    rotary  q and k are turned by their positions, halves paired as in Llama (Su et al. 2021, "RoFormer")
    t5      bias_ts = rel_bias[bucket(s - t)], `buckets` of them up to a distance of `max_distance`
            (Raffel et al. 2020); where not causal half of them are for the positions ahead

Sources: Vaswani et al. 2017, "Attention Is All You Need", section 3.2; kv_heads: Ainslie et al. 2023,
"GQA"; the window: Beltagy et al. 2020, "Longformer". Weights and biases start as torch's Linear does,
rel_bias normal with deviation 0.02.

State: without a window the keys and values of the whole past, which grow. With one, those of the last
positions, one fewer than the window, oldest first, and how many were seen, so that the rows of a batch may
stand at different positions.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Cost, Misfit, Operator, Parameter, Params, State, Streams, need_sequence


class AttentionParams(Params):
    heads: int = Field(gt=0, description="Number of heads; it divides the width.")
    window: int | None = Field(
        default=None, gt=0, description="Number of positions seen, the present one included; `none`: all."
    )
    causal: bool = Field(default=True, description="Whether only the present and past positions are seen.")
    positions: Literal["rotary", "t5"] | None = Field(
        default=None,
        description="What tells positions apart: `none`; `rotary`, queries and keys are turned; `t5`, a "
        "learned bias for each distance, in `buckets` up to `max_distance`.",
    )
    kv_heads: int | None = Field(
        default=None,
        gt=0,
        description="Number of heads of keys and values; it divides `heads`, which it is unless given.",
    )
    bias: bool = Field(default=False, description="Whether the four maps add learned constants.")
    dropout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Probability with which an attention weight is dropped in training.",
    )
    buckets: int = Field(
        default=32,
        gt=1,
        description="Number of buckets of positions=t5; where not causal, half of them are for the positions ahead.",
    )
    max_distance: int = Field(default=128, gt=0, description="Distance from which on positions=t5 has one bucket.")


def infer(p: AttentionParams, inputs: Streams) -> StreamType:
    need_sequence("attention", inputs[0])
    width = inputs[0].width
    if width % p.heads:
        raise Misfit(f"attention: {width} channels are not divisible by {p.heads} heads", argument="heads")
    if p.kv_heads and p.heads % p.kv_heads:
        raise Misfit(
            f"attention: {p.heads} heads are not divisible by {p.kv_heads} kv_heads",
            argument="kv_heads",
            code="E0309",
        )
    if p.positions == "rotary" and width // p.heads % 2:
        raise Misfit(
            f"attention(positions=rotary): heads of {width // p.heads} channels cannot be turned: the number "
            "must be even",
            argument="positions",
        )
    if p.positions == "t5":
        check_buckets("attention(positions=t5)", p.buckets, p.max_distance, p.causal)
    return inputs[0]


def check_buckets(name: str, buckets: int, max_distance: int, causal: bool) -> None:
    """Raise unless T5's buckets, one each for near distances and logarithmic ones behind, can be made."""
    if not causal and (buckets < 4 or buckets % 2):
        raise Misfit(
            f"{name}: {buckets} buckets are not shared by two directions: where not causal the number must be even, "
            "and at least 4",
            argument="buckets",
            code="E0309",
        )
    near = buckets // (2 if causal else 4)
    if max_distance <= near:
        raise Misfit(
            f"{name}: max_distance must be above {near}, the distances that have a bucket each",
            argument="max_distance",
            code="E0309",
        )


def shared_width(p: AttentionParams, width: int) -> int:
    """Channels of keys and values."""
    return width // p.heads * (p.kv_heads or p.heads)


def parameters(p: AttentionParams, inputs: Streams, output: StreamType) -> dict[str, Parameter]:
    width, shared = inputs[0].width, shared_width(p, inputs[0].width)
    rows = {"q": width, "k": shared, "v": shared, "o": width}
    own = {f"W_{letter}": Parameter((size, width)) for letter, size in rows.items()}
    if p.bias:
        own |= {f"b_{letter}": Parameter((size,), decay=False) for letter, size in rows.items()}
    if p.positions == "t5":
        own["rel_bias"] = Parameter((p.buckets, p.heads), decay=False)
    return own


def looks_ahead(p: AttentionParams) -> bool:
    return not p.causal and (p.window is None or p.window > 1)


def state(p: AttentionParams, inputs: Streams, output: StreamType) -> dict[str, State]:
    if looks_ahead(p):
        return {}
    head = inputs[0].width // p.heads
    cache = State(("T" if p.window is None else p.window - 1, p.kv_heads or p.heads, head))
    counter = {} if p.window is None else {"position": State((), index=True)}
    return {"keys": cache, "values": cache} | counter


def cost(p: AttentionParams, inputs: Streams, output: StreamType, length: int, strategy: str) -> Cost:
    width, shared = inputs[0].width, shared_width(p, inputs[0].width)
    seen = length / 2 if p.causal else length
    if p.window is not None:
        seen = min(p.window, seen)
    maps = 4 * length * width * (width + shared)
    kept = 2 * width + 2 * shared + p.heads + (0 if p.window is None else 4 * width)
    if p.positions == "t5":  # a bias for each pair has them all in memory
        kept += (2 if p.causal or p.window else 1) * p.heads * (2 * p.window if p.window else length)
    return Cost(maps + 4 * length * seen * width, length * kept)


OPERATOR = Operator(
    name="attention",
    summary="Multi-head self-attention, in a window where asked for.",
    params=AttentionParams,
    infer=infer,
    layer="smrdsl.ops.attention.layer:Attention",
    parameters=parameters,
    state=state,
    cost=cost,
    looks_ahead=looks_ahead,
    uses_lengths=looks_ahead,
    families=("mixer",),
    equations="q = W_q x;  k = W_k x;  v = W_v x\n"
    "a_ts = softmax_s(q_t . k_s / sqrt(width / heads) + bias_ts);  y_t = W_o sum_s a_ts v_s",
    source="Vaswani et al. 2017, section 3.2; rotary: Su et al. 2021, eq. 34; t5: Raffel et al. 2020, section 2.1",
    reference="smrdsl.ops.attention.reference:reference",
    samples=(
        (AttentionParams(heads=2), (StreamType.real(8),)),
        (AttentionParams(heads=4, kv_heads=2, positions="rotary", bias=True), (StreamType.real(8),)),
        (AttentionParams(heads=2, positions="t5", dropout=0.1), (StreamType.real(6),)),
        (AttentionParams(heads=2, window=4), (StreamType.real(4),)),
        (AttentionParams(heads=4, window=20, kv_heads=1, positions="rotary"), (StreamType.real(8),)),
        (AttentionParams(heads=3, window=3, positions="t5", bias=True), (StreamType.real(6),)),
        (AttentionParams(heads=2, window=9, positions="t5", buckets=7, max_distance=6), (StreamType.real(4),)),
        (AttentionParams(heads=1, window=1, causal=False), (StreamType.real(4),)),
        (AttentionParams(heads=2, causal=False, positions="t5"), (StreamType.real(4),)),
        (
            AttentionParams(heads=2, causal=False, window=4, positions="t5", buckets=6, max_distance=5),
            (StreamType.real(4),),
        ),
        (AttentionParams(heads=2, causal=False, window=5, positions="rotary"), (StreamType.real(4),)),
    ),
)
