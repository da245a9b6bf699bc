"""What the cells of a table store, image by image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sipbench.bench import store
from sipbench.tables.measures import COSTS, Measure
from sipbench.tables.spec import Entry, TableSpec

if TYPE_CHECKING:
    import pandas as pd

Rows = dict[tuple[str, str, str], Any]
"""The stored rows of each entry that has cells, by its key."""


def stored(spec: TableSpec) -> Rows:
    """The rows of every entry that can run here, for the images that it asks for, all seeds together."""
    return {entry.key: _rows(entry) for entry in spec.entries() if entry.cells}


def values(rows: Any, column: str) -> Any:
    """One value an image of the rows that succeeded: the mean over its seeds."""
    import pandas as pd

    if column not in rows:
        return pd.Series(dtype="float64")
    good = rows[rows["status"] == "ok"].dropna(subset=[column])
    return good.groupby("image")[column].mean().astype("float64")


def together(spec: TableSpec, rows: Rows) -> Iterator[tuple[tuple[str, str], Measure, pd.DataFrame]]:
    """For each problem and measure that has a better side, the values of the rows that solved all: images × rows.

    A row that lacks a value where another has one is left out, and no image is.
    """
    import pandas as pd

    entries = {entry.key: entry for entry in spec.entries() if entry.cells}
    for pair in spec.pairs:
        names = [row for row in spec.rows if (*pair, row.name) in entries]
        whole = [row for row in names if _whole(entries[(*pair, row.name)], rows[(*pair, row.name)])]
        for measure in (*spec.measures, *COSTS):
            if measure.higher_is_better is None or measure.shared:
                continue
            found = {
                row.name: values(rows[(*pair, row.name)], row.column(measure, rows[(*pair, row.name)])) for row in whole
            }
            known = set().union(*(v.index for v in found.values()))
            table = pd.DataFrame({name: v for name, v in found.items() if len(v) == len(known)})
            if table.shape[1] > 1 and len(table) > 1:
                yield pair, measure, table


def _rows(entry: Entry) -> Any:
    import pandas as pd

    frames = []
    for cell in entry.cells:
        rows = store.read(cell.folder)
        frames.append(rows[rows["image"].isin(cell.images)].assign(seed=cell.seed))
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else frames[0]


def _whole(entry: Entry, rows: Any) -> bool:
    """Whether an entry may compete: every image is there, and none failed."""
    return len(rows) == sum(len(cell.images) for cell in entry.cells) and bool((rows["status"] == "ok").all())
