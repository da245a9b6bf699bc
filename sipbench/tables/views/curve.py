"""Curves along the run of each cell: the mean of the images and their middle half, and where rows stopped.

What is drawn is what a probe saw of every iterate, PSNR or residual, else the table's first metric at a few steps. It
is drawn as far as all images go: a mean of those that run on would leap where one stops. The CSV counts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.report import figures, palette
from sipbench.safety.text import csv
from sipbench.tables import images
from sipbench.tables.spec import Entry, TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd

RESIDUAL, SPENT = "residual", "evaluations"
HEIGHT = 1.9  # inches of a panel


@dataclass(frozen=True)
class Curve:
    """What the cells of a row, or of several rows that share them, show along their runs.

    Attributes:
        entries: the rows that share the cells.
        rows: what is stored, an image each, of those that succeeded.
        metric: what is drawn: PSNR or `residual` of every iterate where a probe looked on, else the table's first
            metric that the harness scored on the way.
        values, loss: steps × images; steps are network evaluations where a probe counted them.
    """

    entries: tuple[Entry, ...]
    rows: Any
    metric: str
    values: pd.DataFrame
    loss: pd.DataFrame

    @property
    def title(self) -> str:
        """The rows that share it by one name: the method's own, where each is only a part of what it stores."""
        from sipbench import configs

        row = self.entries[0].row
        method = configs.read("method", row.method).get("title", row.method) if row.part else row.title
        return f"{method}, {row.title}" if row.part and len(self.entries) == 1 else method

    @property
    def name(self) -> str:
        """The method, or the row that has these cells alone: others of its method may have words of their own."""
        row = self.entries[0].row
        return row.name if row.words or row.per_problem or len(self.entries) == 1 else row.method

    @property
    def whole(self) -> pd.DataFrame:
        """The steps at which every image has a value."""
        return self.values.dropna(axis=0, how="any")


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-curve.csv, .png and .pdf; nothing where nothing was shown on the way."""
    import pandas as pd

    curves = list(_curves(spec))
    if not curves:
        return []
    text = csv(pd.concat(map(_table, curves)))
    path = spec.folder / f"{spec.name}-curve"
    return [write_text(path.with_suffix(".csv"), text), *_draw(spec, curves, path)]


def _curves(spec: TableSpec) -> Iterator[Curve]:
    kept, shared = images.stored(spec, along=True), {}
    for entry in spec.entries():
        if entry.cells:
            names = (entry.dataset, entry.degradation, *(cell.hash for cell in entry.cells))
            shared.setdefault(names, []).append(entry)
    wanted = [("along", "psnr"), ("along", RESIDUAL), *(("curve", metric) for metric in spec.metrics.values())]
    shown: dict[Any, list[Any]] = {}
    for names, entries in shared.items():
        rows = kept[entries[0].key]
        good = rows[rows["status"] == "ok"]
        if own := [(k, m) for k, m in wanted if len(good) and f"{k}_{m}" in good and good[f"{k}_{m}"].map(_any).all()]:
            shown.setdefault(names[:2], []).append((tuple(entries), good, own))
    for problem in shown.values():
        common = next((one for one in wanted if all(one in own for *_, own in problem)), None)  # of one panel
        for entries, good, own in problem:
            kind, metric = common or own[0]
            yield Curve(entries, good, metric, _steps(good, kind, metric), _steps(good, kind, "loss"))


def _any(values: Any) -> bool:
    """Whether a list holds any number; one that could not be computed is stored as nothing."""
    return values is not None and any(value is not None and value == value for value in values)


def _steps(rows: Any, kind: str, name: str) -> pd.DataFrame:
    """Steps × images; an image that has stopped has nothing further on."""
    import pandas as pd

    if f"{kind}_{name}" not in rows:
        return pd.DataFrame()
    along = f"{kind}_{SPENT}" if f"{kind}_{SPENT}" in rows else f"{kind}_step"
    parts = [
        pd.Series(list(values), index=list(steps)[: len(values)], dtype="float64").groupby(level=0).last()
        for steps, values in zip(rows[along], rows[f"{kind}_{name}"], strict=True)
        if _any(values)
    ]
    return pd.concat(parts, axis=1).sort_index() if parts else pd.DataFrame()


def _table(curve: Curve) -> pd.DataFrame:
    """A row a step: mean, quartiles and standard deviation over the images, and the mean loss."""
    import pandas as pd

    values, first = curve.values, curve.entries[0]
    return pd.DataFrame(
        {
            "dataset": first.dataset,
            "degradation": first.degradation,
            "method": curve.name,
            "metric": curve.metric,
            "step": values.index,
            "images": values.notna().sum(axis=1),
            "mean": values.mean(axis=1),
            "low": values.quantile(0.25, axis=1),
            "high": values.quantile(0.75, axis=1),
            "std": values.std(axis=1, ddof=0),
            "loss": curve.loss.mean(axis=1).reindex(values.index) if len(curve.loss) else float("nan"),
        }
    )


def _draw(spec: TableSpec, curves: list[Curve], path: Path) -> list[Path]:
    panels: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        panels.setdefault((curve.entries[0].dataset, curve.entries[0].degradation), []).append(curve)
    wide, width = figures.across(len(panels))
    tall, named = -(-len(panels) // wide), {}
    with figures.figure(width, HEIGHT * tall + 0.5) as figure:
        axes = figure.subplots(tall, wide, sharex=True, squeeze=False).ravel()
        for axis, (pair, drawn) in zip(axes, panels.items(), strict=False):
            _panel(axis, drawn)
            axis.set_title(figures.heading(spec.problem_title(*pair), wide))
            named |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        for axis in axes[len(panels) :]:
            axis.remove()
        figures.legend(figure, named)
        spent = all(f"along_{SPENT}" in curve.rows for curve in curves)
        for axis in axes[max(0, len(panels) - wide) : len(panels)]:
            axis.tick_params(labelbottom=True)
            axis.set_xlabel("network evaluations" if spent else "iteration")
        return figures.write(figure, path)


def _panel(axis: Any, curves: list[Curve]) -> None:
    """Each curve with its band; the rows that are a part of it as points, one an image, where they stopped."""
    from sipbench.metrics import METRICS

    dots = 0
    own = palette.styles([(curve.title, curve.entries[0].row.family) for curve in curves])
    seen: dict[str, int] = {}
    for curve in curves:
        colour, values, family = own[curve.title][0], curve.whole, curve.entries[0].row.family
        x = values.index
        line = palette.LINES[seen.get(family, 0) % len(palette.LINES)]
        seen[family] = seen.get(family, 0) + 1
        low, high = values.quantile(0.25, axis=1), values.quantile(0.75, axis=1)
        axis.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
        axis.plot(x, values.mean(axis=1), color=colour, lw=1, ls=line, marker="o" * (len(x) == 1), label=curve.title)
        for row in (entry.row for entry in curve.entries if entry.row.part):
            stopped, value = f"{row.part}_stopped", f"{row.part}_{curve.metric}"
            if stopped in curve.rows and value in curve.rows:
                style = {"s": 6, "lw": 0, "color": palette.DISTINCT[dots % len(palette.DISTINCT)]}
                axis.scatter(curve.rows[stopped], curve.rows[value], **style, label=row.title, zorder=3)
                dots += 1
    metric = METRICS.get(curves[0].metric)
    axis.set_ylabel(f"{metric.title}{', ' * bool(metric.unit)}{metric.unit}" if metric else "residual / σ")
    if metric is None:
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.axhline(1.0, color="grey", lw=0.8, ls=":")
