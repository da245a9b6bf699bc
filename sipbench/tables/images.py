"""What the cells of a table store, image by image."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench import index, store
from sipbench.bench.cell import Cell
from sipbench.errors import UserError
from sipbench.tables.measures import COSTS, Measure
from sipbench.tables.spec import Entry, Row, TableSpec

if TYPE_CHECKING:
    import pandas as pd

Rows = dict[tuple[str, str, str], Any]
"""The stored rows of each entry that has cells, by its key."""


def stored(spec: TableSpec, *, along: bool = False) -> Rows:
    """The rows of every entry that can run here, for the images that it asks for, all seeds together.

    `along` brings the lists of what was shown along the runs, too, and all texts: these are in the files alone. A cell
    that is not done takes the rows that the table keeps of it.
    """
    cells = {cell.hash: cell for entry in spec.entries() for cell in entry.cells}.values()
    rows = {cell.folder: store.read(cell.folder) for cell in cells} if along else index.stored(cells)
    return {entry.key: _rows(spec, entry, rows) for entry in spec.entries() if entry.cells}


def values(rows: Any, column: str) -> Any:
    """One value an image of the rows that succeeded: the mean over its seeds."""
    import pandas as pd

    if column not in rows:
        return pd.Series(dtype="float64")
    try:
        number, image = rows[column].to_numpy("float64", na_value=float("nan")), rows["image"].to_numpy()
    except (ValueError, TypeError) as error:
        raise UserError(f"the stored column {column} holds no numbers: a table can show no mean of it") from error
    good = (rows["status"].to_numpy() == "ok") & (number == number)
    found = pd.Series(number[good], index=pd.Index(image[good], name="image"), name=column)
    return found if found.index.is_unique and found.index.is_monotonic_increasing else found.groupby(level=0).mean()


def kept(spec: TableSpec) -> list[str]:
    """What a table says of the cells that it shows as they were kept, where other code answered them."""
    if not spec.keeps:
        return []
    named = {cell.hash for entry in spec.entries() for cell in entry.cells}
    shown = {name for rows in stored(spec).values() if "cell" in rows for name in rows["cell"]}
    if not (others := len(shown - named)):
        return []
    return [
        f"kept: {others} of {len(shown)} cells are shown as they were when this table was last written; the code has "
        "changed since, what they were asked has not."
    ]


def together(spec: TableSpec, rows: Rows) -> Iterator[tuple[tuple[str, str], Measure, pd.DataFrame]]:
    """For each problem and measure that has a better side, the values of the rows that solved all: images × rows.

    A row that lacks a value where another has one, of whatever seed, is left out, and no image is. So is one whose own
    words make other measurements of these images than those of most rows, and one with another image than most.
    """
    import pandas as pd

    entries = {entry.key: entry for entry in spec.entries() if entry.cells}
    others = unlike(spec, rows, "image_id")
    for pair in spec.pairs:
        names = [row for row in spec.rows if (*pair, row.name) in entries and (*pair, row.name) not in others]
        whole = [row for row in names if _whole(entries[(*pair, row.name)], rows[(*pair, row.name)])]
        whole = _of_one_problem(whole, entries, pair)
        for measure in (*spec.measures, *COSTS):
            if measure.higher_is_better is None or measure.shared:
                continue
            columns = {row.name: row.column(measure, rows[(*pair, row.name)]) for row in whole}
            runs = {name: _runs(rows[(*pair, name)], column) for name, column in columns.items()}
            known = set().union(*runs.values())
            kept = [name for name, own in runs.items() if len(own) == len(known)]
            table = pd.DataFrame({name: values(rows[(*pair, name)], columns[name]) for name in kept})
            if table.shape[1] > 1 and len(table) > 1:
                yield pair, measure, table


def unlike(spec: TableSpec, rows: Rows, column: str) -> dict[tuple[str, str, str], int]:
    """For each entry that has any, how many of its runs have another value than most runs that ask for the same."""
    groups: dict[tuple[str, ...], dict[tuple[str, str, str], Any]] = {}
    for entry in spec.entries():
        own = rows.get(entry.key)
        if own is not None and column in own and len(told := own.loc[own[column].notna(), ["image", "seed", column]]):
            groups.setdefault(tuple(_measurement(cell) for cell in entry.cells), {})[entry.key] = told
    return {key: number for group in groups.values() for key, number in _others(group, column) if number}


def _others(group: Mapping[tuple[str, str, str], Any], column: str) -> Iterator[tuple[tuple[str, str, str], int]]:
    import pandas as pd

    first, *more = group.values()
    if all(len(one) == len(first) and (one.to_numpy() == first.to_numpy()).all() for one in more):
        return
    run = ["image", "seed"]
    counts: Any = pd.concat(group.values()).groupby([*run, column], sort=False, as_index=False).size()
    most = counts.sort_values("size", ascending=False, kind="stable").drop_duplicates(run)
    for key, own in group.items():
        beside = own.merge(most, on=run, suffixes=("", "_of_most"))
        yield key, int((beside[column] != beside[f"{column}_of_most"]).sum())


def _of_one_problem(found: list[Row], entries: Mapping[Any, Entry], pair: tuple[str, str]) -> list[Row]:
    """The rows that are measured alike, those of the problem that most have."""
    made = {row.name: tuple(_measurement(cell) for cell in entries[(*pair, row.name)].cells) for row in found}
    most = Counter(made.values()).most_common(1)
    return [row for row in found if made[row.name] == most[0][0]]


def _measurement(cell: Cell) -> str:
    """All of a cell that y hangs on; what a solver is told of it does not change it. One nobody handed in has none."""
    known = cell.identity
    degradation = {k: v for k, v in known.get("degradation", {}).items() if k not in ("told", "reveal_noise")}
    return json.dumps([known.get("dataset"), degradation, known.get("seed")], sort_keys=True)


def _runs(rows: Any, column: str) -> set[tuple[int, int]]:
    """The images and seeds that have a value."""
    if column not in rows:
        return set()
    good = rows[rows[column].notna()]
    return set(zip(good["image"], good["seed"], strict=True))


def _rows(spec: TableSpec, entry: Entry, found: Mapping[Path, Any]) -> Any:
    """With the seed, and where some may be kept ones with the name of the cell that they are of."""
    import pandas as pd

    frames = []
    for cell in entry.cells:
        rows = found[cell.folder]
        wanted = rows if list(rows["image"]) == cell.images else rows[rows["image"].isin(cell.images)]
        own = spec.kept_of(entry.row, cell) if len(wanted) < len(cell.images) else None
        wanted = wanted if "seed" in wanted else wanted.assign(seed=cell.seed)
        frames.append((wanted.assign(cell=cell.hash) if spec.keeps else wanted) if own is None else own)
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if len(kept) > 1 else (kept or frames)[0]


def _whole(entry: Entry, rows: Any) -> bool:
    """Whether an entry may compete: every image is there, and none failed."""
    return len(rows) == sum(len(cell.images) for cell in entry.cells) and bool((rows["status"] == "ok").all())
