"""listops: nested lists of operations on digits, and the digit that comes out: ten classes.

Generated to the recipe of the Long Range Arena (Tay et al. 2021, arXiv 2011.04006; after Nangia and Bowman 2018): a
tree whose nodes are an operation of 2 to `max_args` arguments with probability 1/4, above `max_depth`, else a digit.
MED is the median without what stands behind its point, SM the sum modulo 10. A list counts if it has more than
`min_length` and less than `max_length` tokens; no list comes twice. The arena drops parentheses, and so do we.

    tokens   0 fills up, 1..10 are the digits, 11..14 MIN MAX MED SM with their bracket, 15 closes it

The arena's own files can be read in place of that: listops:FOLDER with basic_train.tsv, basic_val.tsv, basic_test.tsv.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydantic import Field

from smrdsl.data.cache import cached
from smrdsl.data.contract import PARTS, Array, Data, DataError, DataSet, Options, Part, Request, need
from smrdsl.data.splits import padded

VOCAB, CLOSE, DIGITS = 16, 15, 10
OPERATIONS = ("MIN", "MAX", "MED", "SM")
OPEN = 11
NESTED = 0.25
"""The probability of an operation where there may be one."""
VERSION = 1
NAMES = {str(d): d + 1 for d in range(DIGITS)} | {f"[{n}": OPEN + i for i, n in enumerate(OPERATIONS)} | {"]": CLOSE}
DEPTH, ARGS, SHORTEST, LONGEST = 10, 10, 500, 2000
"""The arena's."""


class ListopsOptions(Options):
    train: int = Field(default=96_000, gt=0, description="How many lists there are to train on.")
    held_out: int = Field(default=2_000, gt=0, description="How many there are in each of the other two parts.")
    max_length: int | None = Field(default=None, gt=3, description="By default one more than the model's length, "
                                   "and 2,000 if it says none.")  # fmt: skip
    min_length: int | None = Field(default=None, ge=0, description="By default a quarter of max_length.")
    max_depth: int = Field(default=DEPTH, gt=0)
    max_args: int = Field(default=ARGS, gt=1)
    seed: int = Field(default=0, ge=0)


def value(tokens: list[int]) -> int:
    """What a list comes out as, from its tokens."""
    stack: list[tuple[int, list[int]]] = []
    for token in tokens:
        if token == CLOSE:
            operation, arguments = stack.pop()
            result = _apply(operation, arguments)
        elif token >= OPEN:
            stack.append((token - OPEN, []))
            continue
        else:
            result = token - 1
        if not stack:
            return result
        stack[-1][1].append(result)
    raise DataError("a list that is not closed")


def _apply(operation: int, arguments: list[int]) -> int:
    match OPERATIONS[operation]:
        case "MIN":
            return min(arguments)
        case "MAX":
            return max(arguments)
        case "MED":
            return int(statistics.median(arguments))
        case _:
            return sum(arguments) % 10


def tree(draw: random.Random, depth: int, options: ListopsOptions, longest: int) -> list[int]:
    """The tokens of a random tree. One that grew longer than `longest` is of no use, and ends anyhow."""
    if depth >= options.max_depth or draw.random() > NESTED:
        return [1 + draw.randrange(DIGITS)]
    count = draw.randint(2, options.max_args)
    tokens = [OPEN + draw.randrange(len(OPERATIONS))]
    for _ in range(count):
        tokens += tree(draw, depth + 1, options, longest)
        if len(tokens) > longest:
            return tokens
    return [*tokens, CLOSE]


def generate(options: ListopsOptions, request: Request) -> Iterator[list[int]]:
    """As many different lists as were asked for."""
    longest, shortest = bounds(options, request)
    draw, seen = random.Random(options.seed), set()
    wanted, tries = options.train + 2 * options.held_out, 0
    while len(seen) < wanted:
        tries += 1
        tokens = tree(draw, 1, options, longest)
        if not shortest < len(tokens) < longest or (key := bytes(tokens)) in seen:
            if tries > 20_000 * (len(seen) + 5):
                raise DataError(f"listops: of {tries:,} lists only {len(seen):,} have {shortest} to {longest} tokens "
                                "and are new: ask for fewer, or for other lengths")  # fmt: skip
            continue
        seen.add(key)
        if len(seen) % 10_000 == 0:
            request.tell(f"listops: {len(seen):,} of {wanted:,} lists")
        yield tokens


def bounds(options: ListopsOptions, request: Request) -> tuple[int, int]:
    """Lists are shorter than the first and longer than the second."""
    longest = options.max_length or (request.length + 1 if request.length else LONGEST)
    shortest = longest // 4 if options.min_length is None else options.min_length
    if shortest >= longest - 1:
        raise DataError(f"listops: no list is longer than {shortest} and shorter than {longest}")
    return longest, shortest


def load(options: ListopsOptions, request: Request) -> Data:
    if request.path:
        parts = [_read(need(request, "folder") / f"basic_{name}.tsv", request) for name in ("train", "val", "test")]
        return Data("listops", *parts, vocab=VOCAB, classes=DIGITS)
    longest, shortest = bounds(options, request)
    length = request.length or longest - 1
    if length < longest - 1:
        raise DataError(f"listops: lists of {longest - 1} tokens do not fit the model's length of {length}")
    made_from = options.model_dump() | {"max_length": longest, "min_length": shortest, "version": VERSION}

    def make() -> dict[str, Array]:
        request.tell("listops: generating (once: the lists are kept in the cache folder)")
        return _pack(list(generate(options, request)), longest - 1)

    kept = cached("listops", made_from, make)
    ends = np.cumsum([options.train, options.held_out, options.held_out])
    slices = [slice(end - size, end) for end, size in zip(ends, (options.train, *[options.held_out] * 2), strict=True)]
    table, lengths, values = kept["tokens"], kept["lengths"], kept["values"]
    train, valid, test = (Part(table[s], values[s], None, lengths[s]) for s in slices)
    return Data("listops", train, valid, test, vocab=VOCAB, classes=DIGITS)


def _pack(lists: list[list[int]], length: int) -> dict[str, Array]:
    table, lengths = padded([np.array(tokens, dtype=np.uint8) for tokens in lists], length)
    values = np.array([value(tokens) for tokens in lists], dtype=np.int64)
    return {"tokens": table, "lengths": lengths, "values": values}


def _read(path: Path, request: Request) -> Part:
    """A file of the arena: Source and Target, separated by tabs."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file (of {', '.join(PARTS)} the arena has one each)")
    rows, values, length = [], [], request.length or LONGEST
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith("Source"):
                continue
            try:
                source, target = line.split("\t")
                rows.append(np.array([NAMES[w] for w in source.split() if w not in "()"], dtype=np.uint8))
                values.append(int(target))
            except (ValueError, KeyError):
                raise DataError(f"{path}:{number}: not a list and its value, separated by a tab") from None
            if not 0 < len(rows[-1]) <= length:
                raise DataError(
                    f"{path}:{number}: a list of {len(rows[-1]):,} tokens, and the model's length is {length:,}: "
                    "cut off it has no value; make the model longer (--length)"
                )
    if not rows:
        raise DataError(f"{path}: the file is empty")
    table, lengths = padded(rows, length)
    return Part(table, np.array(values, dtype=np.int64), None, lengths)


DATASET = DataSet("listops", "Nested operations on digits, generated: ten classes.", load, ListopsOptions,
                  path="the arena's folder?", source="Tay et al. 2021, Long Range Arena", holds="tokens")  # fmt: skip
