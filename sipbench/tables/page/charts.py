"""Curves for the page: along the run from stored rows, and those of the files that a table wrote beside its CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.report.page.model import Chart, Line, Mark
from sipbench.tables import images
from sipbench.tables.read import columns, read_numbers
from sipbench.tables.spec import TableSpec

MOST = 160  # points of a line
NAN = float("nan")
CURVE = ("step", "mean", "low", "high")
EVALUATIONS = "network evaluations"  # taken to be even over the solver's time
SECONDS = "seconds an image"


def along(spec: TableSpec, kept: images.Rows) -> Iterator[Chart]:
    """For each problem and metric that was scored on the way: against evaluations, and against seconds.

    What was returned is a point, and so is the best along the way, at the mean of where each image had it.
    """
    titles = {row.name: row.title for row in spec.rows}
    for pair in spec.pairs:
        for measure in (m for m in spec.measures if m.metric):
            better = measure.higher_is_better is not False
            for x in (EVALUATIONS, SECONDS):
                lines, marks = [], []
                for row in spec.rows:
                    rows = kept.get((*pair, row.name))
                    if rows is None or row.part:
                        continue
                    who = titles[row.name], row.family
                    line = _line(*who, _runs(rows, measure.column, x), better)
                    lines += line[0]
                    marks += [*line[1], *_returned(rows, measure.column, x, *who)]
                if lines:
                    title = spec.problem_title(*pair)
                    yield Chart(title, x, measure.title, tuple(lines), tuple(marks), log_x=True)


def _runs(rows: Any, column: str, x: str) -> list[tuple[Any, Any]]:
    """Of each image the steps and the values, where both are known."""
    import numpy as np

    if f"curve_{column}" not in rows or "curve_seconds" not in rows:
        return []
    found = []
    for row in rows[rows["status"] == "ok"].to_dict("records"):
        values, seconds = row[f"curve_{column}"], row["curve_seconds"]
        if not np.ndim(values) or not np.ndim(seconds) or len(values) == 0:  # scored anew: no curve any more
            continue
        batch = float(row.get("batch") or 1) * float(row.get("draws") or 1)
        at = np.asarray(seconds, float)[: len(values)] / batch
        if x == EVALUATIONS:
            at = at / max(float(row["seconds"]), 1e-12) * float(row["evaluations"] or 0)
        values = np.asarray([NAN if v is None else v for v in values], float)
        if np.isfinite(values).any() and (at > 0).any():
            found.append((at, values))
    return found


def _line(title: str, family: str, runs: Sequence[tuple[Any, Any]], better: bool) -> tuple[list[Line], list[Mark]]:
    """The mean of the images and their middle half, over the steps that all have; and where they were best."""
    import numpy as np

    if not runs:
        return [], []
    length = min(len(values) for _, values in runs)
    x, y = (np.stack([run[k][:length] for run in runs]) for k in (0, 1))
    points = _points(x.mean(0), y.mean(0), *np.nanquantile(y, (0.25, 0.75), axis=0))
    best = [
        (at[i], values[i]) for at, values in runs for i in [int((np.nanargmax if better else np.nanargmin)(values))]
    ]
    where = np.mean(best, axis=0)
    return [Line(title, family, points)], [Mark(title, family, float(where[0]), float(where[1]), "oracle")]


def _returned(rows: Any, column: str, x: str, title: str, family: str) -> Iterator[Mark]:
    good = rows[rows["status"] == "ok"]
    cost = "evaluations" if x == EVALUATIONS else "seconds"
    if column in good and cost in good and len(good):
        at, value = float(good[cost].mean()), float(good[column].mean())
        if at > 0 and value == value:
            yield Mark(title, family, at, value, "returned")


def beside(spec: TableSpec, paths: Iterable[Path]) -> Iterator[Chart]:
    """The curves of NAME-curve.csv, one chart a problem and metric."""
    titles = {row.name: (row.title, row.family) for row in spec.rows}
    titles |= {row.method: (_of_method(row.method), row.family) for row in spec.rows if not row.words}
    names = {pair: spec.problem_title(*pair) for pair in spec.pairs}
    for path in paths:
        if not {"dataset", "degradation", "method", "metric", *CURVE} <= set(columns(path)):
            continue
        for key, own in read_numbers(path, CURVE).groupby(["dataset", "degradation", "metric"], sort=False):
            dataset, problem, metric = map(str, key)  # pyright: ignore
            lines = [
                Line(
                    *titles.get(str(method), (str(method), "")),
                    _points(*(g[c] for c in CURVE)),
                )
                for method, g in own.groupby("method", sort=False)
            ]
            residual = metric == "residual"
            title = names.get((dataset, problem), f"{problem}, {dataset}")
            y, x = "residual / σ" if residual else metric, "network evaluations or iterations"
            yield Chart(title, x, y, tuple(lines), (), residual, residual, 1.0 if residual else NAN)


def _of_method(name: str) -> str:
    """A method's own title: a row that is a part of it has another."""
    return str(configs.read("method", name).get("title", name)) if name in configs.names("method") else name


