"""A token model writes on, from the state of its prompt."""

from __future__ import annotations

import pytest
import torch

import smrdsl
from smrdsl.runtime.errors import InputError
from smrdsl.runtime.generate import draw

TEXT = """import "std/mamba.smr"
model lm {
  tokens(vocab=11)  tok: embed(8)
  repeat 2 { residual { norm(rms)  mamba(3) } }
  dropout(0.5)
  linear(11, tie=tok, bias=false)
}"""


@pytest.fixture(scope="module")
def model():
    made = smrdsl.compile_text(TEXT)
    with torch.no_grad():
        made.get_parameter("tok.weight").mul_(3)
    return made


PROMPT = torch.tensor([[1, 2, 3], [4, 5, 6]])


def test_the_likeliest_token_is_that_of_the_whole_sequence(model):
    found = model.generate(PROMPT, 6, temperature=0)
    assert found.shape == (2, 9)
    assert torch.equal(found[:, :3], PROMPT)
    model.eval()
    assert torch.equal(model(found[:, :-1])[:, 2:].argmax(-1), found[:, 3:])
    model.train()


def test_a_seed_repeats_itself_and_the_mode_stays(model):
    once, again, other = (model.generate(PROMPT, 20, seed=s) for s in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert model.training


def test_one_of_the_likeliest(model):
    assert torch.equal(model.generate(PROMPT, 5, top_k=1), model.generate(PROMPT, 5, temperature=0))
    assert torch.equal(model.generate(PROMPT, 5, top_p=1e-6), model.generate(PROMPT, 5, temperature=0))


def test_tokens_are_drawn_by_their_chances():
    logits = torch.log(torch.tensor([0.1, 0.5, 0.15, 0.25])).repeat(4000, 1)
    source = torch.Generator().manual_seed(0)

    def shares(**options):
        drawn = draw(logits, options.get("temperature", 1.0), options.get("top_k"), options.get("top_p"), source)
        return [float((drawn == i).float().mean()) for i in range(4)]

    assert shares() == pytest.approx([0.1, 0.5, 0.15, 0.25], abs=0.03)
    assert shares(top_k=2) == pytest.approx([0, 2 / 3, 0, 1 / 3], abs=0.03)
    assert shares(top_p=0.6) == pytest.approx([0, 2 / 3, 0, 1 / 3], abs=0.03)
    assert shares(top_p=0.5) == [0, 1, 0, 0]
    assert shares(temperature=0.5) == pytest.approx([0.029, 0.725, 0.065, 0.181], abs=0.03)


def test_what_has_stopped_stays_stopped(model):
    likeliest = model.generate(PROMPT[:1], 6, temperature=0)[0, 3:].tolist()
    stop = likeliest[2]
    found = model.generate(PROMPT[:1], 6, temperature=0, stop=stop)[0, 3:].tolist()
    assert found == likeliest[: likeliest.index(stop) + 1]
    both = model.generate(PROMPT, 6, temperature=0, stop=stop)
    row = both[0, 3:].tolist()
    assert row[row.index(stop) :] == [stop] * (len(row) - row.index(stop))


def test_nothing_to_write(model):
    assert torch.equal(model.generate(PROMPT, 0), PROMPT)
    assert model.generate(PROMPT[:0], 4).shape[0] == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"length": -1}, "length must be at least 0"),
        ({"temperature": -0.5}, "temperature must be at least 0"),
        ({"temperature": float("nan")}, "temperature must be at least 0"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1"),
        ({"prompt": PROMPT[:, :0]}, "at least one token"),
        ({"prompt": PROMPT.float()}, "whole numbers"),
        ({"prompt": PROMPT + 40}, "a token is not in 0..10"),
    ],
)
def test_options_that_do_not_fit(model, options, told):
    with pytest.raises(InputError, match=told):
        model.generate(**{"prompt": PROMPT, "length": 3, **options})


@pytest.mark.parametrize("text", ["signal(channels=2)", "tokens(vocab=5)  embed(4)", "tokens(vocab=5)  embed(5)  pool"])
def test_other_models_do_not_write(text):
    with pytest.raises(InputError, match="only a model from tokens"):
        smrdsl.compile_text(f"model m {{ {text} }}").generate(PROMPT, 3)
