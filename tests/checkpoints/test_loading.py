"""Weights in: whichever way a checkpoint is written it gives the same model, and what does not fit is told by key."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from smrdsl.runtime.errors import WeightsError
from tests.checkpoints.tiny import TOKENS, checkpoint, compiled, rewrite, same, spec, tensors

Weights = dict[str, Tensor]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ck"


# --- ways to write one checkpoint


def shard(folder: Path, save: Callable[[Weights, Path], object], ending: str, index: str) -> None:
    """The weights of a folder in three files and an index."""
    held = tensors(folder)
    (folder / "model.safetensors").unlink()
    homes = {}
    for i in range(3):
        name = f"{index.partition('.')[0]}-{i + 1:05}-of-00003.{ending}"
        part = {key: held[key] for key in list(held)[i::3]}
        save(part, folder / name)
        homes |= dict.fromkeys(part, name)
    (folder / index).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": homes}))


def as_shards(folder: Path) -> Path:
    shard(folder, save_file, "safetensors", "model.safetensors.index.json")
    return folder


def as_bin(folder: Path) -> Path:
    torch.save(tensors(folder), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def as_old_bin(folder: Path) -> Path:
    """As torch wrote files before 1.6."""
    torch.save(tensors(folder), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / "model.safetensors").unlink()
    return folder


def as_bin_shards(folder: Path) -> Path:
    shard(folder, torch.save, "bin", "pytorch_model.bin.index.json")
    return folder


def as_file(folder: Path) -> Path:
    return folder / "model.safetensors"


def as_trainers_file(folder: Path) -> Path:
    torch.save({"state_dict": tensors(folder)}, folder / "last.ckpt")
    return folder / "last.ckpt"


def as_mamba_ssm(folder: Path) -> Path:
    rewrite(folder, {key.replace("embeddings.", "embedding."): tensor for key, tensor in tensors(folder).items()})
    return as_file(folder)


def as_mistral(folder: Path) -> Path:
    rewrite(folder, {f"model.{key}": tensor for key, tensor in tensors(folder).items()})
    return folder


def with_its_head(folder: Path) -> Path:
    held = tensors(folder)
    rewrite(folder, held | {"lm_head.weight": held["backbone.embeddings.weight"]})
    return folder


WAYS = [
    as_shards,
    as_bin,
    as_old_bin,
    as_bin_shards,
    as_file,
    as_trainers_file,
    as_mamba_ssm,
    as_mistral,
    with_its_head,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_however_it_is_written(way: Callable[[Path], Path], folder: Path) -> None:
    wanted = checkpoint(folder)
    assert not same(compiled(spec()), wanted)
    assert same(compiled(spec(), weights=way(folder)), wanted)


@pytest.mark.parametrize("component", ["mamba", "mamba2"])
def test_each_block_and_a_head_of_its_own(component: str, folder: Path) -> None:
    wanted = checkpoint(folder, component, tie="")
    assert same(compiled(spec(component, tie=""), weights=folder), wanted)


def test_a_tied_checkpoint_in_an_untied_model(folder: Path) -> None:
    """The head starts as the embedding, and is then trained by itself."""
    wanted = checkpoint(folder)
    model = compiled(spec(tie=""), weights=folder)
    assert same(model, wanted)
    assert torch.equal(model.get_parameter("linear.weight"), model.get_parameter("tok.weight"))


def test_half_precision_is_computed_in_full(folder: Path) -> None:
    checkpoint(folder)
    half = {key: tensor.bfloat16() for key, tensor in tensors(folder).items()}
    rewrite(folder, half)
    model = compiled(spec(), weights=folder)
    own = model.get_parameter("tok.weight")
    assert own.dtype == torch.float32
    assert torch.equal(own, half["backbone.embeddings.weight"].float())


def test_an_smr_that_was_placed_keeps_its_initial_values(folder: Path) -> None:
    """At the start its gate is 1, so that a pretrained model computes what it did."""
    wanted = checkpoint(folder)
    twin = compiled(spec(), model="lm_smr", weights=folder)
    fresh = compiled(spec(), model="lm_smr")
    assert same(twin, wanted)
    added = {key for key in twin.state_dict() if ".smr." in key}
    assert added == twin.state_dict().keys() - wanted.state_dict().keys()
    assert all(torch.equal(twin.get_parameter(key), fresh.get_parameter(key)) for key in added)


def test_our_own_packages_and_files_go_in_as_before(folder: Path) -> None:
    model = checkpoint(folder)
    model.save(folder.parent / "package")
    torch.save(model.state_dict(), folder.parent / "own.pt")
    for place in ("package", "package/weights.safetensors", "own.pt"):
        assert same(compiled(spec(), weights=folder.parent / place), model)


# --- what does not fit


def changed(folder: Path, change: Callable[[Weights], object]) -> Path:
    held = tensors(folder)
    change(held)
    rewrite(folder, held)
    return folder


def test_another_depth_is_told_key_by_key(folder: Path) -> None:
    checkpoint(folder, depth=3)
    with pytest.raises(WeightsError) as told:
        compiled(spec(), weights=folder)
    message = str(told.value).splitlines()
    assert message[0] == f"E0901: {folder}/model.safetensors does not fit the model:"
    assert "  backbone.layers.2.mixer.A_log (32, 4) belongs to nothing in the model" in message
    assert message[-1] == "  and 2 more"
    assert len(message) == 10
    with pytest.raises(WeightsError, match=r"layers\.3\.mixer\.A_log \(32, 4\) is missing"):
        compiled(spec(depth=4), weights=folder)


REFUSED: list[tuple[str, Callable[[Weights], object], str]] = [
    ("left out", lambda w: w.pop("backbone.norm_f.weight"), r"  norm_f\.weight \(16,\) is missing$"),
    ("another size", lambda w: w.update({"backbone.norm_f.weight": torch.ones(8)}),
     r"backbone\.norm_f\.weight: wanted \(16,\), found \(8,\)$"),
    ("an axis more", lambda w: w.update({"backbone.layers.0.mixer.D": torch.ones(32, 1)}),
     r"backbone\.layers\.0\.mixer\.D: wanted \(32,\), found \(32, 1\)$"),
    ("one too many", lambda w: w.update({"backbone.layers.0.mixer.B_norm.weight": torch.ones(8)}),
     r"B_norm\.weight \(8,\) belongs to nothing in the model$"),
    ("twice", lambda w: w.update({"backbone.embedding.weight": torch.ones(11, 16)}),
     r"backbone\.embedding\.weight and backbone\.embeddings\.weight are the same tensor$"),
    ("whole numbers", lambda w: w.update({"backbone.norm_f.weight": torch.ones(16, dtype=torch.int8)}),
     r"backbone\.norm_f\.weight holds I8, not reals$"),
    ("another head", lambda w: w.update({"lm_head.weight": torch.ones(11, 16)}),
     r"lm_head\.weight differs from backbone\.embeddings\.weight, .* leave `tie` out of the spec$"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "told"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_does_not_fit_is_told(change: Callable[[Weights], object], told: str, folder: Path) -> None:
    checkpoint(folder)
    with pytest.raises(WeightsError, match=told):
        compiled(spec(), weights=changed(folder, change))


def test_the_checkpoint_of_another_block(folder: Path) -> None:
    checkpoint(folder, "mamba2")
    with pytest.raises(WeightsError) as told:
        compiled(spec("mamba"), weights=folder)
    assert "is a checkpoint of Mamba-2, and the model is no stack of such blocks" in str(told.value)
    assert "stands where `ssd_scan` is wanted" in str(told.value)


def config(folder: Path, **keys: object) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))
    return folder


@pytest.mark.parametrize(
    ("component", "keys", "told"),
    [
        ("mamba", {"layer_norm_epsilon": 1e-6}, "eps of the norms: the model has 1e-05, config.json says 1e-06"),
        ("mamba", {"model_type": "falcon_mamba"}, '`model_type` is "falcon_mamba"; known are mamba, mamba2'),
        ("mamba", {"hidden_act": "gelu"}, '`hidden_act` is "gelu"; only silu is known'),
        ("mamba2", {"time_step_limit": [0.0, 0.5]}, "limit: the model has none, config.json says 0..0.5"),
        ("mamba2", {"n_groups": 1}, "groups: the model has 2, config.json says 1"),
        ("mamba2", {"model_type": "mamba"}, "config.json is that of Mamba, and the weights are those of Mamba-2"),
    ],
)
def test_what_no_shape_shows_is_held_against_the_config(
    component: str, keys: dict[str, object], told: str, folder: Path
) -> None:
    checkpoint(folder, component)
    assert compiled(spec(component), weights=folder)
    with pytest.raises(WeightsError) as error:
        compiled(spec(component), weights=config(folder, **keys))
    assert told in str(error.value)
    assert compiled(spec(component), weights=folder / "model.safetensors")  # a file has no config beside it


# --- broken and hostile files


class Code:
    """Runs code where a file is unpickled without care."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('code was run')",)


