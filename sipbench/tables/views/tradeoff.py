"""Quality against the number of training images, a curve a method; against what it costs; and who passes whom.

NAME.csv has a line a problem, method, n and subset; NAME.md the curves, the crossings and the exponents as tables;
NAME-crossings.csv and NAME-exponents.csv the last two; NAME.png and NAME-compute.png are the pictures. How the
intervals come about: `sipbench.tables.growth`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.report import figures, palette
from sipbench.safety.text import csv
from sipbench.tables import growth
from sipbench.tables.growth_page import Growths, crossings, exponents, page
from sipbench.tables.learning import growths, table, title
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd

HEIGHT = 2.4  # inches of a panel
COSTS = (("training_seconds", "seconds of training"), ("seconds", "seconds an image"))


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
        *_picture(spec, found, path),
        *_compute(spec, found, path.with_name(f"{spec.name}-compute")),
    ]


def text(spec: TableSpec, df: pd.DataFrame) -> str:
    """What is printed: the page."""
    return page(spec)


def _picture(spec: TableSpec, found: Growths, path: Path) -> list[Path]:
    """Curves with their bands; what trains nothing as a dashed line."""
    with _figure(spec, found, 1) as (figure, panels):
        styles = palette.styles([(row.name, row.family) for row in spec.rows])
        for (problem, grown), axis in zip(found.items(), panels[0], strict=True):
            for g in grown:
                colour, marker = styles[g.row.name]
                means, (low, high) = g.values().mean((1, 2)), growth.band(g.values())
                if g.trained:
                    axis.plot(g.n, means, marker=marker, color=colour, lw=1, label=g.row.title)
                    axis.fill_between(g.n, low, high, color=colour, alpha=0.12, lw=0)
                else:
                    axis.axhline(means[0], color=colour, lw=0.9, ls="--", label=g.row.title)
            axis.set_xscale("log", base=4)
            axis.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
            axis.set_xlabel("training images n")
            axis.set_title(title(spec, problem))
        return _written(spec, figure, panels, path)


def _compute(spec: TableSpec, found: Growths, path: Path) -> list[Path]:
    """Above against the seconds of training, below against those of solving an image; a point an n."""
    with _figure(spec, found, 2) as (figure, panels):
        styles = palette.styles([(row.name, row.family) for row in spec.rows])
        for column, (problem, grown) in enumerate(found.items()):
            for line, (fact, what) in enumerate(COSTS):
                axis = panels[line][column]
                for g in (g for g in grown if g.trained or fact == "seconds"):
                    colour, marker = styles[g.row.name]
                    cost = [max(c, 1e-4) for c in g.mean_fact(fact)]
                    means = g.values().mean((1, 2))
                    axis.plot(cost, means, marker=marker, color=colour, lw=0.8, label=g.row.title)
                axis.set_xscale("log")
                axis.set_xlabel(what)
            panels[0][column].set_title(title(spec, problem))
        return _written(spec, figure, panels, path)


@contextmanager
def _figure(spec: TableSpec, found: Growths, tall: int) -> Iterator[tuple[Any, Any]]:
    width = figures.COLUMN if len(found) == 1 else figures.PAGE
    with figures.figure(width, HEIGHT * tall + 0.13 * (-(-len(spec.rows) // (3 if len(found) == 1 else 5)))) as figure:
        yield figure, figure.subplots(tall, len(found), squeeze=False)


def _written(spec: TableSpec, figure: Any, panels: Any, path: Path) -> list[Path]:
    named: dict[str, Any] = {}
    for axis in panels.flat:
        named |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    order = [row.title for row in spec.rows if row.title in named]
    for line in panels:
        line[0].set_ylabel(spec.measures[0].title)
    columns = 3 if panels.shape[1] == 1 else 5
    figure.legend([named[t] for t in order], order, loc="outside lower center", ncols=columns, frameon=False)
    return figures.write(figure, path)
