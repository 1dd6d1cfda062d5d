"""What joins streams, what reverses them, and which operator may stand after which kind of stream."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from smrdsl.core.types import StreamType
from smrdsl.ops.contract import Misfit, Streams
from smrdsl.ops.registry import families, operators

REAL, POOLED, INDEX = StreamType.real(6), StreamType.pooled(6), StreamType.index(6)


def run(name: str, inputs: Streams, *streams: torch.Tensor, **arguments: Any) -> torch.Tensor:
    op = operators()[name]
    p = op.params(**arguments)
    return op.load_layer()(p, inputs, op.infer(p, inputs))(*streams)


def infer(name: str, *inputs: StreamType, **arguments: Any) -> StreamType:
    op = operators()[name]
    return op.infer(op.params(**arguments), inputs)


def test_what_joins_streams() -> None:
    a, b = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[3.0, 5.0]]])
    two = (StreamType.real(2),) * 2

    def joined(name: str, **arguments: Any) -> list[float]:
        return run(name, two, a, b, **arguments)[0, 0].tolist()

    for name in ("parallel", "bidirectional"):
        assert joined(name, merge="add") == [4, 7]
        assert joined(name, merge="mul") == [3, 10]
        assert joined(name, merge="mean") == [2, 3.5]
        assert joined(name, merge="concat") == [1, 2, 3, 5]
    assert joined("residual", scale=0.5) == [2.5, 4.5]
    assert joined("gated", act="relu") == [3, 10]
    assert joined("add") == [4, 7]
    assert joined("sub") == [-2, -3]
    assert joined("mul") == [3, 10]


def test_what_takes_one_stream() -> None:
    x = torch.tensor([[[1.0], [2.0], [4.0]]])
    one = (StreamType.real(1),)
    assert run("flip", one, x).flatten().tolist() == [4, 2, 1]
    assert run("neg", one, x).flatten().tolist() == [-1, -2, -4]
    assert run("scale", one, x, value=0.5).flatten().tolist() == [0.5, 1, 2]
    assert run("shift", one, x, value=1).flatten().tolist() == [2, 3, 5]
    assert run("parallel", one, x, merge="mean").flatten().tolist() == [1, 2, 4]


def test_parallel_takes_any_number_of_branches() -> None:
    assert infer("parallel", *[REAL] * 5, merge="concat") == StreamType.real(30)
    x = torch.ones(1, 1, 6)
    assert run("parallel", (REAL,) * 3, x, x, x, merge="add").unique().item() == 3
    assert operators()["parallel"].streams[-1] == "..."


@pytest.mark.parametrize(
    ("name", "inputs", "arguments", "message"),
    [
        ("parallel", (64, 32), {"merge": "add"}, "parallel(merge=add): branches leave 64 and 32 channels"),
        (
            "parallel",
            (64, 32, 8),
            {"merge": "mul"},
            "parallel(merge=mul): branches leave 64, 32 and 8 channels",
        ),
        ("residual", (64, 32), {}, "residual: the block leaves (B, L, 32), but its input"),
        ("gated", (64, 32), {"act": "silu"}, "gated: the block leaves (B, L, 32), but its input"),
        ("add", (64, 32), {}, "`+` needs streams of equal shape, these are (B, L, 64) and (B, L, 32)"),
        ("mul", (64, 32), {}, "`*` needs streams of equal shape"),
    ],
)
def test_widths_that_do_not_fit(name: str, inputs: tuple[int, ...], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(Misfit) as caught:
        infer(name, *map(StreamType.real, inputs), **arguments)
    assert message in str(caught.value)


def test_branches_of_different_kinds() -> None:
    with pytest.raises(Misfit) as caught:
        infer("parallel", REAL, POOLED, merge="concat")
    assert "branches leave (B, L, 6) and (B, 6)" in str(caught.value)
    assert caught.value.code == "E0401"


AFTER_POOL = {"linear", "mlp", "norm", "dropout", "skip", "affine", "match", "adaptive_softmax", *families()["act"]}
STRUCTURAL = {name for name, op in operators().items() if op.structural}


@pytest.mark.parametrize("name", sorted(set(operators()) - STRUCTURAL - set(families()["input"])))
def test_what_may_follow_which_stream(name: str) -> None:
    op = operators()[name]
    p = op.samples[0][0]
    if name == "embed":
        assert op.infer(p, (INDEX,)).timed
        return
    with pytest.raises(Misfit) as caught:
        op.infer(p, (INDEX,) * len(op.streams))
    assert "tokens have no channels; put `embed(width)` before it" in str(caught.value)
    assert caught.value.code == "E0401"
    if name in AFTER_POOL:
        assert not op.infer(p, (POOLED.pair() if op.joins_pair else POOLED,)).timed
        return
    with pytest.raises(Misfit) as caught:
        op.infer(p, (POOLED,) * len(op.streams))
    assert "was pooled, (batch, 6), and has no time axis" in str(caught.value)


def test_structural_operators_refuse_tokens() -> None:
    for name in STRUCTURAL:
        op = operators()[name]
        p, inputs = op.samples[0]
        with pytest.raises(Misfit, match="tokens have no channels"):
            op.infer(p, (INDEX,) * len(inputs))
