"""What many cells store, read at once: an index beside their folders, in `runs/.index`.

The files of the cells stay the truth. The index holds the numbers and flags of their rows, and a few texts, each cell
under a stamp of its files: their names, sizes, times and places on the disk. A cell whose files bear another stamp is
read from them, so the index may be old, damaged, another machine's, or deleted at any time. It consists of parts that
are written beside and renamed into place, by as many processes as like to; some are enough to be made one.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench.bench import sealed, store
from sipbench.bench.cell import Cell
from sipbench.errors import UserError

CELLS = b"sipbench.cells"
VERSION = 3
TEXTS = ("status", "reason", "device", "training", "source_changed")
HASHED = ("image_id", "y_sha256")  # texts that differ from image to image: a number stands for each
WORTH = 64  # cells that are not in it yet are worth a part
MOST = 8  # parts before they are made one


def read(results: Path, folders: Iterable[Path]) -> dict[Path, Any]:
    """The rows of these cells by folder, as `store.read` has them, but for lists, images and most texts."""
    import pandas as pd

    place = Path(results, "runs", ".index")
    stamps = {folder: stamp(folder) for folder in dict.fromkeys(folders)}
    known = {_name(place, folder): (folder, mark) for folder, mark in stamps.items() if mark}
    nothing = pd.DataFrame(columns=["image", "status"])
    found: dict[Path, Any] = {folder: nothing for folder, mark in stamps.items() if not mark}
    parts = _parts(place)
    for part in parts:
        for name in part.cells.keys() & known.keys():
            folder, mark = known[name]
            if folder not in found and part.cells[name][0] == mark:
                found[folder] = part.rows(name)
    fresh = {folder: _of_files(folder) for folder in stamps if folder not in found}
    sound = {folder: table for folder, (table, whole) in fresh.items() if whole and stamp(folder) == stamps[folder]}
    if len(sound) >= WORTH:
        _write(place, [(_name(place, f), stamps[f], table) for f, table in sound.items()])
        if len(parts) >= MOST:
            _join(place)
    return found | {folder: _frame(table) if len(table) else nothing for folder, (table, _) in fresh.items()}


def stored(cells: Iterable[Cell]) -> dict[Path, Any]:
    """The rows of these cells, by their folders."""
    places: dict[Path, list[Path]] = {}
    for cell in cells:
        places.setdefault(cell.results, []).append(cell.folder)
    return {folder: rows for results, own in places.items() for folder, rows in read(results, own).items()}


def stamp(folder: Path) -> str:
    """What tells a cell's files from any others; empty where there are none."""
    try:
        with os.scandir(folder) as entries:
            own = [e for e in entries if e.name.endswith(".parquet") and e.name.startswith(("rows-", "scores-"))]
            said = [(e.name, (s := e.stat()).st_size, s.st_mtime_ns, s.st_ino) for e in own]
    except OSError:
        return ""
    return hashlib.sha256(repr(sorted(said)).encode()).hexdigest()[:24] if said else ""


@dataclass(frozen=True)
class Part:
    """A part of the index.

    Attributes:
        cells: by name, each cell's stamp, its first row, how many rows it has, and which of the schemas.
        schemas: lists of columns, each with its kind.
    """

    path: Path
    table: Any
    cells: dict[str, tuple[str, int, int, int]]
    schemas: list[list[str]]

    def rows(self, name: str) -> Any:
        _, first, count, schema = self.cells[name]
        return self._frames[schema].iloc[first : first + count].reset_index(drop=True)

    @cached_property
    def _frames(self) -> list[Any]:
        """All rows once for each schema, with its columns alone."""
        return [_frame(self.table.select(names)) for names in self.schemas]


def _parts(place: Path) -> list[Part]:
    """Every part that is sound; one that is not is thrown away."""
    return [part for path in sorted(place.glob("*.parquet")) if (part := _part(path)) is not None]


def _part(path: Path) -> Part | None:
    try:
        table = sealed.read(path, None)
        said = json.loads(table.schema.metadata[CELLS])
        if said["version"] != VERSION:
            raise sealed.Damaged("another version")
        cells = {
            name: (str(mark), int(first), int(rows), int(k)) for name, (mark, first, rows, k) in said["cells"].items()
        }
        return Part(path, table, cells, said["schemas"])
    except FileNotFoundError:  # made one with others
        return None
    except (sealed.Damaged, KeyError, TypeError, ValueError, AttributeError):
        _remove(path)
        return None


