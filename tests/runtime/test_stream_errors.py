"""What a stream that runs natively refuses: in the words of `model.step`, and the state stays what it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from smrdsl.runtime.errors import InputError
from tests.native.kernels import close, needs_library
from tests.runtime.test_stream_native import compiled, inputs

pytestmark = needs_library


@pytest.mark.parametrize("frozen", [False, True])
def test_a_token_that_there_is_not(frozen: bool) -> None:
    model = compiled("model m { tokens(vocab=5)  embed(4)  s4d(state=2)  linear(5) }")
    stream = model.stream(2, frozen=frozen)
    stream(torch.tensor([1, 4]))
    before = {name: value.clone() for name, value in stream.state.items()}
    for bad in (5, -1):
        with pytest.raises(InputError, match=r"<text>:1:\d+: embed.* \(embed\): embed: a token is not in 0..4"):
            stream(torch.tensor([bad, 0]))
    assert all(torch.equal(stream.state[name], value) for name, value in before.items())


def test_positions_that_were_not_learned() -> None:
    model = compiled("model m { tokens(vocab=5)  embed(4, positions=learned, max_length=2)  linear(5) }")
    stream, token = model.stream(1, frozen=True), torch.tensor([1])
    close(torch.stack([stream(token), stream(token)], 1), model(torch.tensor([[1, 1]])).detach())
    with pytest.raises(InputError, match="longer than max_length=2"):
        stream(token)
    assert stream.state["embed.position"].tolist() == [2]


class Fails(nn.Module):
    """A layer that refuses its third sample."""

    count = 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        if self.count == 3:
            raise ValueError("not this one")
        return x


def test_an_error_between_leaves_the_state_as_it_was() -> None:
    model = compiled("model m { signal(channels=3)  s4d(state=2)  mine: gelu  ema(state=2) }")
    model.mine = Fails()
    u, stream = inputs(model, 1, 3), model.stream(1, frozen=True)
    stream(u[:, 0])
    stream(u[:, 1])
    kept = copy.deepcopy(stream)
    with pytest.raises(InputError, match=r"<text>:1:.* \(mine\): ValueError: not this one"):
        stream(u[:, 2])
    model.mine.count = kept.model.mine.count = 9
    assert torch.equal(stream(u[:, 2]), kept(u[:, 2]))
