"""From the long form to what is shown: one sheet a (dataset, degradation), one row a method, numbers as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sipbench.tables.collect import EVALUATIONS, RESIDUAL, SECONDS
from sipbench.tables.spec import Row, TableSpec

if TYPE_CHECKING:
    import pandas as pd

BLANK = "–"
Record = dict[str, Any]
Line = dict[str, Record]
"""The records of one method by metric."""


@dataclass(frozen=True)
class Value:
    """One cell of a sheet. `mark` is "best", "second" or nothing."""

    text: str
    mark: str = ""


@dataclass(frozen=True)
class Column:
    """A heading of one or more lines, and one value a row. `measured` sets measured scores apart from the rest."""

    heading: tuple[str, ...]
    values: tuple[Value, ...]
    measured: bool = True


@dataclass(frozen=True)
class Sheet:
    """A table as it is shown."""

    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]

    def part(self, *, measured: bool) -> Sheet:
        """The measured scores, or what stands beside them: the oracle and the published numbers."""
        return replace(self, columns=tuple(c for c in self.columns if c.measured == measured))


def records(df: pd.DataFrame) -> list[Record]:
    """The rows of the long form as plain data; an empty count is zero, an empty text is empty."""
    counts, texts = (
        dict.fromkeys(("n", "failed", "todo", "unconverged"), 0),
        dict.fromkeys(("status", "reason", "device", "settings"), ""),
    )
    return df.fillna(counts | texts).to_dict("records")  # pyright: ignore


def sheets(spec: TableSpec, df: pd.DataFrame) -> list[Sheet]:
    """All sheets of a table, in its order."""
    table: dict[tuple[str, str], dict[str, Line]] = {}
    for record in records(df):
        lines = table.setdefault((record["dataset"], record["degradation"]), {})
        lines.setdefault(record["method"], {})[record["metric"]] = record
    return [_sheet(spec, table, *pair) for pair in spec.pairs]


def _sheet(spec: TableSpec, table: dict[tuple[str, str], dict[str, Line]], dataset: str, task: str) -> Sheet:
    cell = spec.setting(dataset, task)
    lines = [table[dataset, task][row.method] for row in spec.rows]
    columns = [
        *(_metric(lines, heading, key) for heading, key in spec.metrics.items()),
        *(
            _column(name, lines, lambda line, name=name: _plus_minus(line[name], spec.places[name]))
            for name in spec.columns
        ),
        _column("residual/σ", lines, lambda line: _plus_minus(line[RESIDUAL], 2)),
        _column("s/image", lines, lambda line: _seconds(line[SECONDS]["mean"])),
        _column("NFE", lines, lambda line: _fixed(line[EVALUATIONS]["mean"], 0)),
        _column("images", lines, lambda line: _images(line[SECONDS])),
        _column("options", lines, lambda line: _origins(line[SECONDS])),
        _triple(spec, ("oracle",), lines, "oracle_mean"),
        *_published(spec, table, dataset, task),
    ]
    named = spec.tasks[task].title or cell.degradation.get("title", task)
    title = f"{named}, {cell.source.get('title', dataset)}"
    return Sheet(title, spec.rows, tuple(columns))


def _metric(lines: list[Line], heading: str, key: str) -> Column:
    """A metric as mean ± confidence interval; the best and the second best of the complete rows are marked."""
    from sipbench.metrics import METRICS

    digits, metric = places(heading), METRICS[key]
    scores = [line[heading] for line in lines]
    ranked = {i: round(float(s["mean"]), digits) for i, s in enumerate(scores) if _complete(s)}
    order = sorted(set(ranked.values()), reverse=bool(metric.higher_is_better)) if len(ranked) > 1 else []
    marks = dict(zip(order, ("best", "second"), strict=False))
    values = [Value(_score(s, digits), marks.get(ranked[i], "") if i in ranked else "") for i, s in enumerate(scores)]
    return Column((f"{heading} {metric.arrow}",), tuple(values))


def _published(
    spec: TableSpec, table: dict[tuple[str, str], dict[str, Line]], dataset: str, task: str
) -> Iterator[Column]:
    """The published numbers: of the same data, or else of every published dataset, said to be of other images."""
    own = spec.published_as(dataset, task)
    for name in [own] if own else spec.published.datasets:
        lines = table.get((dataset if own else name, task), {})
        heading = ("published,", f"on {name}") if own else ("published,", f"on {name},", "other images")
        if lines:
            yield _triple(spec, heading, [lines.get(row.method, {}) for row in spec.rows], "published")


def _triple(spec: TableSpec, heading: tuple[str, ...], lines: list[Line], key: str) -> Column:
    """All metrics in one column: 0.087 / 28.32 / 0.823."""

    def text(line: Line) -> str:
        parts = [_fixed(line[metric][key], places(metric)) if metric in line else BLANK for metric in spec.metrics]
        return BLANK if set(parts) == {BLANK} else " / ".join(parts)

    values = tuple(Value(text(line)) for line in lines)
    return Column((*heading, " / ".join(spec.metrics)), values, measured=False)


def _column(heading: str, lines: list[Line], text: Callable[[Line], str]) -> Column:
    return Column((heading,), tuple(Value(text(line)) for line in lines))


def _complete(record: Record) -> bool:
    """Whether a score may compete: of all images, none failed, none to do."""
    return record["status"] == "ok" and record["failed"] == 0 and record["mean"] == record["mean"]


def _score(record: Record, digits: int) -> str:
    """The value, or why there is none."""
    if record["status"] in ("not yet", "n/a", "failed"):
        return record["status"]
    return _plus_minus(record, digits)


def _plus_minus(record: Record, digits: int) -> str:
    mean, ci95 = _fixed(record["mean"], digits), record["ci95"]
    return f"{mean} ± {ci95:.{digits}f}" if ci95 == ci95 else mean


def _images(record: Record) -> str:
    """How many of how many are averaged."""
    if record["status"] in ("not yet", "n/a"):
        return BLANK
    done = int(record["n"])
    return f"{done}/{done + int(record['failed']) + int(record['todo'])}"


def _origins(record: Record) -> str:
    """Where the options come from, beyond the signature."""
    found = [part.partition(":")[0] for part in record["settings"].split("; ") if part]
    return " + ".join(found) or (BLANK if record["status"] in ("not yet", "n/a") else "paper's")


def places(metric: str) -> int:
    """Decimals, as papers print them."""
    return 2 if metric.startswith("PSNR") else 3


def _fixed(value: float, digits: int) -> str:
    if value != value:
        return BLANK
    return f"{value:.{digits}f}" if abs(value) != float("inf") else "∞"


def _seconds(value: float) -> str:
    """About three digits, never an exponent."""
    if value != value:
        return BLANK
    if value < 0.001:
        return "<0.001"
    return f"{value:.{3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0}f}"
