"""Pictures of `learning`: quality by the number of training images, and by what it costs.

A family has one colour; its methods are told apart by line and marker. Beside each panel stand the names, in the order
of what they end with.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sipbench.report import figures, palette
from sipbench.tables import growth, labels
from sipbench.tables.growth_page import Growths
from sipbench.tables.learning import Growth, title
from sipbench.tables.spec import TableSpec

HEIGHT, LOWER = 2.7, 1.9  # inches of a panel of curves, and of one of costs
KEY = (4, 18, 21)  # points from a panel to the key of a name, to its end, and to the name
NAME = 1.0  # inches of a name
BAND = 0.06  # how much of a band's colour is seen: many lie on one another
COSTS = (("training_seconds", "seconds of training"), ("seconds", "seconds an image"))
Style = dict[str, Any]


@dataclass(frozen=True)
class End:
    """Where a curve ends, in the panel's units; x is None of a line that goes on to the edge."""

    title: str
    x: float | None
    y: float
    style: Style


def by_images(spec: TableSpec, found: Growths, path: Path) -> list[Path]:
    """Curves with their bands by n; what trains nothing is a line without markers."""
    wide, width = _across(len(found))
    tall, styles, names = -(-len(found) // wide), _styles(spec), []
    with figures.figure(width, HEIGHT * tall + figures.LINE) as figure:
        for k, (problem, grown) in enumerate(found.items()):
            axis = figure.add_subplot(tall, wide, k + 1)
            ends = [_curve(axis, g, styles[g.row.name]) for g in grown]
            axis.set_xscale("log", base=4)
            axis.xaxis.set_major_formatter(lambda n, _: f"{n:,.0f}")
            axis.minorticks_off()
            axis.set_xlabel("training images n")
            axis.set_ylabel(spec.measures[0].title if k % wide == 0 else "")
            axis.set_title(figures.heading(title(spec, problem), wide))
            names.append((axis, ends, [_name(figure, axis, end) for end in ends]))
        shown = {g.row.family for grown in found.values() for g in grown}
        colours = palette.colours(row.family for row in spec.rows)
        _legend(figure, [{"color": c, "lw": 2, "label": family} for family, c in colours.items() if family in shown])
        figure.canvas.draw()  # from here on everything has its place
        figure.set_layout_engine("none")
        for axis, ends, texts in names:
            _beside(axis, ends, texts)
        return figures.write(figure, path)


def by_cost(spec: TableSpec, found: Growths, path: Path) -> list[Path]:
    """Of each problem above against the seconds of training, below against those of solving; a point an n."""
    wide, width = _across(len(found))
    tall, styles = -(-len(found) // wide), _styles(spec)
    shown = [row for row in spec.rows if any(g.row.name == row.name for grown in found.values() for g in grown)]
    with figures.figure(width, 2 * LOWER * tall + figures.LINE) as figure:
        for k, (problem, grown) in enumerate(found.items()):
            first = None
            for line, (fact, what) in enumerate(COSTS):
                place = (2 * (k // wide) + line) * wide + k % wide + 1
                first = axis = figure.add_subplot(2 * tall, wide, place, sharey=first)
                for g in (g for g in grown if g.trained or fact == "seconds"):
                    _costs(axis, g, fact, styles[g.row.name])
                axis.set_xscale("log")
                axis.set_xlabel(what)
                axis.set_ylabel(spec.measures[0].title if k % wide == 0 else "")
                axis.set_title("" if line else figures.heading(title(spec, problem), wide))
        entries = [{**styles[row.name], "lw": 0.8, "label": row.title} for row in shown]
        _legend(figure, [*entries, {"color": "0.4", "ls": "", "marker": "o", "label": "filled: the largest n"}])
        return figures.write(figure, path)


def _across(problems: int) -> tuple[int, float]:
    """How many stand side by side, and the width of all: names beside a panel leave no room for a third."""
    return (1, figures.COLUMN) if problems == 1 else (2, figures.PAGE)


def _styles(spec: TableSpec) -> dict[str, Style]:
    return palette.marks((row.name, row.family) for row in spec.rows)


def _curve(axis: Any, g: Growth, style: Style) -> End:
    """A curve and its band, or a line across where nothing is trained; where it ends."""
    means, (low, high) = g.values().mean((1, 2)), growth.band(g.values())
    if not g.trained:
        plain = {**style, "marker": ""}
        axis.axhline(means[0], lw=0.9, **plain)
        return End(g.row.title, None, float(means[0]), plain)
    axis.plot(g.n, means, lw=1, **style)
    axis.fill_between(g.n, low, high, color=style["color"], alpha=BAND, lw=0)
    return End(g.row.title, g.n[-1], float(means[-1]), style)


def _costs(axis: Any, g: Growth, fact: str, style: Style) -> None:
    """The points of a method, hollow but for the largest n."""
    cost, means = [max(c, 1e-4) for c in g.mean_fact(fact)], g.values().mean((1, 2))
    axis.plot(cost, means, lw=0.8, mfc="white", mew=0.7, **style)
    axis.plot(cost[-1:], means[-1:], **style)


def _name(figure: Any, axis: Any, end: End) -> Any:
    """The name of a curve beside the panel, not yet at its height."""
    text = axis.annotate(
        end.title,
        (1, end.y),
        xycoords=axis.get_yaxis_transform(),
        xytext=(KEY[-1], 0),
        textcoords="offset points",
        va="center",
        fontsize=figures.SMALL,
    )
    figures.fit(text, figure, NAME)
    return text


def _beside(axis: Any, ends: Sequence[End], texts: Sequence[Any]) -> None:
    """Move the names apart; a line leads from the end of each curve to its key."""
    renderer, dot = axis.figure.canvas.get_renderer(), axis.figure.dpi / 72
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    frame, back = axis.bbox, axis.transAxes.inverted()
    wanted = [axis.transData.transform((end.x or 1, end.y))[1] for end in ends]
    tall = [text.get_window_extent(renderer).height + 1 for text in texts]
    found = labels.spread(wanted, tall, frame.y0, frame.y1)
    outside: Style = {"transform": axis.transAxes, "clip_on": False}
    for end, text, was, now in zip(ends, texts, wanted, found, strict=True):
        text.set_position((KEY[-1], (now - was) / dot))
        left = frame.x1 if end.x is None else axis.transData.transform((end.x, end.y))[0]
        start, stop = (frame.x1 + at * dot for at in KEY[:2])
        lead, key = (back.transform(two).T for two in ([(left, was), (start, now)], [(start, now), (stop, now)]))
        axis.plot(*lead, color=end.style["color"], lw=0.4, alpha=0.7, zorder=1, **outside)
        axis.plot(*key, lw=1, **outside, **{**end.style, "marker": ""})
        axis.plot([key[0].mean()], [key[1][0]], **outside, **{**end.style, "ls": ""})


def _legend(figure: Any, entries: Iterable[Style]) -> None:
    from matplotlib.lines import Line2D

    figures.legend(figure, {entry["label"]: Line2D([], [], **entry) for entry in entries}, length=2.6)
