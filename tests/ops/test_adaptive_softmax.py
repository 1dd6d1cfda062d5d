"""adaptive_softmax and the banded embed: the numbers of torch's own module, what a tie shares, what is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import smrdsl
from smrdsl.compiler import lower_source
from smrdsl.core.errors import SmrError, SpecError
from smrdsl.core.source import Source
from smrdsl.core.types import StreamType
from smrdsl.lowering.source import write_source
from smrdsl.ops import embed
from smrdsl.ops.adaptive_softmax import OPERATOR, AdaptiveSoftmaxParams
from smrdsl.ops.adaptive_softmax.layer import AdaptiveSoftmax
from smrdsl.ops.contract import Misfit, shared
from smrdsl.ops.embed.layer import Embed
from smrdsl.runtime.model import CompiledModel
from smrdsl.spec.resolve import check_text

VOCAB, CUTOFFS, DIV, WIDTH = 29, [10, 17, 23], 2.0, 8
STREAM = (StreamType.real(WIDTH),)


def softmax(tie: str | None = None) -> AdaptiveSoftmax:
    p = AdaptiveSoftmaxParams(vocab=VOCAB, cutoffs=CUTOFFS, div=DIV, tie=tie)
    layer = AdaptiveSoftmax(p, STREAM, OPERATOR.infer(p, STREAM)).double()
    layer.reset_parameters(draw)
    return layer


def draw(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(len(name) + ord(name[-1]))


def torchs(layer: AdaptiveSoftmax) -> nn.AdaptiveLogSoftmaxWithLoss:
    """torch's module with the weights of ours."""
    module = nn.AdaptiveLogSoftmaxWithLoss(WIDTH, VOCAB, CUTOFFS, DIV, head_bias=False, dtype=torch.float64)
    weights = dict(layer.named_parameters())
    with torch.no_grad():
        module.head.weight.copy_(torch.cat((weights["weight_0"], weights["clusters"])))
        for i, (down, up) in enumerate(module.tail, start=1):
            down.weight.copy_(weights[f"proj_{i}"].T)
            up.weight.copy_(weights[f"weight_{i}"])
    return module


def test_the_numbers_are_torchs_own() -> None:
    layer = softmax()
    x = torch.randn(3, 5, WIDTH, dtype=torch.float64, requires_grad=True)
    module = torchs(layer)
    wanted = module.log_prob(x.reshape(-1, WIDTH)).reshape(3, 5, VOCAB)
    found = layer(x)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    target = torch.randint(VOCAB, (3, 5))
    loss = nn.functional.nll_loss(found.reshape(-1, VOCAB), target.reshape(-1))
    torch.testing.assert_close(loss, module(x.reshape(-1, WIDTH), target.reshape(-1)).loss)
    (ours,) = torch.autograd.grad(found[..., 20].sum(), x, retain_graph=True)
    (theirs,) = torch.autograd.grad(wanted[..., 20].sum(), x)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_it_has_as_many_parameters_as_torchs() -> None:
    layer = softmax()
    assert sum(p.numel() for p in layer.parameters()) == sum(p.numel() for p in torchs(layer).parameters())


def test_probabilities_sum_to_one() -> None:
    y = softmax()(torch.randn(7, WIDTH, dtype=torch.float64) * 30)
    torch.testing.assert_close(y.exp().sum(-1), torch.ones(7, dtype=torch.float64))


def banded(positions: str | None = None) -> Embed:
    p = embed.EmbedParams(width=WIDTH, cutoffs=CUTOFFS, div=DIV, positions=positions)
    inputs = (StreamType.index(VOCAB),)
    layer = Embed(p, inputs, embed.infer(p, inputs)).double()
    layer.reset_parameters(draw)
    return layer


def row(layer: Embed, token: int) -> Tensor:
    """The vector of a token, from its band's table and projection."""
    band = sum(token >= cutoff for cutoff in CUTOFFS)
    weight, proj = layer.get_parameter(f"weight_{band}"), layer.get_parameter(f"proj_{band}")
    return proj @ weight[token - [0, *CUTOFFS][band]]