def test_a_file_with_code_is_refused_and_nothing_of_it_runs(folder: Path) -> None:
    checkpoint(folder)
    as_bin(folder)
    torch.save({"backbone.norm_f.weight": Code()}, folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"refers to `[\w.]*exec`, .* a file with code in it is not read"):
        compiled(spec(), weights=folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Code()))
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin"):
        compiled(spec(), weights=folder)


UNFIT = {
    "list": [1, 2],
    "number": {"step": 3},
    "key": {0: torch.ones(1)},
    "sparse": {"a": torch.ones(2, 2).to_sparse()},
    "meta": {"a": torch.ones(2, device="meta")},
}


@pytest.mark.parametrize("held", UNFIT.values(), ids=UNFIT)
def test_a_file_without_tensors_by_name(held: object, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"w\.pt holds a"):
        compiled(spec(), weights=tmp_path / "w.pt")


@pytest.mark.parametrize("way", [as_file, as_bin, as_shards, as_old_bin], ids=lambda way: way.__name__)
def test_a_file_that_was_cut_short(way: Callable[[Path], Path], folder: Path) -> None:
    checkpoint(folder)
    way(folder)
    file = max((f for f in folder.iterdir() if f.suffix != ".json"), key=lambda f: f.name)
    data = file.read_bytes()
    for length in (0, 5, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=f"E0901: {file} is no .*, or cut short"):
            compiled(spec(), weights=folder)


