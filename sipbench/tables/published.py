"""Numbers from slides and papers: read from a CSV, never mixed with measured ones."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from sipbench.configs.find import PACKAGE
from sipbench.errors import UserError

COLUMNS = ("dataset", "degradation", "noise_sigma", "method", "metric", "value")

Key = tuple[str, str, float, str, str]


@dataclass(frozen=True)
class Published:
    """The published numbers of one table.

    Attributes:
        values: by (dataset, degradation, noise level, method, metric), under the source's own names.
        source: where they were published.
        note: what to keep in mind about them.
        size: pixels along one side of the images they are about.
    """

    values: dict[Key, float]
    source: str
    note: str
    size: int

    @classmethod
    def read(cls, file: str, source: str, size: int, note: str = "") -> Published:
        """From a file of the folder of published numbers."""
        path = folder() / file
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                values = dict(_row(path, n, row) for n, row in enumerate(csv.DictReader(stream), 2))
        except OSError as error:
            raise UserError(f"cannot read the published numbers {path}: {error.strerror}") from error
        return cls(values, source, note, size)

    @property
    def datasets(self) -> list[str]:
        """The datasets they are about, in order."""
        return list(dict.fromkeys(key[0] for key in self.values))

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(key[3] for key in self.values))

    def value(self, dataset: str, degradation: str | None, sigma: float, method: str | None, metric: str) -> float:
        """A number, or NaN where none was published."""
        return self.values.get((dataset, degradation or "", sigma, method or "", metric), float("nan"))


def folder() -> Path:
    """Where the published numbers lie: in the installed package, or in results/ of a checkout."""
    installed = PACKAGE / "published"
    return installed if installed.is_dir() else PACKAGE.parent / "results" / "published"


def _row(path: Path, line: int, row: dict[str, str]) -> tuple[Key, float]:
    absent = [name for name in COLUMNS if row.get(name) is None]
    if absent:
        raise UserError(f"line {line} of {path} has no {', '.join(absent)}; its columns must be {', '.join(COLUMNS)}")
    try:
        sigma, value = float(row["noise_sigma"]), float(row["value"])
    except ValueError as error:
        raise UserError(f"line {line} of {path}: {error}; noise_sigma and value must be numbers") from error
    return (row["dataset"], row["degradation"], sigma, row["method"], row["metric"]), value