def test_each_token_has_the_vector_of_its_band() -> None:
    layer = banded()
    tokens = torch.arange(VOCAB)[None]
    wanted = torch.stack([row(layer, t) for t in range(VOCAB)])
    torch.testing.assert_close(layer(tokens)[0], wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(tokens.int())[0], wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(layer(tokens[:, 12])[0], wanted[12])
    assert {n: tuple(p.shape) for n, p in layer.named_parameters()} == {
        "weight_0": (10, 8), "proj_0": (8, 8), "weight_1": (7, 4), "proj_1": (8, 4),
        "weight_2": (6, 2), "proj_2": (8, 2), "weight_3": (6, 1), "proj_3": (8, 1),
    }  # fmt: skip


def test_a_token_moves_the_rows_of_its_own_alone() -> None:
    layer = banded()
    layer(torch.tensor([[11, 23]])).sum().backward()
    moved = {name: p.grad.abs().sum(1).nonzero().flatten().tolist() for name, p in layer.named_parameters()}
    assert {n: rows for n, rows in moved.items() if n.startswith("weight") and rows} == {
        "weight_1": [1],
        "weight_3": [0],
    }
    assert moved["proj_0"] == moved["proj_2"] == []


@pytest.mark.parametrize("token", [-1, VOCAB, 10**9])
def test_what_is_no_token_is_told(token: int) -> None:
    layer = banded()
    for tokens in (torch.tensor([[0, token]]), torch.tensor([token])):
        with pytest.raises(SmrError, match=r"a token is not in 0\.\.28 \(vocab=29\)"):
            layer(tokens)


def test_positions_are_added_to_banded_vectors() -> None:
    waves = banded("sinusoidal")
    tokens = torch.tensor([[3, 25, 3]])
    added = waves(tokens) - banded()(tokens)
    assert not torch.allclose(added[0, 0], added[0, 2])
    assert waves(tokens).dtype == torch.float64


def test_initial_values() -> None:
    big = embed.EmbedParams(width=64, cutoffs=[4000])
    inputs = (StreamType.index(8000),)
    layer = Embed(big, inputs, embed.infer(big, inputs))
    layer.reset_parameters(draw)
    for i, width in enumerate((64, 16)):
        assert layer.get_parameter(f"weight_{i}").std().item() == pytest.approx(width**-0.5, rel=0.02)
        bound = (6 / (64 + width)) ** 0.5
        proj = layer.get_parameter(f"proj_{i}")
        assert proj.abs().max().item() <= bound
        assert proj.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


# --- ties


SPEC = """model m {
  tokens(vocab=29, length=16)
  tok: embed(8, cutoffs=[10, 17, 23], div=2.0)
  residual { norm(layer)  smr(memory=2) }
  adaptive_softmax(29, [10, 17, 23], div=2.0, tie=tok)
}"""


@pytest.fixture
def model() -> CompiledModel:
    return smrdsl.compile_text(SPEC, mode="infer", dtype="float64")


def test_a_tied_one_owns_its_clusters_alone(model: CompiledModel) -> None:
    assert {k: tuple(v.shape) for k, v in model.state_dict().items() if k.startswith("adaptive")} == {
        "adaptive_softmax.clusters": (3, 8)
    }
    p = AdaptiveSoftmaxParams(vocab=VOCAB, cutoffs=CUTOFFS, div=DIV, tie="tok")
    names = shared(OPERATOR, p, STREAM, OPERATOR.infer(p, STREAM))
    assert list(names) == ["weight_0", "weight_1", "proj_1", "weight_2", "proj_2", "weight_3", "proj_3"]


def test_a_tied_one_computes_with_the_embeddings(model: CompiledModel) -> None:
    alone = softmax()
    owned = {n: model.tok.get_parameter(n) for n, _ in alone.named_parameters() if n != "clusters"}
    alone.load_state_dict({**owned, "clusters": model.adaptive_softmax.clusters})
    u = torch.randint(29, (2, 7))
    hidden = {}
    handle = model.residual.register_forward_hook(lambda m, i, y: hidden.update(y=y))
    found = model(u)
    handle.remove()
    torch.testing.assert_close(found, alone(hidden["y"]), rtol=1e-12, atol=1e-12)


def test_gradients_of_both_uses_meet(model: CompiledModel) -> None:
    model(torch.tensor([[1, 2]]))[..., 25].sum().backward()
    weight = model.tok.weight_3
    assert weight.grad.abs().sum() > 0, "no token of this band came in; the output moves it"
    assert model.tok.proj_0.grad.abs().sum() > 0, "the projection of the first band is the input's alone"


def test_steps_source_and_packages(model: CompiledModel, tmp_path: Path) -> None:
    u = torch.randint(29, (2, 6))
    wanted, stream = model(u), model.stream(2)
    torch.testing.assert_close(torch.stack([stream(u[:, t]) for t in range(6)], 1), wanted, rtol=1e-9, atol=1e-9)
    text = write_source(model.graph.with_strategies(model.plan.strategies))
    assert "self.adaptive_softmax(residual, self.tok.weight_0, self.tok.weight_1, self.tok.proj_1, " in text
    names: dict = {"__file__": "model.py"}
    exec(compile(text, "model.py", "exec"), names)
    written = names["M"]().double().eval()
    written.load_state_dict(model.state_dict())
    assert torch.equal(written(u), wanted)
    model.save(tmp_path / "package")
    torch.testing.assert_close(smrdsl.load(tmp_path / "package")(u), wanted)


def test_compiled_and_exported(model: CompiledModel) -> None:
    model = model.float()
    u = torch.randint(29, (2, 9))
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="eager")(u), model(u))
    length = torch.export.Dim("length", min=2)
    exported = torch.export.export(model, (u,), dynamic_shapes={"u": {1: length}})
    longer = torch.randint(29, (2, 14))
    torch.testing.assert_close(exported.module()(longer), model(longer), rtol=1e-4, atol=1e-5)


