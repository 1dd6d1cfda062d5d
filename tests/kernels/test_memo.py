"""What is kept of parameters is never older than they are."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from smrdsl.kernels.memo import Kept, Memo, frozen, remember


class Counted:
    """A thing to make: the sum of the parameters, and how often it was made."""

    def __init__(self) -> None:
        self.parameters = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(2))]
        self.memo: Memo[Tensor] = Memo()
        self.made = 0

    def make(self, kept: Kept | None) -> Tensor:
        self.made += 1
        self.kept = kept
        return sum((p.sum() for p in self.parameters), torch.zeros(()))

    def total(self) -> float:
        return float(self.memo(self.parameters, self.make).detach())


@torch.no_grad()
def test_it_is_made_once_and_again_after_any_change() -> None:
    thing = Counted()
    assert [thing.total(), thing.total(), thing.made] == [3.0, 3.0, 1]
    thing.parameters[0][1] = 5.0
    assert [thing.total(), thing.total(), thing.made] == [7.0, 7.0, 2]
    thing.parameters[1].data.add_(1.0)  # leaves no trace in the version of the parameter
    assert [thing.total(), thing.made] == [9.0, 3]
    thing.parameters[0] = nn.Parameter(torch.full((3,), 2.0))
    assert [thing.total(), thing.made] == [8.0, 4]
    thing.parameters = [nn.Parameter(p.double()) for p in thing.parameters]
    assert [thing.total(), thing.total(), thing.made] == [8.0, 8.0, 5]


def test_with_gradients_nothing_is_kept() -> None:
    thing = Counted()
    thing.total()
    assert [thing.total(), thing.made] == [3.0, 2]
    assert thing.kept is None
    with torch.no_grad():
        thing.total()
    assert thing.kept == {}


@torch.no_grad()
def test_copies_start_anew() -> None:
    thing = Counted()
    thing.total()
    twin = copy.deepcopy(thing)
    twin.total()
    assert [thing.made, twin.made] == [1, 2]


def test_one_thing_of_a_kind_is_remembered() -> None:
    kept: Kept = {}
    made = iter(range(9))

    def ask(*key: object) -> int:
        return remember(kept, "number", key, lambda: next(made))

    assert [ask(1, "a"), ask(1, "a"), ask(2, "a"), ask(1, "a")] == [0, 0, 1, 2]
    assert remember(kept, "other", (1, "a"), lambda: 7) == 7
    assert ask(1, "a") == 2
    assert [remember(None, "number", (1,), lambda: next(made)) for _ in range(2)] == [3, 4]


def test_a_tensor_in_the_key_may_change_and_is_not_trusted() -> None:
    kept: Kept = {}
    made = iter(range(9))
    rate = torch.tensor(1.0)
    assert [remember(kept, "number", (rate,), lambda: next(made)) for _ in range(2)] == [0, 1]


@torch.no_grad()
def test_within_frozen_nothing_is_compared() -> None:
    thing = Counted()
    with frozen():
        assert [thing.total(), thing.made] == [3.0, 1], "what was never made is made"
        thing.parameters[0][1] = 5.0
        assert [thing.total(), thing.made] == [3.0, 1]
    assert [thing.total(), thing.made] == [7.0, 2]
