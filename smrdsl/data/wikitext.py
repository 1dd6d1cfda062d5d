"""wikitext: WikiText-103 (or any text in its format), to say the next word.

Read from the published folder (Merity et al. 2017): wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens, words
separated by spaces. Every line ends with the word <eos>. Words are numbered by falling frequency in training, as
adaptive softmaxes need them; those beyond the model's vocabulary, and new ones, are <unk>.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smrdsl.data.contract import PARTS, Array, Data, DataError, DataSet, Options, Request, need
from smrdsl.data.splits import next_tokens

LENGTH = 512
END, UNKNOWN = "<eos>", "<unk>"


def load(options: Options, request: Request) -> Data:
    root, length = need(request, "folder"), request.length or LENGTH
    request.tell("wikitext: counting words")
    known = vocabulary(root / "wiki.train.tokens", request.vocab)
    parts = []
    for name in PARTS:
        request.tell(f"wikitext: reading {name}")
        path = root / f"wiki.{name}.tokens"
        parts.append(next_tokens(_tokens(path, known), length, str(path)))
    return Data("wikitext", *parts, vocab=len(known), words=True)


def vocabulary(path: Path, most: int | None) -> dict[str, int]:
    """Word -> its rank by frequency; words of equal frequency by themselves."""
    counts = Counter(word for line in _lines(path) for word in line)
    counts[UNKNOWN] += 1  # it has a number even where training never has it
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    if most is not None and most < len(ranked):
        ranked = [word for word in ranked if word != UNKNOWN][: most - 1]
        ranked.append(UNKNOWN)
    return {word: rank for rank, word in enumerate(ranked)}


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield [*line.split(), END]
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file (the folder holds wiki.train.tokens and its like)") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from None


def _tokens(path: Path, known: dict[str, int]) -> Array:
    unknown = known[UNKNOWN]
    found = np.fromiter((known.get(word, unknown) for line in _lines(path) for word in line), dtype=np.int32)
    if not len(found):
        raise DataError(f"{path}: the file is empty")
    return found


DATASET = DataSet("wikitext", "WikiText-103 from your files: the next word.", load, path="the folder of wiki.*.tokens",
                  source="Merity et al. 2017, Pointer Sentinel Mixture Models", holds="tokens")  # fmt: skip