TIES = {
    "embed(8, cutoffs=[10, 17], div=2.0)": "`adaptive_softmax` needs a `weight_2` (6, 2), `tok` has (12, 2)",
    "embed(8, cutoffs=[10, 16, 23], div=2.0)": "`adaptive_softmax` needs a `weight_1` (7, 4), `tok` has (6, 4)",
    "embed(16, cutoffs=[10, 17, 23], div=2.0)  linear(8)": "needs a `weight_0` (10, 8), `tok` has (10, 16)",
    "embed(8)": "`embed` has no `weight_0` to share; it learns weight",
    "embed(8, cutoffs=[9, 17, 23], div=2.0)": "needs a `weight_0` (10, 8), `tok` has (9, 8)",
}


@pytest.mark.parametrize(("tok", "message"), TIES.items())
def test_a_tie_names_the_first_tensor_that_does_not_fit(tok: str, message: str) -> None:
    steps = f"tok: {tok}  adaptive_softmax(29, [10, 17, 23], div=2.0, tie=tok)"
    (only,) = check_text(f"model m {{ tokens(vocab=29)  {steps} }}")
    assert message in only.message
    assert only.code == "E0403"


def test_a_plain_linear_cannot_take_banded_vectors() -> None:
    (only,) = check_text("model m { tokens(vocab=29)  tok: embed(8, cutoffs=[9])  linear(29, tie=tok) }")
    assert only.message == "`embed` has no `weight` to share; it learns weight_0, proj_0, weight_1, proj_1"


# --- arguments


ARGUMENTS = {
    "[]": ("E0305", "cutoffs must have one at least"),
    "[3, 3]": ("E0305", "cutoffs must be increasing whole numbers above 0, and 3 follows 3"),
    "[5, 3]": ("E0305", "and 3 follows 5"),
    "[0, 3]": ("E0305", "above 0, and 0 follows 0"),
    "[3, 29]": ("E0305", "the last cutoff, 29, must be below the size of the vocabulary, 29"),
    "[3, 30]": ("E0305", "the last cutoff, 30, must be below"),
    "[1.5]": ("E0304", "argument `cutoffs` of"),
    "[true]": ("E0304", "argument `cutoffs` of"),
    "7": ("E0304", "takes a list"),
    "[3, few]": ("E0201", "unknown name `few`"),
}


