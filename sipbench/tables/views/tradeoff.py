"""Quality against the number of training images, a curve a method; against what it costs; and who passes whom.

NAME.csv has a line a problem, method, n and subset; NAME.md the curves, the crossings and the exponents as tables;
NAME-crossings.csv and NAME-exponents.csv the last two; NAME.png and NAME-compute.png are the pictures. How the
intervals come about: `sipbench.tables.growth`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench import store
from sipbench.report import palette
from sipbench.tables import growth
from sipbench.tables.growth_page import Growths, crossings, exponents, page
from sipbench.tables.learning import growths, table, title
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.grid import write_text
from sipbench.text import csv

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """All files; nothing where nothing is whole yet."""
    found = growths(spec)
    if not found:
        return []
    path = spec.folder / spec.name

    def laid(ending: str, frame: pd.DataFrame) -> Path:
        return write_text(
            path.with_name(f"{spec.name}{ending}.csv"),
            csv(frame),
        )

    return [
        laid("", table(spec)),
        laid("-crossings", crossings(spec, found)),
        laid("-exponents", exponents(found)),
        write_text(path.with_suffix(".md"), page(spec)),
        store.write_whole(path.with_suffix(".png"), _picture(spec, found)),
        store.write_whole(path.with_name(f"{spec.name}-compute.png"), _compute(spec, found)),
    ]


def text(spec: TableSpec, df: pd.DataFrame) -> str:
    """What is printed: the page."""
    return page(spec)


def _picture(spec: TableSpec, found: Growths) -> bytes:
    """Curves with their bands; what trains nothing as a dashed line."""
    figure, panels = _figure(spec, found, 1)
    styles = palette.styles([(row.name, row.family) for row in spec.rows])
    for (problem, grown), axis in zip(found.items(), panels[0], strict=True):
        for g in grown:
            colour, marker = styles[g.row.name]
            means, (low, high) = g.values().mean((1, 2)), growth.band(g.values())
            if g.trained:
                axis.plot(g.n, means, marker=marker, color=colour, lw=1.3, ms=4, label=g.row.title)
                axis.fill_between(g.n, low, high, color=colour, alpha=0.12, lw=0)
            else:
                axis.axhline(means[0], color=colour, lw=1.2, ls="--", label=g.row.title)
        axis.set_xscale("log", base=4)
        axis.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
        axis.set_xlabel("training images n", fontsize=8)
        axis.set_title(title(spec, problem), fontsize=9)
    return _bytes(figure, panels, spec)


def _compute(spec: TableSpec, found: Growths) -> bytes:
    """Above against the seconds of training, below against those of solving an image; a point an n."""
    figure, panels = _figure(spec, found, 2)
    styles = palette.styles([(row.name, row.family) for row in spec.rows])
    for column, (problem, grown) in enumerate(found.items()):
        for line, (fact, what) in enumerate(
            (("training_seconds", "seconds of training"), ("seconds", "seconds an image"))
        ):
            axis = panels[line][column]
            for g in (g for g in grown if g.trained or fact == "seconds"):
                colour, marker = styles[g.row.name]
                cost = [max(c, 1e-4) for c in g.mean_fact(fact)]
                axis.plot(cost, g.values().mean((1, 2)), marker=marker, color=colour, lw=0.8, ms=4, label=g.row.title)
            axis.set_xscale("log")
            axis.set_xlabel(what, fontsize=8)
        panels[0][column].set_title(title(spec, problem), fontsize=9)
    return _bytes(figure, panels, spec)


def _figure(spec: TableSpec, found: Growths, tall: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4 * len(found) + 1.6, 3.8 * tall), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(tall, len(found), squeeze=False)


def _bytes(figure: Any, panels: Any, spec: TableSpec) -> bytes:
    named: dict[str, Any] = {}
    for axis in panels.flat:
        axis.tick_params(labelsize=7)
        named |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    order = [row.title for row in spec.rows if row.title in named]
    panels[0][0].set_ylabel(spec.measures[0].title, fontsize=8)
    figure.legend([named[t] for t in order], order, loc="outside right center", fontsize=7, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()
