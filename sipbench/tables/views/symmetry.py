"""What symmetry breaking does: error over the number of pairs, before and after, and what is learnt of y = (a x)^2.

The published numbers stand beside, with ratios; what a predictor of zero would give is a line.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.report import figures, palette
from sipbench.safety.text import cell as safe
from sipbench.safety.text import markdown, table_row
from sipbench.tables import images
from sipbench.tables.published import folder
from sipbench.tables.spec import Entry, TableSpec
from sipbench.tables.views.grid import write_text
from sipbench.tables.wording import remarks

if TYPE_CHECKING:
    import pandas as pd

SLIDES, PAPER = "symmetry_gaussian_phase_retrieval.csv", "symmetry_workshop.csv"
PUBLISHED_AS = {"mlp": "DNN", "knn": "K-NN"}  # which of its three networks the slides' is, they do not say
NETWORKS = {(256, 128, 64): "NN", (512, 256, 128): "WNN", (2048, 1024, 512, 256, 128): "DNN"}  # those of the paper
LINES = {"NN": "-", "WNN": "-.", "DNN": (0, (6, 1, 1, 1, 1, 1)), "K-NN": "--"}
MARKERS = {"NN": "s", "WNN": "D", "DNN": "^", "K-NN": "o"}
HEIGHT = 2.6  # inches of a panel
HEAD = ("dimension", "field", "pairs", "breaking", "method", "error", "low", "high", "draws")
BESIDE = ("published", "ratio", "paper", "paper_ratio")


@dataclass(frozen=True)
class Space:
    """Where x lies: R^n, or C^n."""

    dimension: int
    field: str = "R"

    @classmethod
    def of(cls, cell: Cell) -> Space:
        return cls(cell.size, "C" if cell.dataset.shape[1] == 2 else "R")

    @property
    def name(self) -> str:
        return f"{self.field}^{self.dimension}"

    @property
    def zero(self) -> float:
        """1000 E |x|^2 / n for x uniform in its unit ball: the error of a predictor of zero."""
        return 1000 / (self.dimension + (2 if self.field == "R" else 1))

    @property
    def blind(self) -> float:
        """That of the mean of x five times, each under a random sign or phase: k-NN before, of ever more pairs.

        It is E (1 - r)^2 of `zero`, r the length of the mean of five random signs, or of five points on the circle.
        """
        return self.zero * (0.45 if self.field == "R" else 0.39674)


@dataclass(frozen=True)
class Point:
    """A method after so many pairs: its error on each draw of A, and what was published: on slides, in the paper."""

    title: str
    space: Space
    pairs: int
    kind: str
    breaking: bool
    errors: tuple[float, ...]
    slides: float | None
    paper: float | None

    @property
    def mean(self) -> float:
        return sum(self.errors) / len(self.errors)

    @property
    def way(self) -> str:
        return "after" if self.breaking else "before"


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME.md, NAME.csv, NAME.png and NAME.pdf."""
    points = _points(spec)
    texts = {"md": _page(spec, df, points), "csv": _table(points)}
    paths = [write_text(spec.folder / f"{spec.name}.{ending}", text) for ending, text in texts.items()]
    return [*paths, *_draw(spec, points, spec.folder / spec.name)]


@cache
def published(file: str = SLIDES) -> dict[tuple[int, int, str, str], float]:
    """By dimension, training samples, before or after, and method; as the file has them."""
    with (folder() / file).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = ("dimension", "training_samples")
    return {(*(int(r[n]) for n in names), r["symmetry_breaking"], r["method"]): float(r["error"]) for r in rows}  # pyright: ignore


def in_paper(n: int, pairs: int, way: str, kind: str) -> float | None:
    """The paper's number in the unit of the slides: it prints 10^4 |.|^2 / n^2. Its k-NN is the mean of three."""
    kinds = [f"K-NN ({name})" for name in NETWORKS.values()] if kind == "K-NN" else [kind]
    found = [v for k in kinds if (v := published(PAPER).get((n, pairs, way, k))) is not None]
    return n / 10 * sum(found) / len(found) if found else None