@pytest.mark.parametrize("step", ["embed(8, cutoffs={})", "embed(8)  adaptive_softmax(29, cutoffs={})"])
@pytest.mark.parametrize(("cutoffs", "told"), ARGUMENTS.items())
def test_cutoffs_that_do_not_fit(step: str, cutoffs: str, told: tuple[str, str]) -> None:
    found = check_text(f"model m {{ tokens(vocab=29)  {step.format(cutoffs)} }}")
    assert [d.code for d in found] == [told[0]]
    assert told[1] in found[0].message
    assert found[0].span.text in (cutoffs, "few")


def test_cutoffs_come_from_parameters_and_lets() -> None:
    text = """let half = 5
      component head(vocab, cuts) { adaptive_softmax(vocab, cuts, tie=tok) }
      model m(vocab = 20, cuts = [half, 2 * half]) {
        tokens(vocab=vocab)  tok: embed(16, cutoffs=cuts)  head(vocab, cuts)
      }"""
    model = smrdsl.compile_text(text)
    assert model.tok.weight_1.shape == (5, 4)
    other = smrdsl.compile_text(text, set={"vocab": 30, "cuts": [7, 21]})
    assert other.tok.weight_1.shape == (14, 4)
    assert other.graph.arguments["cuts"] == "[7, 21]"


def test_div_is_at_least_one() -> None:
    (only,) = check_text("model m { tokens(vocab=29)  embed(8, cutoffs=[5], div=0.5) }")
    assert only.code == "E0305"
    with pytest.raises(Misfit, match="8 / 4\\^2 leaves no channel"):
        embed.infer(embed.EmbedParams(width=8, cutoffs=[3, 5]), (StreamType.index(9),))
    with pytest.raises(Misfit, match="leaves no channel"):
        embed.infer(embed.EmbedParams(width=8, cutoffs=[3, 5], div=1e300), (StreamType.index(9),))
    exact = embed.EmbedParams(width=64, cutoffs=[3, 5, 6], div=4.0)
    assert [b.width for b in embed.parts(exact, (StreamType.index(9),))] == [64, 16, 4, 1]
    same = embed.EmbedParams(width=8, cutoffs=[3, 5], div=1.0)
    assert {b.width for b in embed.parts(same, (StreamType.index(9),))} == {8}


def test_an_edit_that_changes_the_table_is_held_against_the_tie() -> None:
    twin = f"{SPEC} model k extends m {{ replace tok with "
    with pytest.raises(SpecError, match="E0403"):
        smrdsl.compile_text(f"{twin} embed(8, cutoffs=[11, 17, 23], div=2.0) }}", "k")
    with pytest.raises(SpecError, match="a step shares its weight"):
        smrdsl.compile_text(f"{twin} words: embed(8) }}", "k")


# --- the published tables


@pytest.mark.parametrize(
    ("vocab", "cutoffs", "vectors"),
    [
        (267_735, [19_997, 39_997, 199_997], 19_997 * 1024 + 20_000 * 256 + 160_000 * 64 + 67_738 * 16),
        (267_744, [20_000, 60_000], 20_000 * 1024 + 40_000 * 256 + 207_744 * 64),
    ],
    ids=["s4", "mega"],
)
def test_parameters_of_wikitext_103(vocab: int, cutoffs: list[int], vectors: int) -> None:
    text = f"""model m {{ tokens(vocab={vocab})  tok: embed(1024, cutoffs={cutoffs})
      adaptive_softmax({vocab}, cutoffs={cutoffs}, tie=tok) }}"""
    g = lower_source(Source("<text>", text)).graph
    widths = [1024 // 4**i for i in range(len(cutoffs) + 1)]
    assert sum(p.size for p in g.parameters("tok").values()) == vectors + 1024 * sum(widths)
    assert {n: p.shape for n, p in g.parameters("adaptive_softmax").items()} == {"clusters": (len(cutoffs), 1024)}
    ends = [0, *cutoffs, vocab]
    for i, (a, b) in enumerate(pairwise(ends)):
        assert g.parameters("tok")[f"weight_{i}"].shape == (b - a, widths[i])
