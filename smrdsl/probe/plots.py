"""Plots: the pictures of the report, as SVG text. Only user of matplotlib, which comes with the extra `probe`.

A colour stands for a variant, dashes or hatches for a clock that it was not trained under, dots for a bound; hues are
those of `draw/palette.py`.
"""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smrdsl.core.errors import SmrError
from smrdsl.probe.handmade import PRE, RADII, Growth
from smrdsl.probe.nss import CoreDeviation
from smrdsl.probe.sampling import BLIND, RESCALED, Sampling, aside, cell, rows
from smrdsl.probe.subject import CONTROL, HOST, SMR, STEPS, TITLES
from smrdsl.probe.volterra import Volterra

COLOURS = {HOST: "#3d4858", SMR: "#b03a00", CONTROL: "#0a62a0", STEPS: "#8d2f70"}
SHADES = ("#00775a", "#0a62a0", "#968600", "#b03a00", "#8d2f70")
FRONT = {"none": "nothing in front", "smr": "behind an SMR", "fir": "behind a filter with zeros at the poles"}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.fonttype": "path",
    "svg.hashsalt": "smrdsl",  # the same numbers give the same file
    "figure.constrained_layout.use": True,
}
CORES_SHOWN = 4
"""Cores with curves of their own; deeper models show the first ones and the last."""


