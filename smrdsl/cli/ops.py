"""`smrdsl ops`: the operators and their manual, from the registry, and the standard library. Needs no torch."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict

import click

from smrdsl.cli.output import paint
from smrdsl.core.errors import did_you_mean
from smrdsl.ops.manual import Manual, by_family, facts, flow, manual, named
from smrdsl.ops.registry import operators
from smrdsl.spec.library import library

WIDEST = 100
LIBRARY = "standard library"


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print what is known as JSON.")
def command(name: str | None, as_json: bool) -> int:
    """List the operators and the standard library, or tell all about the one called NAME."""
    known = operators()
    if name is None:
        table = {family: [manual(op) for op in members] for family, members in by_family().items()}
        lists = {family: [asdict(m) for m in members] for family, members in table.items()}
        lists[LIBRARY] = [asdict(e) for e in library().values()]
        text = json.dumps(lists, indent=1) if as_json else "\n".join(overview(table))
    elif name in known:
        told = manual(known[name])
        text = json.dumps(asdict(told), indent=1) if as_json else "\n".join(page(told))
    elif name in library():
        entry = library()[name]
        text = json.dumps(asdict(entry), indent=1) if as_json else f'import "{entry.file}"\n\n{entry.text.rstrip()}'
    else:
        hint = did_you_mean(name, [*known, *library()]) or "; `smrdsl ops` lists them"
        raise click.UsageError(f"no operator `{name}`{hint}")
    print(text, flush=True)
    return 0


def overview(table: dict[str, list[Manual]]) -> Iterator[str]:
    """The operators by family, then the library: what each does, and how it is written."""
    longest = max(len(name) for name in (*operators(), *library()))
    for family, members in table.items():
        yield _head(family)
        for m in members:
            yield from _hang(f"  {m.name:<{longest}}  ", m.summary)
            if m.arguments:
                yield from _hang(" " * (longest + 4), m.signature, "  ")
        yield ""
    yield _head(LIBRARY)
    for e in library().values():
        yield from _hang(f"  {e.name:<{longest}}  ", f"{e.file}: {e.summary}")
    yield ""
    yield "smrdsl ops NAME tells all about one of them."


def page(m: Manual) -> Iterator[str]:
    """All about one operator."""
    yield from _hang("", m.summary)
    yield ""
    yield from _hang("  ", m.signature, " " * (len(m.name) + 1))
    if len(m.streams) > 1 or not m.streams:
        yield ""
        yield f"streams: {', '.join(m.streams) or 'none, it is an input'}"
    if m.arguments:
        yield from ("", _head("arguments"))
    for a in m.arguments:
        default = f" (default {a.default})" if a.default else ", must be given"
        yield from _hang("  ", f"{a.name}: {a.takes}{default}", "    ")
        yield from _hang("      ", a.description)
    if m.equations:
        yield from ("", _head("equations"), *(f"  {line}" for line in m.equations))
    yield from ("", _head("execution"))
    for fact in facts(m):
        yield from _hang("  ", fact, "  ")
    if m.examples:
        yield from ("", _head("shapes"))
    for e in m.examples:
        yield from _hang("  ", f"{e.call}: {flow(e)}", "    ")
        for what, shapes in (("learns", e.parameters), ("state", e.state)):
            if shapes:
                yield from _hang("      ", f"{what} {named(shapes)}", "  ")
    if m.source:
        yield from ("", _head("source"), *_hang("  ", m.source, "  "))


def _head(text: str) -> str:
    return paint(text, "place", sys.stdout)


def _hang(first: str, text: str, deeper: str = "") -> list[str]:
    """Text in lines that fit the terminal, those behind the first indented as far, and `deeper`."""
    wide = min(shutil.get_terminal_size().columns, WIDEST)
    return textwrap.wrap(
        text, max(wide, len(first) + 30), initial_indent=first, subsequent_indent=" " * len(first) + deeper,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
