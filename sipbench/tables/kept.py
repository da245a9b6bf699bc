"""The scores of a table image by image, in a file beside it: NAME-images.csv.

Whoever doubts a mean, an interval or a mark has there what it was made of. With `kept=true` a table also reads it: of a
cell that the store does not hold it takes the lines that answer what the cell asks. So a table can be drawn anew where
its store is not, and one that takes days goes on elsewhere. Lines by other code than today's are told of below it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench.cell import Cell
from sipbench.errors import UserError
from sipbench.tables.read import read_numbers

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("dataset", "degradation", "method", "seed", "image")
KEYS = ("status", "reason", "device", "cell", "asked")
FACTS = ("converged", "source_changed", "training_seconds", "training")  # where a row has them
Lines = Mapping[tuple[str, str], Any]
"""Rows, by what their cell asks and the name of their row in the table."""


def beside(folder: Path, name: str) -> Path:
    """Where the scores of a table lie."""
    return folder / f"{name}-images.csv"


def laid(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Rows of one cell with the columns that are kept of them; what all say of a training stands once."""
    wanted = [name for name in dict.fromkeys([*NAMES, *KEYS, *columns, *FACTS]) if name in rows]
    found: Any = rows[wanted]
    found = found.sort_values("image")
    if "training" in found and found["training"].nunique() < 2:
        found.loc[found.index[1:], "training"] = None
    return found


def read(path: Path) -> Lines:
    """The lines of such a file."""
    if not path.is_file():
        raise UserError(f"kept=true: there is no {path}; a table writes it beside its CSV")
    df: Any = read_numbers(path, ("image", "seed"))
    if absent := [name for name in (*NAMES, *KEYS) if name not in df]:
        raise UserError(f"{path} has no column {absent[0]}")
    wrong = df["image"] % 1 != 0
    if wrong.any():
        raise UserError(f"{path}: line {int(wrong.idxmax()) + 2} has no whole number for its image")
    df = df.assign(image=df["image"].astype("int64"))
    twice = df.duplicated(["asked", "method", "image"])
    if twice.any():
        raise UserError(f"{path} has line {int(twice.idxmax()) + 2} twice, of which one is to be deleted")
    df = df.assign(reason=df["reason"].fillna(""), cell=df["cell"].fillna(""))
    return {key: rows.dropna(axis="columns", how="all") for key, rows in df.groupby(["asked", "method"], sort=False)}


def of(lines: Lines, row: str, cell: Cell) -> Any:
    """The lines of a cell in a row of the table, where there is one for every image; or None, also where files lack."""
    try:
        rows = lines.get((cell.asked, row))
    except UserError:
        return None
    if rows is None or not set(cell.images) <= set(rows["image"]):
        return None
    return rows[rows["image"].isin(cell.images)].assign(seed=cell.seed)  # which is in what is asked