def _points(spec: TableSpec) -> list[Point]:
    """Every entry that has been computed, but for the picture of one dimension."""
    kept, found = images.stored(spec), []
    for entry in spec.entries():
        if entry.cell is None or entry.cell.size == 1:
            continue
        errors = tuple(images.values(kept[entry.key], "point_error"))
        if not errors:
            continue
        space, options = Space.of(entry.cell), entry.cell.options
        pairs, kind, way = options["points"], _kind(entry), "after" if options["breaking"] else "before"
        known = (space.dimension, pairs, way)
        beside = (published().get((*known, PUBLISHED_AS[entry.row.method])), in_paper(*known, kind))
        beside = beside if space.field == "R" else (None, None)
        found.append(Point(entry.row.title, space, pairs, kind, options["breaking"], errors, *beside))
    return found


def _kind(entry: Entry) -> str:
    """K-NN, or the network by its name in the paper; one of other widths has none."""
    assert entry.cell is not None
    if entry.row.method == "knn":
        return "K-NN"
    return NETWORKS.get(tuple(entry.cell.options["widths"]), "")


def _spaces(points: list[Point]) -> list[Space]:
    return list(dict.fromkeys(point.space for point in points))


def _page(spec: TableSpec, df: pd.DataFrame, points: list[Point]) -> str:
    """The settings, then for each space a row for each number of pairs: measured (published, ratio)."""
    spaces = _spaces(points)
    notes = [_about(spec, df), *_settings(spec), *spec.notes]
    notes += [
        f"{s.name}: a predictor of zero has {s.zero:.1f}; k-NN before, of ever more pairs, {s.blind:.1f}."
        for s in spaces
    ]
    if any(point.slides or point.paper for point in points):
        notes.append(
            "published: slides that do not say which network theirs is. paper: the workshop paper, n / 10 of what it "
            "prints, since its numbers before breaking tell that its unit is 10⁻⁴ and that it divides by n²."
        )
    parts = [f"# {spec.title}", "\n".join(f"- {markdown(note)}" for note in notes)]
    for space in spaces:
        parts += [f"## {markdown(space.name)}"] if len(spaces) > 1 else []
        parts.append(_markdown([point for point in points if point.space == space]))
    parts += [f"![pictures]({spec.name}.png)"] if points or _line(spec) else []
    if absent := remarks(spec, df):
        parts.append("\n".join(f"- {markdown(line)}" for line in absent))
    return "\n\n".join(parts) + "\n"


def _markdown(points: list[Point]) -> str:
    """The table of one space."""
    titles = list(dict.fromkeys(point.title for point in points))
    lines = [["Pairs", *titles], ["---:", *("---:" for _ in titles)]]
    for pairs in sorted({point.pairs for point in points}):
        row = {point.title: _value(point) for point in points if point.pairs == pairs}
        lines.append([f"{pairs:,}".replace(",", " "), *(row.get(title, "–") for title in titles)])
    return "\n".join(map(table_row, lines))


def _about(spec: TableSpec, df: pd.DataFrame) -> str:
    """The profile, the draws of A, the points that each is tried on, and the device."""
    cells = [cell for cell in spec.settings() if cell.size > 1] or spec.settings()
    draws, points = len(cells[0].images), f"{cells[0].dataset.shape[0]:,}".replace(",", " ")
    devices = ", ".join(sorted(set(df["device"].dropna()) - {""})) or "nothing yet"
    return (
        f"Profile {spec.profile}: y = |A x|², m = 4 n, x uniform in the unit ball of "
        f"{', '.join(dict.fromkeys(Space.of(cell).name for cell in cells))}; {draws} draw"
        f"{'s' * (draws > 1)} of A, each tried on {points} points that no pair is of; in brackets the least and the "
        f"largest; measured on {devices}."
    )


def _settings(spec: TableSpec) -> list[str]:
    """What the trainings share: printed, since the paper does not say its own."""
    cells = [e.cell for e in spec.entries() if e.cell is not None and e.cell.size > 1]
    said = dict.fromkeys(
        f"{cell.method['name']}: "
        f"{', '.join(f'{k} {v}' for k, v in cell.options.items() if k not in ('points', 'breaking'))}"
        for cell in cells
    )
    return [f"{line}; the same before and after." for line in said]