def broken(folder: Path, change: Callable[[dict[str, str]], object]) -> Path:
    """A folder of shards with another map of tensors to files."""
    index = as_shards(folder) / "model.safetensors.index.json"
    held = json.loads(index.read_text())
    change(held["weight_map"])
    index.write_text(json.dumps(held))
    return folder


NORM = "backbone.norm_f.weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda m: m.update({NORM: "../../secret.safetensors"}),
            r"'\.\./\.\./secret\.safetensors', which is no file in",
        ),
        (lambda m: m.update({NORM: "/etc/passwd"}), "'/etc/passwd', which is no file in its folder"),
        (lambda m: m.update({NORM: ".."}), r"'\.\.', which is no file in its folder"),
        (lambda m: m.update({NORM: "model.safetensors.index.json"}), "which is no file in its folder"),
        (lambda m: m.update({NORM: 3}), "has no `weight_map` of tensors to files"),
        (lambda m: m.update({NORM: "none.safetensors"}), r"names none\.safetensors, and .* does not exist"),
        (lambda m: m.pop(NORM), rf"holds {NORM}, which model\.safetensors\.index\.json does not name"),
        (lambda m: m.update({"more": m[NORM]}), r"lacks more, which model\.safetensors\.index\.json has there"),
        (lambda m: m.update({NORM: next(f for f in m.values() if f != m[NORM])}), rf"holds {NORM}, which .* has in "),
    ],
)
def test_an_index_that_lies(change: Callable[[dict[str, str]], object], told: str, folder: Path) -> None:
    checkpoint(folder)
    with pytest.raises(WeightsError, match=told):
        compiled(spec(), weights=broken(folder, change))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON text"),
        ("[]", "holds no JSON object"),
        ("{}", "has no `weight_map`"),
        ('{"weight_map": {"a": "b", "a": "c"}}', "the key a stands there twice"),
        ("[" * 100_000, "is no JSON text"),
        ("\udc80", "is no JSON text"),
    ],
)
def test_an_index_that_is_none(text: str, told: str, folder: Path) -> None:
    checkpoint(folder)
    as_shards(folder)
    (folder / "model.safetensors.index.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(WeightsError, match=told):
        compiled(spec(), weights=folder)


def test_a_shard_that_is_missing(folder: Path) -> None:
    checkpoint(folder)
    next(as_shards(folder).glob("*2-of*")).unlink()
    with pytest.raises(WeightsError, match=r"names model-00002-of-00003\.safetensors, and .* does not exist"):
        compiled(spec(), weights=folder)


def test_a_folder_without_weights(folder: Path) -> None:
    checkpoint(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"there is none of model\.safetensors, .*pytorch_model\.bin"):
        compiled(spec(), weights=folder)


def test_a_link_to_where_the_file_lies_is_followed(folder: Path) -> None:
    """A cache of Hugging Face's holds nothing but links."""
    wanted = checkpoint(folder)
    shutil.move(folder / "model.safetensors", folder.parent / "blob")
    (folder / "model.safetensors").symlink_to("../blob")
    with torch.no_grad():
        assert torch.equal(compiled(spec(), weights=folder)(TOKENS), wanted(TOKENS))
