"""Results on disk: atomic, resumable, mergeable.

A cell is a folder named by its hash. A finished batch is one Parquet file in it, written beside and renamed into
place; the same images always get the same file name. Merging the results of two machines is copying their folders
together.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sipbench.bench.cell import Cell
from sipbench.errors import UserError


def prepare(cell: Cell) -> None:
    """Make the cell's folder and write what the cell is. Says at once where results cannot be written."""
    content = {"label": cell.label, "identity": cell.identity, "weights": {k: v.name for k, v in cell.weights.items()}}
    with plainly(cell.folder):
        cell.folder.mkdir(parents=True, exist_ok=True)
        land(cell.folder / "cell.json", json.dumps(content, indent=2, sort_keys=True).encode())


def write(cell: Cell, rows: Sequence[dict[str, Any]]) -> None:
    """Land a finished batch: all of its rows, or none."""
    import io

    import pandas as pd

    images = ",".join(str(row["image"]) for row in rows)
    name = f"rows-{rows[0]['image']:06d}-{hashlib.sha256(images.encode()).hexdigest()[:8]}.parquet"
    buffer = io.BytesIO()
    pd.DataFrame(list(rows)).to_parquet(buffer, index=False)
    with plainly(cell.folder):
        land(cell.folder / name, buffer.getvalue())


def read(folder: Path, columns: list[str] | None = None) -> Any:
    """The rows of a cell as a DataFrame, one an image; a row that succeeded stands before one that failed."""
    import pandas as pd

    frames = [_rows(path, columns) for path in sorted(folder.glob("rows-*.parquet"))]
    if not frames:
        return pd.DataFrame(columns=columns or ["image", "status"])
    rows = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    order = rows.sort_values(["image", "status"], ascending=[True, False], kind="stable")
    return order.drop_duplicates("image").reset_index(drop=True)


def _rows(path: Path, columns: list[str] | None) -> Any:
    import pandas as pd

    try:
        return pd.read_parquet(path, columns=columns)
    except (ValueError, OSError) as error:
        raise UserError(f"damaged results {path}: {error}. Delete the file and run again.") from error


def done(cell: Cell, *, retry_failed: bool = False) -> set[int]:
    """The images of a cell that need no more work."""
    rows = read(cell.folder, ["image", "status"])
    kept = rows[rows["status"] == "ok"] if retry_failed else rows
    return {int(i) for i in kept["image"]}


def missing(cell: Cell, *, retry_failed: bool = False) -> list[int]:
    """The images of a cell that are still to do, in order."""
    have = done(cell, retry_failed=retry_failed)
    return [i for i in cell.images if i not in have]


def cells(results: Path) -> Iterator[Path]:
    """The folders of all cells below a results folder."""
    return (path.parent for path in sorted((results / "runs").glob("*/*/*/*/cell.json")))


def land(path: Path, content: bytes) -> None:
    """Write beside, flush to the disk, rename into place: a reader sees the whole file or none."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def plainly(folder: Path) -> Iterator[None]:
    """What the file system refuses, in plain words."""
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror or error)
        raise UserError(f"results cannot be written to {folder}: {reason}. Choose another with results=...") from error
