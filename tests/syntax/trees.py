"""Random trees that use every class of `tree.py`, and random ways to write a text down."""

from __future__ import annotations

import json
import random

from hypothesis import strategies as st

from smrdsl.core.source import Source, Span
from smrdsl.syntax import tree
from tests.syntax.reading import scanned

NOWHERE = Span(Source("", ""), 0, 0)
BINARY = "+ - * / // % ** == != < <= > >= and or".split()


def build(kind: type, *parts: st.SearchStrategy, **named: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(kind, *parts, **named, span=st.just(NOWHERE))


def some(items: st.SearchStrategy, least: int = 0, most: int = 3) -> st.SearchStrategy:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


def maybe(items: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | items


# Names that look like reserved words, numbers and each other.
words = st.sampled_from("x y s4 width _ _a B2 e1 E modelx it_ trues layer_norm aVeryLongNameOfSomeThing".split())
names = build(tree.Name, words)
callees = names | build(tree.Dotted, words, words)
strings = st.sampled_from(["", "a.smr", 'a "b" \\ {', "# é😀", "\n\t\0\x7f\u2028"]) | st.text(max_size=4)
texts = build(tree.Text, strings)
numbers = build(
    tree.Number,
    st.integers(0, 9) | st.integers(0, 10**40) | st.floats(0, allow_nan=False, allow_infinity=False),
)
atoms = st.one_of(
    numbers, texts, names, callees, build(tree.It), build(tree.Constant, st.sampled_from([True, False, None]))
)


def values(expressions: st.SearchStrategy) -> st.SearchStrategy:
    """What stands in arguments, defaults and lets."""
    return expressions | build(tree.Range, expressions, expressions)


def arguments(expressions: st.SearchStrategy) -> st.SearchStrategy:
    return some(build(tree.Argument, maybe(words), values(expressions)))


def composed(expressions: st.SearchStrategy) -> st.SearchStrategy:
    return st.one_of(
        build(tree.Listing, some(expressions)),
        build(tree.Unary, st.sampled_from(["-", "not"]), expressions),
        build(tree.Binary, st.sampled_from(BINARY), expressions, expressions),
        build(tree.Call, callees, arguments(expressions)),
        build(tree.Pipe, expressions, expressions),
    )


expressions = st.recursive(atoms, composed, max_leaves=8)
few = st.recursive(atoms, composed, max_leaves=3)
labels = maybe(names)
operations = build(tree.Step, labels, callees, arguments(few), st.none())
selectors = build(tree.Selector, words | st.builds("{}.{}".format, words, words))

simple = st.one_of(
    build(tree.Let, names, values(expressions)),
    build(tree.Require, expressions, texts),
    build(tree.Tap, names, expressions),
    build(tree.SetIt, expressions),
    build(tree.Body, labels),
    operations,
    build(tree.Place, operations, st.sampled_from(["before", "after"]), selectors, maybe(few)),
    build(tree.Replace, selectors, build(tree.Step, st.none(), callees, arguments(few), st.none()), maybe(few)),
    build(tree.Remove, selectors, maybe(few)),
    build(tree.Execute, selectors, names, maybe(few)),
)


def nested(statements: st.SearchStrategy) -> st.SearchStrategy:
    blocks = build(tree.Block, some(statements, least=1))
    arms = some(build(tree.Arm, few, blocks), least=1, most=2)
    otherwise = some(build(tree.Arm, st.none(), blocks), most=1)
    return st.one_of(
        build(tree.Step, labels, callees, arguments(few), blocks),
        build(tree.Branch, blocks),
        build(tree.Repeat, labels, few, maybe(names), blocks),
        build(tree.When, labels, st.tuples(arms, otherwise).map(lambda pair: pair[0] + pair[1])),
    )


statements = st.recursive(simple, nested, max_leaves=5)
blocks = build(tree.Block, some(statements, least=1, most=4))
parameters = some(build(tree.Parameter, names, maybe(values(few))))
plain_models = build(tree.Model, names, parameters.map(lambda p: p or None), st.none(), st.just(()), blocks)
models = plain_models | build(tree.Model, names, maybe(parameters), callees, arguments(few), blocks)
items = st.one_of(
    build(tree.Import, texts, labels),
    build(tree.Let, names, values(expressions)),
    build(tree.Component, names, parameters, blocks),
    models,
)
files = build(tree.File, some(items, least=1))


def rewritten(text: str, rnd: random.Random) -> tuple[str, list[str]]:
    """The same tokens with other white space between them and comments anywhere; and the comments."""
    parts, comments = [], []
    airy = rnd.choice((0.0, 0.1, 0.5))
    for token in scanned(text).tokens[:-1]:
        space = " " if rnd.random() > airy else rnd.choice(("\n", "\t", "  ", "\r\n", "\n\n\n", " \n "))
        if rnd.random() < airy / 3:
            comments.append(f"# {len(comments)} {rnd.choice(('', 'é', '{ ', json.dumps('x')))}".rstrip())
            space = rnd.choice((" ", "\n", "\n\n")) + comments[-1] + rnd.choice(("\n", "\r\n", "\n\n\n"))
        parts += [space, token.text]
    return "".join(parts), comments
