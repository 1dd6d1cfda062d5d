"""Keys: the names that tensors have in checkpoints of several makers, and the one that we have for each.

transformers    backbone.embeddings.weight   backbone.layers.0.mixer.D   backbone.norm_f.weight   lm_head.weight
mamba_ssm       backbone.embedding.weight    (the others alike)
Mistral         model. before them
mambapy         embedding.weight             mamba.layers.0.mixer.D      norm_f.weight            lm_head.weight
"""

from __future__ import annotations

from collections.abc import Iterable

from smrdsl.core.errors import SmrError

PREFIXES = ("model.", "backbone.", "mamba.")
WRITTEN = "backbone."
OUTSIDE = ("lm_head.weight",)
"""What does not stand in the backbone."""


def plain(key: str) -> str:
    """A key without what differs between makers."""
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return f"embeddings.{key.removeprefix('embedding.')}" if key.startswith("embedding.") else key


def by_plain_key(keys: Iterable[str]) -> dict[str, str]:
    """Our name -> the key in the checkpoint. Raises `SmrError` where two keys are one."""
    found: dict[str, str] = {}
    for key in keys:
        first = found.setdefault(plain(key), key)
        if first != key:
            raise SmrError(f"{first} and {key} are the same tensor")
    return found


def written(key: str) -> str:
    """The key that transformers has for one of ours."""
    return key if key in OUTSIDE else f"{WRITTEN}{key}"
