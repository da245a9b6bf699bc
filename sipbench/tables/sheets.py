"""From the long form to what is shown: one sheet a (dataset, degradation), one row a method, numbers as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sipbench.tables.measures import EVALUATIONS, RESIDUAL, SECONDS, Measure
from sipbench.tables.spec import Row, TableSpec

if TYPE_CHECKING:
    import pandas as pd

BLANK = "–"
Record = dict[str, Any]
Line = dict[str, Record]
"""The records of one method by metric."""


@dataclass(frozen=True)
class Value:
    """One cell of a sheet. `best`: it is in the group that the images cannot separate from the best."""

    text: str
    best: bool = False


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
    marks = ("source_changed", "other_weights", "other_images", "other_measurements")
    counts, texts = (
        dict.fromkeys(("n", "failed", "todo", "unconverged", *marks), 0),
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
    lines = [table[dataset, task][row.name] for row in spec.rows]
    columns = [
        *(_measure(lines, measure) for measure in spec.measures),
        _column("residual/σ", lines, lambda line: _fixed(line[RESIDUAL.heading]["mean"], RESIDUAL.places)),
        _column("s/image", lines, lambda line: _seconds(line[SECONDS.heading]["mean"])),
        _column("NFE", lines, lambda line: _fixed(line[EVALUATIONS.heading]["mean"], 0)),
        _column("images", lines, lambda line: _images(line[SECONDS.heading])),
        _column("options", lines, lambda line: _origins(line[SECONDS.heading])),
        _triple(spec, ("oracle",), lines, "oracle_mean"),
        *_published(spec, table, dataset, task),
    ]
    return Sheet(spec.problem_title(dataset, task), spec.rows, tuple(columns))


def _measure(lines: list[Line], measure: Measure) -> Column:
    """A measure's mean, and in brackets the interval of its paired difference to the best; the best group is marked."""
    texts = [_score(line[measure.heading], measure) + _part(line, measure) for line in lines]
    best = [bool(line[measure.heading]["best_group"]) for line in lines]
    return Column((measure.title,), tuple(map(Value, texts, best)))


def _published(
    spec: TableSpec, table: dict[tuple[str, str], dict[str, Line]], dataset: str, task: str
) -> Iterator[Column]:
    """The published numbers: of the same data, or else of every published dataset, said to be of other images."""
    own = spec.published_as(dataset, task)
    for name in [own] if own else spec.published.datasets:
        lines = table.get((dataset if own else name, task), {})
        heading = ("published,", f"on {name}") if own else ("published,", f"on {name},", "other images")
        if lines:
            yield _triple(spec, heading, [lines.get(row.name, {}) for row in spec.rows], "published")


def _triple(spec: TableSpec, heading: tuple[str, ...], lines: list[Line], key: str) -> Column:
    """All metrics in one column: 0.087 / 28.32 / 0.823."""

    def text(line: Line) -> str:
        own = [m for m in spec.measures if m.metric]
        parts = [_fixed(line[m.heading][key], m.places) if m.heading in line else BLANK for m in own]
        return BLANK if set(parts) == {BLANK} else " / ".join(parts)

    values = tuple(Value(text(line)) for line in lines)
    return Column((*heading, " / ".join(spec.metrics)), values, measured=False)


def _column(heading: str, lines: list[Line], text: Callable[[Line], str]) -> Column:
    return Column((heading,), tuple(Value(text(line)) for line in lines))


def _score(record: Record, measure: Measure) -> str:
    """The value, or why there is none; of a share with its own interval."""
    digits = measure.places
    if record["status"] in ("not yet", "n/a", "failed"):
        return record["status"]
    low, high = record["difference_low"], record["difference_high"]
    own = _fixed(record["mean"], digits)
    if measure.proportion and record["n"]:
        return f"{own} ({_fixed(record['low'], 2)} to {_fixed(record['high'], 2)})"
    return own if low != low or low == high == 0 else f"{own} [{_signed(low, digits)}, {_signed(high, digits)}]"


def _part(line: Line, measure: Measure) -> str:
    """Of how many images the mean is, where that is not of all that were solved."""
    few, solved = line[measure.heading]["n"], line[SECONDS.heading]["n"]
    return f" (of {few})" if 0 < few < solved else ""


def _signed(value: float, digits: int) -> str:
    """With its sign; a true minus, so that it is not read as a dash."""
    return f"{value:+.{digits}f}".replace("-", "−")


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
