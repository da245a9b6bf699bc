"""Quality against what it costs: a point a row, and the front of those that none is both better and cheaper than.

A row that did not solve all images is a cross: its mean is of other images, and it is on no front.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.report import figures, palette
from sipbench.tables import labels
from sipbench.tables.measures import SECONDS
from sipbench.tables.sheets import records
from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd

HEIGHT = 2.7  # inches of a panel
FAR = 10
Point = tuple[str, float, float, bool]


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-pareto.png and .pdf: the first measure of each problem against the seconds an image, where there are any."""
    points = [_points(spec, df, pair) for pair in spec.pairs]
    if not any(points):
        return []
    return _draw(spec, points, spec.folder / f"{spec.name}-pareto")


def front(points: list[tuple[float, float]], *, higher_is_better: bool) -> list[int]:
    """The indices of the (cost, quality) that no other beats in one without losing in the other, by cost."""
    sign = 1 if higher_is_better else -1
    kept, best = [], float("-inf")
    for i in sorted(range(len(points)), key=lambda i: (points[i][0], -sign * points[i][1])):
        if sign * points[i][1] > best:
            kept.append(i)
            best = sign * points[i][1]
    return kept


def _points(spec: TableSpec, df: pd.DataFrame, pair: tuple[str, str]) -> list[Point]:
    """(title, seconds, quality) of the rows that have both, and whether these are of all images."""
    own: Any = df[(df["dataset"] == pair[0]) & (df["degradation"] == pair[1])]
    lines = records(own)
    means = {(r["method"], r["metric"]): r["mean"] for r in lines}
    counts = {(r["method"], r["metric"]): r["n"] for r in lines}
    lost = {r["method"] for r in lines if r["failed"] or r["todo"]}
    found = []
    for row in spec.rows:
        cost, value = (means[row.name, heading] for heading in (SECONDS.heading, spec.measures[0].heading))
        if cost == cost and value == value and abs(value) != float("inf"):
            few = counts[row.name, spec.measures[0].heading] < counts[row.name, SECONDS.heading]
            found.append((row.title, max(cost, 1e-4), value, row.name not in lost and not few))
    return found


def _draw(spec: TableSpec, problems: list[list[Point]], path: Path) -> list[Path]:
    measure, families = spec.measures[0], palette.colours(row.family for row in spec.rows)
    colours = {row.title: families[row.family] for row in spec.rows}
    shown = [(pair, points) for pair, points in zip(spec.pairs, problems, strict=True) if points]
    wide, width = figures.across(len(shown))
    tall, drawn = -(-len(shown) // wide), []
    with figures.figure(width, HEIGHT * tall) as figure:
        for k, (pair, points) in enumerate(shown):
            axes = figure.add_subplot(tall, wide, k + 1)
            for title, cost, value, whole in points:
                axes.scatter(cost, value, s=12, color=colours[title], marker="o" if whole else "x", zorder=3)
            able = [(cost, value) for _, cost, value, whole in points if whole]
            chosen = [able[i] for i in front(able, higher_is_better=measure.higher_is_better is not False)]
            axes.plot([cost for cost, _ in chosen], [value for _, value in chosen], "--", color="0.5", lw=0.8, zorder=0)
            drawn.append((axes, [point[:3] for point in points]))
            axes.margins(0.15)
            axes.set_xscale("log")
            if _far_apart([value for _, _, value, _ in points]):
                axes.set_yscale("log")
            axes.set_xlabel("seconds an image")
            axes.set_ylabel(measure.title)
            axes.set_title(figures.heading(spec.problem_title(*pair), wide))
        _legend(figure, families, few=not all(whole for _, points in shown for *_, whole in points))
        figure.canvas.draw()  # from here on everything has its place
        figure.set_layout_engine("none")
        for axes, points in drawn:
            axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
            labels.draw(axes, points, figures.SMALL)
        return figures.write(figure, path)


def _far_apart(values: list[float]) -> bool:
    """Whether they are of several orders of magnitude, so that the small ones would lie on one another."""
    return min(values) > 0 and max(values) > FAR * min(values)


def _legend(figure: Any, families: Mapping[str, str], *, few: bool) -> None:
    """A dot a family, below all panels, and a cross where a row has not all images."""
    from matplotlib.lines import Line2D

    dots = [Line2D([], [], ls="", marker="o", color=colour, label=family) for family, colour in families.items()]
    if few:
        dots.append(Line2D([], [], ls="", marker="x", color="0.3", label="not all images, on no front"))
    figures.legend(figure, {str(dot.get_label()): dot for dot in dots}, pad=0.1)