def plain_numbers(axis: Any) -> None:
    """Ticks at 1, 2 and 5 of a logarithmic axis, and more of them where it is short, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(10, (1.0, 2.0, 5.0) if high > 10 * low else (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def drawn(paint: Callable[[Any], None], width: float, height: float) -> str:
    """What `paint` leaves on a figure of so many inches, as SVG without its head. Raises `SmrError`."""
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError:
        raise SmrError("the report needs matplotlib: pip install 'smrdsl[probe]'; --json does without") from None
    with matplotlib.rc_context(STYLE):
        figure = Figure((width, height))
        FigureCanvasSVG(figure)
        paint(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


# --- by hand


def growths(found: Sequence[Growth]) -> str:
    """|e_t| and its bound for every radius; one panel for what stands in front."""

    def paint(figure: Any) -> None:
        for axes, pre in zip(figure.subplots(1, len(PRE), sharey=True), PRE, strict=True):
            for colour, radius in zip(SHADES, RADII, strict=True):
                g = next(g for g in found if g.pre == pre and g.radius == radius)
                axes.semilogy(g.times, g.deviation, color=colour, lw=1.1, label=f"ρ = {radius:g}")
                axes.semilogy(g.times, g.bound, color=colour, lw=0.8, ls=":")
            axes.set(title=FRONT[pre], xlabel="samples", ylim=(1e-4, 1e7))
        figure.axes[0].set_ylabel("$|e_t|$; dotted: its bound")
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(RADII))

    return drawn(paint, 9.6, 3.3)


# --- in the model


def shown_cores(keys: Sequence[str]) -> list[str]:
    """Of many cores the first ones and the last."""
    own = list(dict.fromkeys(keys))
    return own if len(own) <= CORES_SHOWN else [*own[: CORES_SHOWN - 1], own[-1]]


def deviations(found: Sequence[CoreDeviation]) -> str:
    """Deviation and bound of the cores over time, above; below, relative to the state."""
    keys = shown_cores([d.key for d in found])

    def paint(figure: Any) -> None:
        panels = figure.subplots(2, len(keys), squeeze=False, sharex=True, sharey="row")
        for column, key in enumerate(keys):
            above, below = panels[:, column]
            for d in (d for d in found if d.key == key):
                colour = COLOURS[d.variant]
                above.semilogy(d.times, np.maximum(d.deviation, 1e-12), color=colour, lw=1, label=TITLES[d.variant])
                if d.bound:
                    above.semilogy(d.times, np.maximum(d.bound, 1e-12), color=colour, lw=0.9, ls=":")
                below.plot(d.times, np.multiply(d.relative, 100), color=colour, lw=1)
            above.set_title(key)
            below.set(xlabel="samples")
        panels[0, 0].set_ylabel("$|e_t|$; dotted: its bound")
        panels[1, 0].set_ylabel("$|e_t|$ / rms $|x|$, %")
        panels[1, 0].set_ylim(bottom=0)  # of the row, once all of it is drawn
        plain_numbers(panels[0, 0].yaxis)
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2)

    return drawn(paint, max(5.0, 2.6 * len(keys) + 0.8), 4.4)


def over_time(s: Sampling) -> str:
    """Relative deviation of the states over time, the mean over the seeds with their range."""
    keys = shown_cores([x.key for x in s.states])

    def paint(figure: Any) -> None:
        panels = figure.subplots(1, len(keys), squeeze=False, sharey=True)[0]
        for axes, key in zip(panels, keys, strict=True):
            for variant in dict.fromkeys(x.variant for x in s.states):
                curves = 100 * np.array([x.relative for x in s.states if (x.key, x.variant) == (key, variant)])
                if len(curves):
                    t = np.arange(1, curves.shape[1] + 1)
                    axes.plot(t, curves.mean(0), color=COLOURS[variant], lw=1.1, label=TITLES[variant])
                    axes.fill_between(t, curves.min(0), curves.max(0), color=COLOURS[variant], alpha=0.12, lw=0)
            axes.set(title=key, xlabel="samples")
        panels[0].set_ylim(bottom=0)
        panels[0].set_ylabel("$|e_t|$ / rms $|x|$, %")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3)

    return drawn(paint, max(5.0, 2.6 * len(keys) + 0.8), 3.0)


# --- errors


def against_rate(s: Sampling) -> str:
    """Error against the rate, blind and rescaled."""
    rates = sorted({1.0, *(float(g.partition("=")[2]) for g in s.grids if g.startswith("rate="))})

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        kinds = [row for row in rows(s) if row[1] in (s.clock, RESCALED)]
        for i, (variant, clock) in enumerate(kinds):
            names = {r: "clean" if r == 1 else f"rate={r:g}" for r in rates}
            cells = {r: cell(s, variant, BLIND if r == 1 and clock == RESCALED else clock, n) for r, n in names.items()}
            found = {r: c for r, c in cells.items() if c}
            mean, spread = ([getattr(c, a) for c in found.values()] for a in ("mean", "spread"))
            beside = 2 ** (0.02 * (i - (len(kinds) - 1) / 2))  # so that no bar hides another
            name = TITLES[variant] + aside(s, variant, clock)
            axes.errorbar([r * beside for r in found], mean, spread, color=COLOURS[variant], lw=1.2, capsize=2,
                          ls="-" if clock == s.clock else "--", label=name)  # fmt: skip
        axes.set(xlabel="rate (spacing of the samples, 1 as trained)", ylabel="error / std of the target", yscale="log")
        axes.set_xscale("log", base=2)
        axes.set_xticks(rates, [f"{r:g}" for r in rates])
        axes.minorticks_off()
        plain_numbers(axes.yaxis)
        figure.legend(loc="outside right center")

    return drawn(paint, 8.2, 3.2)


def ratios(s: Sampling) -> str:
    """How many times its clean error every variant has on a grid, blind and told."""
    wanted = [g for g in s.grids if g != "clean"]
    kinds = [row for row in rows(s) if row[1] != RESCALED and (row[1] == s.clock or row[0] in (HOST, SMR, STEPS))]

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        size = 0.8 / max(1, len(kinds))
        for i, (variant, clock) in enumerate(kinds):
            cells = [cell(s, variant, clock, g) for g in wanted]
            heights = [c.to_clean if c else math.nan for c in cells]
            x = np.arange(len(wanted)) + (i - (len(kinds) - 1) / 2) * size
            filled = clock == s.clock
            name = TITLES[variant] + aside(s, variant, clock)
            axes.bar(x, heights, size * 0.92, label=name, edgecolor=COLOURS[variant], lw=0.9,
                     color=COLOURS[variant] if filled else "none", hatch="" if filled else "/////")  # fmt: skip
        axes.axhline(1, color="#828c9a", lw=0.8)
        axes.set(ylabel="error / its clean error", yscale="log")
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, 0.8), max(high, 1.25))
        axes.set_xticks(range(len(wanted)), wanted, rotation=25, ha="right")
        plain_numbers(axes.yaxis)
        figure.legend(loc="outside upper center", ncols=2)

    return drawn(paint, 9.6, 3.6)


def linear_host(v: Volterra) -> str:
    """The error of every seed of the linear host on the energy."""

    def paint(figure: Any) -> None:
        axes = figure.subplots()
        for i, (variant, errors) in enumerate(v.errors.items()):
            axes.bar(i, statistics.fmean(errors), 0.6, color=COLOURS[variant], alpha=0.75)
            axes.plot([i] * len(errors), errors, ".", color="#1a2230", ms=4)
        axes.axhline(1, color="#828c9a", lw=0.8)
        axes.set(ylabel="error / std of the target", ylim=(0, None))
        axes.set_xticks(range(len(v.errors)), [TITLES[variant] for variant in v.errors])

    return drawn(paint, 6.0, 2.8)
