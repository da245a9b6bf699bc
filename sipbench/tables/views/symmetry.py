"""What symmetry breaking does: error over the number of pairs, before and after, and what is learnt of y = (a x)^2.

The published numbers stand beside, with ratios; what a predictor of zero would give, 1000 / (n + 2), is a line.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench import store
from sipbench.bench.run import Bench
from sipbench.report import figures, palette
from sipbench.safety.text import cell, markdown, table_row
from sipbench.tables import images
from sipbench.tables.published import folder
from sipbench.tables.spec import Entry, TableSpec
from sipbench.tables.views.grid import write_text
from sipbench.tables.wording import remarks

if TYPE_CHECKING:
    import pandas as pd

FILE = "symmetry_gaussian_phase_retrieval.csv"
PUBLISHED_AS = {"mlp": "DNN", "knn": "K-NN"}


@dataclass(frozen=True)
class Point:
    """A method after so many pairs: its error on each draw of A, and what was published."""

    title: str
    dimension: int
    pairs: int
    method: str
    breaking: bool
    errors: tuple[float, ...]
    published: float | None

    @property
    def mean(self) -> float:
        return sum(self.errors) / len(self.errors)

    @property
    def ratio(self) -> float | None:
        return self.mean / self.published if self.published else None

    @property
    def way(self) -> str:
        return "after" if self.breaking else "before"


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME.md, NAME.csv, NAME.png and NAME.pdf."""
    points = _points(spec)
    texts = {"md": _page(spec, df, points), "csv": _table(points)}
    paths = [write_text(spec.folder / f"{spec.name}.{ending}", text) for ending, text in texts.items()]
    return [*paths, *_draw(spec, points, spec.folder / spec.name)]


def zero(dimension: int) -> float:
    """1000 E |x|^2 / n for x uniform in the unit ball of R^n: the error of a predictor of zero."""
    return 1000 / (dimension + 2)