def _value(point: Point) -> str:
    spread = f" [{min(point.errors):.2f}, {max(point.errors):.2f}]" if len(point.errors) > 1 else ""
    both = {"published": point.slides, "paper": point.paper}
    beside = "; ".join(f"{name} {v:.2f}, ratio {point.mean / v:.2f}" for name, v in both.items() if v)
    return f"{point.mean:.2f}{spread}{f' ({beside})' if beside else ''}"


def _table(points: list[Point]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*HEAD, *BESIDE])
    for p in points:
        own = [p.space.dimension, p.space.field, p.pairs, p.way, safe(p.title.split(",")[0])]
        beside = [v for known in (p.slides, p.paper) for v in (known, p.mean / known if known else None)]
        measured = [f"{v:.6g}" for v in (p.mean, min(p.errors), max(p.errors))]
        writer.writerow([*own, *measured, len(p.errors), *("" if v is None else f"{v:.6g}" for v in beside)])
    return stream.getvalue()


def _draw(spec: TableSpec, points: list[Point], path: Path) -> list[Path]:
    """What was learnt of one dimension, and for each space the errors over the number of pairs; the legend below."""
    line, spaces = _line(spec), _spaces(points)
    panels = bool(line) + len(spaces)
    if not panels:
        return []
    wide, width = (1, figures.COLUMN) if panels == 1 else (2, figures.PAGE)
    tall, named = -(-panels // wide), {}
    with figures.figure(width, HEIGHT * tall + figures.LINE) as figure:
        axes = list(figure.subplots(tall, wide, squeeze=False).flat)
        if line:
            _learnt(axes[0], line)
        for axis, space in zip(axes[bool(line) :], spaces, strict=False):
            _errors(axis, [point for point in points if point.space == space], space)
        for axis in axes[panels:]:
            axis.remove()
        for axis in axes[:panels]:
            handles, labels = axis.get_legend_handles_labels()
            named |= dict(zip(labels, handles, strict=True))
        figures.legend(figure, named, length=2.6)
        return figures.write(figure, path)


def _line(spec: TableSpec) -> list[Entry]:
    """What is asked of one dimension."""
    return [entry for entry in spec.entries() if entry.cell is not None and entry.cell.size == 1]


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
            style = _style(_kind(entry), entry.cell.options["breaking"])
            style |= {"marker": ""} if entry.row.method == "mlp" else {"ls": "", "ms": 1.5}
            axis.plot(y[order], estimate.x.flatten()[order], **style, label=entry.row.title)


def _errors(axis: Any, points: list[Point], space: Space) -> None:
    """Each method's mean over the draws of A with their range; the published one dotted."""
    axis.set_title(_measured(space))
    axis.set_xlabel("pairs")
    axis.axhline(space.zero, color="grey", lw=0.8, label="a predictor of zero")
    dotted: dict[str, Any] = {"lw": 0.8, "ls": ":", "marker": ""}
    if any(point.slides or point.paper for point in points):
        axis.plot([], [], color="grey", **dotted, label="published")
    for title in dict.fromkeys(point.title for point in points):
        own = sorted((p for p in points if p.title == title), key=lambda p: p.pairs)
        style, at = _style(own[0].kind, own[0].breaking), [p.pairs for p in own]
        axis.plot(at, [p.mean for p in own], label=title, **style)
        axis.fill_between(
            at, [min(p.errors) for p in own], [max(p.errors) for p in own], color=style["color"], alpha=0.15, lw=0
        )
        known = [p.slides or p.paper for p in own]
        if all(known):
            axis.plot(at, known, **style | dotted)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks(pairs := sorted({p.pairs for p in points}), [f"{n:,}".replace(",", " ") for n in pairs])
    axis.set_xticks([], minor=True)


def _measured(space: Space) -> str:
    """What the axis of a space shows."""
    what = "signs of |± x̂ − x|²" if space.field == "R" else "phases u of |u x̂ − x|²"
    return f"{space.name}: min over {what} / n, × 10³"


def _style(kind: str, breaking: bool) -> dict[str, Any]:
    """Blue after, orange before; a line and a marker a method."""
    color = palette.FAMILIES["datarich"] if breaking else palette.SPARE[1]
    return {"color": color, "ls": LINES.get(kind, "-"), "lw": 1, "marker": MARKERS.get(kind, "s")}
