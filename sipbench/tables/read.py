"""The long form of a table from its CSV, also from one that an older version wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.errors import UserError
from sipbench.tables.long import COLUMNS, KINDS

if TYPE_CHECKING:
    import pandas as pd

BLANK = ["", "nan", "NaN", "NA", "<NA>"]  # what stands for nothing
LONG = {"dataset", "degradation", "method", "metric", "mean", "status"}
TEXTS = (
    *("dataset", "degradation", "method", "metric", "profile", "published_dataset"),
    *("status", "reason", "settings", "device", "cell"),
)


def is_long(path: Path) -> bool:
    """Whether a CSV has a row a (dataset, degradation, method, metric)."""
    return set(columns(path)) >= LONG


def columns(path: Path) -> list[str]:
    """The names in the first line of a CSV."""
    import csv

    try:
        with path.open(encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as CSV: {error}") from error


def read_csv(path: Path) -> pd.DataFrame:
    """A CSV as it is; what cannot be read is one line that names the file."""
    import pandas as pd

    try:
        kinds: Any = dict.fromkeys((*TEXTS, "asked"), str)  # a name or a hash may be all digits
        return pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=BLANK)  # n/a is a status
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path} cannot be read as CSV: {' '.join(str(error).split())}") from error


def read_long(path: Path) -> pd.DataFrame:
    """As `collect` gives it; columns that the file has not are empty."""
    df: Any = read_csv(path)
    own = [*COLUMNS, *(name for name in df.columns if name not in COLUMNS)]
    blank = {**dict.fromkeys(TEXTS, ""), "best_group": False}
    blank["settings"] = "" if "settings" in df else "not recorded"
    df = df.reindex(columns=own)
    df = df.assign(**{k: df[k].astype("object").where(df[k].notna(), v) for k, v in blank.items()})
    return _of_kinds(path, df, KINDS)


def read_numbers(path: Path, names: Sequence[str]) -> pd.DataFrame:
    """A CSV of which these columns, those of them that it has, are numbers."""
    df = read_csv(path)
    return _of_kinds(path, df, {name: "float64" for name in names if name in df})


def _of_kinds(path: Path, df: pd.DataFrame, kinds: Mapping[str, Any]) -> pd.DataFrame:
    try:
        return df.astype(dict(kinds))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read as a table: {' '.join(str(error).split())}") from error