def _write(place: Path, cells: list[tuple[str, str, Any]]) -> bool:
    """Land a part; where the folder takes none, the cells go on without: whether it did."""
    import pyarrow as pa

    schemas: dict[tuple[str, ...], int] = {}
    said, first = {}, 0
    for name, mark, table in cells:
        schema = schemas.setdefault(tuple(table.column_names), len(schemas))
        said[name] = (mark, first, len(table), schema)
        first += len(table)
    about = json.dumps({"version": VERSION, "schemas": list(map(list, schemas)), "cells": said})
    whole = pa.concat_tables([table for *_, table in cells], promote_options="default")
    content = sealed.sealed(whole.replace_schema_metadata(None), said={CELLS: about.encode()})
    try:
        store.write_whole(place / f"{uuid.uuid4().hex}.parquet", content)
    except UserError:
        return False
    return True


def _join(place: Path) -> None:
    """Make the parts one: each cell as it is last told of, where its files are still those."""
    parts = _parts(place)
    latest: dict[str, tuple[str, str, Any]] = {}
    for part in parts:
        for name, (mark, first, count, schema) in part.cells.items():
            if name not in latest and stamp(place.parent / name) == mark:
                latest[name] = (name, mark, part.table.select(part.schemas[schema]).slice(first, count))
    if not latest or _write(place, list(latest.values())):
        for part in parts:
            _remove(part.path)


def _of_files(folder: Path) -> tuple[Any, bool]:
    """A cell's rows from its files, each column with its kind in its name; and whether no file was damaged."""
    import pyarrow as pa

    paths = store.files(folder)
    read = [table for path in paths if (table := store.table(path, None)) is not None]
    tables = [table.select([f.name for f in table.schema if not pa.types.is_nested(f.type)]) for table in read]
    whole = len(tables) == len(paths)
    try:
        together = pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})
    except pa.ArrowException:  # a column of which files hold different kinds
        together = pa.table({})
    plain = whole and not any(path.name.startswith("scores-") for path in paths)
    if not len(together) or not plain or len(set(together["image"].to_pylist())) < len(together):
        return _kinds(_table(_flat(store.read(folder)))), whole
    return _kinds(together.sort_by("image")), whole


def _flat(frame: Any) -> Any:
    """Without the columns of lists."""
    from pandas.api.types import is_scalar

    held = {name: frame[name].dropna() for name in frame}
    return frame[[name for name, values in held.items() if not len(values) or is_scalar(values.iloc[0])]]


def _table(frame: Any) -> Any:
    """As an Arrow table, without the columns that hold values of several kinds."""
    import pyarrow as pa

    columns = {}
    for name in frame:
        with suppress(pa.ArrowException, ValueError, TypeError, OverflowError):
            columns[name] = pa.Array.from_pandas(frame[name])
    return pa.table(columns)


def _kinds(table: Any) -> Any:
    """The columns that an index holds and that say anything, cast and named by their kind."""
    import pyarrow as pa

    asked = (
        ("flag", pa.types.is_boolean, pa.bool_()),
        ("whole", lambda t: pa.types.is_integer(t) and not pa.types.is_uint64(t), pa.int64()),
        ("number", pa.types.is_floating, pa.float64()),
        ("text", lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), pa.string()),
    )
    made = {}
    for field in table.schema:
        column = table[field.name]
        kind = next(((name, to) for name, fits, to in asked if fits(field.type)), None)
        if kind and kind[0] == "text" and field.name in HASHED and not column.null_count:
            kind, column = asked[1][::2], _hashed(column)
        if kind and column.null_count < len(column) and (kind[0] != "text" or field.name in TEXTS):
            made[f"{field.name}:{kind[0]}"] = column.cast(kind[1])
    return pa.table(made)


def _hashed(texts: Any) -> Any:
    import pyarrow as pa
    from pandas.util import hash_array

    return pa.array(hash_array(texts.to_numpy(), categorize=False).view("int64"))  # pyright: ignore


def _frame(table: Any) -> Any:
    """As a DataFrame, under the plain names."""
    frame = table.to_pandas(ignore_metadata=True)
    return frame.set_axis([name.rpartition(":")[0] for name in frame.columns], axis=1)


def _name(place: Path, folder: Path) -> str:
    return Path(os.path.relpath(folder, place.parent)).as_posix()


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return
