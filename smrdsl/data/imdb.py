"""imdb: reviews of films, character by character, liked or not; the Text task of the Long Range Arena.

Read from the folder aclImdb as published (Maas et al. 2011): train/pos, train/neg, test/pos, test/neg with a review in
each file. A tenth of train is held out to choose by.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smrdsl.data.characters import alphabet, encode
from smrdsl.data.contract import Data, DataError, DataSet, Options, Part, Request, need
from smrdsl.data.splits import padded

LENGTH = 4096
KINDS = ("neg", "pos")


def load(options: Options, request: Request) -> Data:
    root, length = need(request, "folder"), request.length or LENGTH
    train, test = _reviews(root / "train"), _reviews(root / "test")
    known = alphabet((text for text, _ in train), request.vocab)

    def part(reviews: list[tuple[str, int]]) -> Part:
        u, lengths = padded([encode(text, known, length) for text, _ in reviews], length)
        return Part(u, np.array([kind for _, kind in reviews], dtype=np.int64), None, lengths)

    whole = part(train)
    order = np.random.default_rng(0).permutation(len(whole))
    held = max(1, len(whole) // 10)
    vocab = len(known) + 2
    return Data("imdb", whole.take(order[held:]), whole.take(order[:held]), part(test), vocab=vocab, classes=2)


def _reviews(folder: Path) -> list[tuple[str, int]]:
    """Texts with 1 where the film was liked."""
    found = []
    for kind, name in enumerate(KINDS):
        if not (folder / name).is_dir():
            raise DataError(f"{folder / name}: there is no such folder (name the folder aclImdb)")
        for path in sorted((folder / name).glob("*.txt")):
            found.append((path.read_text(encoding="utf-8", errors="replace"), kind))
    if len(found) < 2:
        raise DataError(f"{folder}: there are no reviews (*.txt) in it")
    return found


DATASET = DataSet("imdb", "Reviews of films from your folder aclImdb: two classes.", load, path="the folder aclImdb",
                  source="Maas et al. 2011; Tay et al. 2021, Text", holds="tokens")  # fmt: skip
