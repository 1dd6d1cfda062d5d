"""Generate: a token model writes on, from the state that its prompt leaves, one step for each token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from smrdsl.runtime.errors import InputError

if TYPE_CHECKING:
    from smrdsl.runtime.model import CompiledModel


@torch.no_grad()
def generate(
    model: CompiledModel,
    prompt: Tensor,
    length: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop: int | None = None,
) -> Tensor:
    """The prompt (batch, length) and the tokens that follow it, (batch, up to length more).

    Each is drawn from softmax(logits / temperature), 0 for the likeliest; of the `top_k` likeliest tokens only; of the
    fewest that hold `top_p` of the probability (Holtzman et al. 2020). A sequence that has drawn `stop` repeats it,
    and all end when all have. Raises `InputError` for a model that is no model of tokens.
    """
    _check(model, prompt, length, temperature, top_k, top_p)
    source = None if seed is None else torch.Generator(prompt.device).manual_seed(seed)
    training = model.training
    model.eval()
    try:
        stream = model.stream(len(prompt), frozen=True)
        logits, written, ended = stream(prompt)[:, -1], [prompt], torch.zeros_like(prompt[:, 0], dtype=torch.bool)
        for i in range(length):
            token = draw(logits, temperature, top_k, top_p, source).to(prompt.dtype)
            if stop is not None:
                token = torch.where(ended, stop, token)
                ended = token == stop
            written.append(token[:, None])
            if i + 1 == length or bool(ended.all()):
                break
            logits = stream(token)
    finally:
        model.train(training)
    return torch.cat(written, 1)


def draw(
    logits: Tensor, temperature: float, top_k: int | None, top_p: float | None, source: torch.Generator | None
) -> Tensor:
    """One token for each row of logits (batch, vocab), (batch)."""
    if temperature == 0:
        return logits.argmax(-1)
    ordered, tokens = (logits.float() / temperature).sort(dim=-1, descending=True)
    if top_k is not None:
        ordered[:, top_k:] = -torch.inf
    chances = ordered.softmax(-1)
    if top_p is not None:
        # A token stays if those before it hold less than top_p; the first always does.
        chances = chances.masked_fill(chances.cumsum(-1) - chances >= top_p, 0.0)
    return tokens.gather(-1, torch.multinomial(chances, 1, generator=source)).squeeze(-1)


def _check(
    model: CompiledModel, prompt: Tensor, length: int, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    start, end = (model.graph.node(key).type for key in (model.graph.input, model.graph.output))
    if start.kind != "index" or start.paired or not end.timed or end.width != start.vocab:
        raise InputError(f"only a model from tokens to logits of the next writes on; this one is {start} -> {end}")
    if model.graph.timed:
        raise InputError("a timed model cannot write on: nobody knows the gaps before what it writes")
    if not isinstance(prompt, Tensor) or prompt.dim() != 2 or prompt.shape[1] == 0:
        raise InputError("the prompt must be whole numbers (batch, length), of at least one token")
    if length < 0:
        raise InputError(f"the length must be at least 0, this is {length}")
    if not temperature >= 0:
        raise InputError(f"the temperature must be at least 0, this is {temperature}")
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k must be at least 1, this is {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"top_p must be above 0 and at most 1, this is {top_p}")
