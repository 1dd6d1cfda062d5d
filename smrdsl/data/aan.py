"""aan: two papers, character by character, and whether one cites the other; the Retrieval task of the Long Range Arena.

Read from the arena's folder: new_aan_pairs.train.tsv, .eval.tsv and .test.tsv with the label (0 or 1), two identifiers
and two texts in each line, separated by tabs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smrdsl.data.characters import alphabet, encode
from smrdsl.data.contract import Data, DataError, DataSet, Options, Part, Request, need
from smrdsl.data.splits import padded

LENGTH = 4000
FILES = ("new_aan_pairs.train.tsv", "new_aan_pairs.eval.tsv", "new_aan_pairs.test.tsv")
COLUMNS = 5
Row = tuple[str, str, int]


def load(options: Options, request: Request) -> Data:
    root, length = need(request, "folder"), request.length or LENGTH
    rows = [_read(root / name) for name in FILES]
    known = alphabet((text for pair in rows[0] for text in pair[:2]), request.vocab)

    def part(pairs: list[Row]) -> Part:
        u, lengths = padded([encode(text, known, length) for *two, _ in pairs for text in two], length)
        labels = np.array([label for *_, label in pairs], dtype=np.int64)
        return Part(u.reshape(-1, 2, length), labels, None, lengths.reshape(-1, 2))

    train, valid, test = map(part, rows)
    return Data("aan", train, valid, test, vocab=len(known) + 2, classes=2)


def _read(path: Path) -> list[Row]:
    if not path.is_file():
        raise DataError(f"{path}: there is no such file (the folder holds {', '.join(FILES)})")
    found: list[Row] = []
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            cells = line.rstrip("\r\n").split("\t")
            label = cells[0].strip()
            if len(cells) != COLUMNS or label not in ("0", "1", "0.0", "1.0"):
                raise DataError(f"{path}:{number}: not a label of 0 or 1, two identifiers and two texts")
            found.append((cells[3], cells[4], int(float(label))))
    if not found:
        raise DataError(f"{path}: the file is empty")
    return found


DATASET = DataSet("aan", "Pairs of papers from your files: two classes, for models of pairs.", load,
                  path="the folder of new_aan_pairs.*.tsv",
                  source="Radev et al. 2013; Tay et al. 2021, Retrieval", holds="tokens")  # fmt: skip