@cache
def published() -> dict[tuple[int, int, str, str], float]:
    """By dimension, training samples, before or after, and method."""
    with (folder() / FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = ("dimension", "training_samples")
    return {(*(int(r[n]) for n in names), r["symmetry_breaking"], r["method"]): float(r["error"]) for r in rows}  # pyright: ignore


def _points(spec: TableSpec) -> list[Point]:
    """Every entry that has been computed, but for the picture of one dimension."""
    kept, found = images.stored(spec), []
    for entry in spec.entries():
        if entry.cell is None or entry.cell.size == 1:
            continue
        errors = tuple(images.values(kept[entry.key], "point_error"))
        if not errors:
            continue
        n, pairs, method, breaking = entry.cell.size, *_asked(entry)
        known = published().get((n, pairs, "after" if breaking else "before", PUBLISHED_AS[method]))
        found.append(Point(entry.row.title, n, pairs, method, breaking, errors, known))
    return found


def _asked(entry: Entry) -> tuple[int, str, bool]:
    """How many pairs, the method, and whether its symmetry is broken."""
    assert entry.cell is not None
    return entry.cell.options["points"], entry.row.method, entry.cell.options["breaking"]


def _page(spec: TableSpec, df: pd.DataFrame, points: list[Point]) -> str:
    """The settings, then a row for each number of pairs: measured (published, ratio)."""
    titles = list(dict.fromkeys(point.title for point in points))
    lines = [["Pairs", *titles], ["---:", *("---:" for _ in titles)]]
    for pairs in sorted({point.pairs for point in points}):
        row = {point.title: _value(point) for point in points if point.pairs == pairs}
        lines.append([f"{pairs:,}".replace(",", " "), *(row.get(title, "–") for title in titles)])
    table = "\n".join(map(table_row, lines))
    notes = [_about(spec, df), *_settings(spec), *spec.notes]
    notes += [
        f"n = {n}: a predictor of zero has {zero(n):.1f}; k-NN before, of ever more pairs, {0.45 * zero(n):.1f}."
        for n in sorted({point.dimension for point in points})
    ]
    parts = [
        f"# {spec.title}",
        "\n".join(f"- {markdown(note)}" for note in notes),
        table,
        f"![pictures]({spec.name}.png)",
    ]
    if absent := remarks(spec, df):
        parts.append("\n".join(f"- {markdown(line)}" for line in absent))
    return "\n\n".join(parts) + "\n"


def _about(spec: TableSpec, df: pd.DataFrame) -> str:
    """The profile, the draws of A, the points that each is tried on, and the device."""
    cell = max(spec.settings(), key=lambda cell: cell.size)
    draws, points = len(cell.images), f"{cell.dataset.shape[0]:,}".replace(",", " ")
    devices = ", ".join(sorted(set(df["device"].dropna()) - {""})) or "nothing yet"
    return (
        f"Profile {spec.profile}: y = |A x|², m = 4 n, x uniform in the unit ball of R^{cell.size}; {draws} draw"
        f"{'s' * (draws > 1)} of A, each tried on {points} points that no pair is of; in brackets the least and the "
        f"largest; measured on {devices}."
    )


def _settings(spec: TableSpec) -> list[str]:
    """What the trainings share: printed, since the paper does not say its own."""
    cells = {_asked(e)[1]: e.cell.options for e in spec.entries() if e.cell is not None and e.cell.size > 1}
    said = {name: {k: v for k, v in o.items() if k not in ("points", "breaking")} for name, o in cells.items()}
    return [
        f"{name}: {', '.join(f'{k} {v}' for k, v in options.items())}; the same before and after."
        for name, options in said.items()
    ]


def _value(point: Point) -> str:
    spread = f" [{min(point.errors):.2f}, {max(point.errors):.2f}]" if len(point.errors) > 1 else ""
    beside = f" (published {point.published:.2f}, ratio {point.ratio:.2f})" if point.published else ""
    return f"{point.mean:.2f}{spread}{beside}"


def _table(points: list[Point]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["dimension", "pairs", "breaking", "method", "error", "low", "high", "draws", "published", "ratio"])
    for p in points:
        numbers = [f"{v:.6g}" if v is not None else "" for v in (p.mean, min(p.errors), max(p.errors))]
        beside = [f"{v:.6g}" if v is not None else "" for v in (p.published, p.ratio)]
        writer.writerow([p.dimension, p.pairs, p.way, cell(p.title.split(",")[0]), *numbers, len(p.errors), *beside])
    return stream.getvalue()


def _draw(spec: TableSpec, points: list[Point], path: Path) -> list[Path]:
    """What was learnt of one dimension, and the errors over the number of pairs."""
    with figures.figure(figures.PAGE, 2.8) as figure:
        left, right = figure.subplots(1, 2)
        _learnt(left, [entry for entry in spec.entries() if entry.cell is not None and entry.cell.size == 1])
        _errors(right, points)
        return figures.write(figure, path)


def _learnt(axis: Any, entries: list[Entry]) -> None:
    """x over y in one dimension: the truth, of either sign, and what each method says."""
    axis.set_title("y = (a x)² in one dimension")
    axis.set_xlabel("y")
    axis.set_ylabel("x")
    for i, entry in enumerate(entries):
        assert entry.cell is not None
        image = entry.cell.images[0]
        bench = Bench.of(entry.cell, check=False)
        problem = bench.pose([image])
        truth, estimate = bench.truth([image], problem), store.estimate(entry.cell, image)
        y = problem.y.flatten()
        if not i and truth is not None:
            axis.scatter(y, truth.x.flatten(), s=5, color="lightgrey", label="truth")
        if estimate is not None:
            order = y.argsort()
            style = _style(entry.row.method, _asked(entry)[2])
            style |= {} if entry.row.method == "mlp" else {"ls": "", "marker": ".", "ms": 2}
            axis.plot(y[order], estimate.x.flatten()[order], **style, label=entry.row.title)
    if entries:
        axis.legend()


def _errors(axis: Any, points: list[Point]) -> None:
    """Each method's mean over the draws of A with their range; the published one dashed."""
    axis.set_title("min over signs of |± x̂ − x|² / n, × 10³")
    axis.set_xlabel("pairs")
    for title in dict.fromkeys(point.title for point in points):
        own = sorted((p for p in points if p.title == title), key=lambda p: p.pairs)
        style, at = _style(own[0].method, own[0].breaking), [p.pairs for p in own]
        axis.plot(at, [p.mean for p in own], marker="o", ms=3, label=title, **style)
        axis.fill_between(
            at, [min(p.errors) for p in own], [max(p.errors) for p in own], color=style["color"], alpha=0.15
        )
        if all(p.published for p in own):
            axis.plot(at, [p.published for p in own], **style | {"lw": 1, "ls": ":"})
    for n in sorted({point.dimension for point in points}):
        axis.axhline(zero(n), color="grey", lw=0.8)
        axis.text(
            0.02,
            zero(n),
            "zero",
            transform=axis.get_yaxis_transform(),
            fontsize=figures.SMALL,
            va="bottom",
            color="grey",
        )
    axis.set_xscale("log")
    axis.set_yscale("log")
    if points:
        axis.legend(title="dotted: published", title_fontsize=figures.SMALL)


def _style(method: str, breaking: bool) -> dict[str, Any]:
    return {
        "color": palette.FAMILIES["datarich"] if breaking else palette.SPARE[1],
        "ls": "-" if method == "mlp" else "--",
        "lw": 1,
    }
