"""Report: what a probe found as one HTML page, without anything to load. Every sentence is made of the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from smrdsl.probe import plots
from smrdsl.probe.result import DATA, Result
from smrdsl.probe.sentences import sentences
from smrdsl.probe.subject import HOST, STEPS, TITLES
from smrdsl.probe.summary import summary
from smrdsl.probe.tables import Table, tables
from smrdsl.probe.words import count

HEADINGS = {
    "stability": "How stable the cores are",
    "nss": "How errors gather in the states",
    "sampling": "What other sampling grids do",
    "volterra": "What a multiplicative gate adds to a linear model",
    "insert": "Putting SMR into a trained model",
}
META = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
CSS = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a2230; background: #fff; margin: 0 auto; max-width: 82rem;
  padding: 1.5rem; }
p, ul, pre { max-width: 60rem; box-sizing: border-box; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p.quiet, caption, figcaption { color: #566173; } ul { padding-left: 1.2rem; } li { margin: .25rem 0; }
p.short { background: #f5f7f9; border-left: 3px solid #b03a00; padding: .6rem .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; margin: .8rem 0; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 1px solid #828c9a; font-weight: 600; }
tbody tr:nth-child(even), tbody tr:nth-child(even) td { background: #f5f7f9; }
figure { margin: 1.4rem 0; overflow-x: auto; } figcaption { padding-bottom: .3rem; }
figure svg { max-width: 100%; min-width: 34rem; height: auto; }
pre { background: #f5f7f9; padding: .6rem .8rem; overflow-x: auto; font-size: 13px; }
"""


def page(r: Result) -> str:
    """The whole page. Needs matplotlib."""
    title = f"Probe of {r.about.model}"
    body = "\n".join(_body(r))
    head = f"{META}<title>{escape(title)}</title><style>{CSS}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _body(r: Result) -> Iterator[str]:
    yield f"<h1>Probe of {escape(r.about.model)}</h1>"
    yield f'<p class="quiet">{escape(_what(r))}</p>'
    short = summary(r)
    if short:
        yield f'<p class="short">{escape(short)}</p>'
    yield f"<p>{escape(_how(r))}</p>"
    yield f"<pre>{escape(_variants(r))}</pre>"
    told, numbers, pictures = sentences(r), tables(r), _pictures(r)
    for part, lines in told.items():
        yield f"<h2>{HEADINGS[part]}</h2>"
        yield "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
        for caption, svg in pictures.get(part, []):
            yield f"<figure><figcaption>{escape(caption)}</figcaption>{svg}</figure>"
        yield from (_table(t) for t in numbers[part])
    yield f'<p class="quiet">All numbers are in {DATA} beside this page; docs/probe.md defines them.</p>'


def _what(r: Result) -> str:
    a = r.about
    return f"{a.file}, smrdsl {a.version}"


def _how(r: Result) -> str:
    """How the models came to be, in a few sentences."""
    a, recipe = r.about, r.about.recipe
    if a.trained_here:
        told = " It is told the gaps; states are followed without them, as if all were 1." if a.timed else ""
        return (
            f"Every variant was trained here from {count(a.seeds, 'seed')}: {recipe['steps']} steps of AdamW on "
            f"{recipe['batch']} sequences of {recipe['length']} samples, learning rate {recipe['rate']:g}, on the task "
            f"{a.task} and the grid {recipe['grid']}.{told}"
        )
    if a.weights:
        why = f" No errors are told: {a.why_no_error}." if a.why_no_error else ""
        lost = ", and without SMR it is a model that nobody trained" if a.as_given != HOST else ""
        return f"The weights are those of {a.weights}; what the twins add is as it starts{lost}.{why}"
    return f"The model was not trained: {a.why_no_error}. What is told of its cores is told of initial weights."


def _variants(r: Result) -> str:
    about = r.about
    width = max(map(len, (*about.variants, STEPS)))
    lines = []
    for v in about.variants:
        lines.append(f"{v:<{width}}  {TITLES[v]}: {about.edits[v] or 'as written'}")
    if r.sampling is not None and STEPS not in about.variants and any(x.variant == STEPS for x in r.sampling.scores):
        lines.append(f"{STEPS:<{width}}  {TITLES[STEPS]}: smr, with the same weights, its gates told the gaps")
    return "\n".join(lines)


def _pictures(r: Result) -> dict[str, list[tuple[str, str]]]:
    """Part -> captions and pictures, of what there is."""
    found: dict[str, list[tuple[str, str]]] = {}
    if r.nss is not None:
        found["nss"] = [("The system made by hand under jitter 0.3, one seed.", plots.growths(r.nss.growths))]
        if r.nss.cores:
            caption = f"The cores of the model over {r.nss.length} samples, means over sequences."
            found["nss"].append((caption, plots.deviations(r.nss.cores)))
    if r.sampling is not None and r.sampling.grids:
        found["sampling"] = _sampling_pictures(r)
    if r.volterra is not None:
        found["volterra"] = [("The linear host on the energy; dots are seeds.", plots.linear_host(r.volterra))]
    return found


def _sampling_pictures(r: Result) -> list[tuple[str, str]]:
    s = r.sampling
    assert s is not None
    found = []
    if s.scored:
        found.append(("How many times its clean error each variant has on a grid.", plots.ratios(s)))
        found.append(("Error against the rate; bars are deviations over the seeds.", plots.against_rate(s)))
    if s.states:
        found.append(("States under jitter 0.3; shaded is the range of the seeds.", plots.over_time(s)))
    return found


def _table(t: Table) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in t.heads)
    rows = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in t.rows)
    caption = f"<caption>{escape(t.caption)}</caption>"
    return f'<div class="wide"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
