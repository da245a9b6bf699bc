"""Quality against what it costs: a point a row, and the front of those that none is both better and cheaper than."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench import store
from sipbench.report import palette
from sipbench.tables import labels
from sipbench.tables.measures import SECONDS
from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-pareto.png: the first measure of each problem against the seconds an image; nothing without values."""
    points = [_points(spec, df, pair) for pair in spec.pairs]
    if not any(points):
        return []
    return [store.write_whole(spec.folder / f"{spec.name}-pareto.png", _draw(spec, points))]


def front(points: list[tuple[float, float]], *, higher_is_better: bool) -> list[int]:
    """The indices of the (cost, quality) that no other beats in one without losing in the other, by cost."""
    sign = 1 if higher_is_better else -1
    kept, best = [], float("-inf")
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1])):
        if sign * points[i][1] > best:
            kept.append(i)
            best = sign * points[i][1]
    return kept


def _points(spec: TableSpec, df: pd.DataFrame, pair: tuple[str, str]) -> list[tuple[str, float, float]]:
    """(title, seconds, quality) of the rows that have both."""
    own: Any = df[(df["dataset"] == pair[0]) & (df["degradation"] == pair[1])]
    means = {(r["method"], r["metric"]): r["mean"] for r in own.to_dict("records")}
    found = []
    for row in spec.rows:
        cost, value = (means[row.name, heading] for heading in (SECONDS.heading, spec.measures[0].heading))
        if cost == cost and value == value and abs(value) != float("inf"):
            found.append((row.title, max(cost, 1e-4), value))
    return found


def _draw(spec: TableSpec, problems: list[list[tuple[str, float, float]]]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    measure, families = spec.measures[0], palette.colours(row.family for row in spec.rows)
    colours = {row.title: families[row.family] for row in spec.rows}
    figure = Figure(figsize=(5.2 * len(problems), 4.2), layout="tight")
    canvas, drawn = FigureCanvasAgg(figure), []
    for k, (pair, points) in enumerate(zip(spec.pairs, problems, strict=True)):
        axes = figure.add_subplot(1, len(problems), k + 1)
        where = [(cost, value) for _, cost, value in points]
        shades = [colours[title] for title, *_ in points]
        axes.scatter([c for c, _ in where], [v for _, v in where], s=18, color=shades)
        chosen = front(where, higher_is_better=measure.higher_is_better is not False)
        axes.plot([where[i][0] for i in chosen], [where[i][1] for i in chosen], "--", color="0.5", lw=1, zorder=0)
        drawn.append((axes, points))
        axes.margins(0.12)
        axes.set_xscale("log")
        axes.set_xlabel("seconds an image")
        axes.set_ylabel(measure.title)
        axes.set_title(spec.problem_title(*pair), fontsize=9)
    canvas.draw()  # from here on everything has its place
    figure.set_layout_engine("none")
    for axes, points in drawn:
        axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
        labels.draw(axes, points)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