def by_iteration(path: Path) -> Iterator[Chart]:
    """The curves of a file with a row a (dataset, problem, iteration): PSNR, its spread, and the loss."""
    if not {"dataset", "problem", "iteration", "psnr"} <= set(columns(path)):
        return
    numbers = "iteration", "psnr", "psnr_std"
    for key, own in read_numbers(path, numbers).groupby(["dataset", "problem"], sort=False):
        dataset, problem = map(str, key)  # pyright: ignore
        half = own["psnr_std"] if "psnr_std" in own else 0
        points = _points(own["iteration"], own["psnr"], own["psnr"] - half, own["psnr"] + half)
        yield Chart(f"{problem}, {dataset}", "iteration", "PSNR ↑", (Line("mean ± spread", "single", points),))


def by_images(path: Path) -> Iterator[Chart]:
    """Quality against the number of training images, and against what training and solving take."""
    if not {"problem", "method", "n", "psnr", "low", "high", "title"} <= set(columns(path)):
        return
    numbers = "n", "psnr", "low", "high", "training_seconds", "seconds"
    for problem, own in read_numbers(path, numbers).groupby("problem", sort=False):
        for column, x in (("n", "training images"), ("training_seconds", "seconds of training"), ("seconds", SECONDS)):
            if column in own:
                lines = [_grown(g, column) for _, g in own.groupby("method", sort=False)]
                yield Chart(str(problem), x, "PSNR ↑", tuple(filter(None, lines)), log_x=True)


def _grown(rows: Any, column: str) -> Line | None:
    """A method's curve, the mean of its subsets; what trains nothing is a level."""
    known = rows.dropna(subset=[column, "psnr"]) if column != "n" else rows
    if not len(known):
        return None
    own = (
        known.groupby("n")[[column, "psnr", "low", "high"]].mean()
        if column != "n"
        else known.groupby("n").mean(numeric_only=True).assign(n=lambda d: d.index)
    )
    method, title = str(rows["method"].iloc[0]), str(rows["title"].iloc[0])
    level = column == "n" and list(own.index) == [0]
    return Line(title, family(method), _points(*(own[c] for c in (column, "psnr", "low", "high"))), level)


def family(method: str) -> str:
    """The family of a method by name, or nothing."""
    node: Mapping[str, Any] = configs.read("method", method) if method in configs.names("method") else {}
    return str(node.get("family") or "")


def _points(x: Any, y: Any, low: Any, high: Any) -> tuple[tuple[float, float, float, float], ...]:
    """Not more than can be seen: of many every k-th, and the last."""
    rows = [tuple(map(float, row)) for row in zip(x, y, low, high, strict=True)]
    every = max(1, -(-len(rows) // MOST))
    thin = rows[::every]
    return tuple(thin if not rows or thin[-1] == rows[-1] else [*thin, rows[-1]])  # pyright: ignore
