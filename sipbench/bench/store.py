"""Results on disk: atomic, resumable, mergeable.

A cell is a folder named by its hash. A finished batch is one Parquet file in it, written beside and renamed into
place; the same images always get the same file name. It is sealed (see `sealed.py`), and one that is not what was
written counts as not there (see `damage.py`). It holds the rows and what the solver returned, so that a score
that is asked for later is computed from it: such scores are Parquet files of their own beside it. Merging the results
of two machines is copying their folders together.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sipbench.bench import damage, packing, protocol, sealed, trained
from sipbench.bench.cell import Cell
from sipbench.bench.damage import HEAVY
from sipbench.errors import UserError
from sipbench.problem import Estimate
from sipbench.safety import sizes
from sipbench.safety.whole import whole

if TYPE_CHECKING:
    from torch import Tensor

Opened = TypeVar("Opened")
SETTLES = ("image", "status", "kept", "metrics_version")
_verified: set[tuple[Path, sizes.Stamp]] = set()


@dataclass(frozen=True)
class _End:
    """What came of the images of a file.

    Attributes:
        mark: of the file, and the version of the metrics that it was looked at with.
        stale: whether something in it does not count any more.
        weights: that its rows were made with, where a recipe trained them, by part.
    """

    mark: tuple[sizes.Stamp, int]
    ok: frozenset[int]
    failed: frozenset[int]
    stale: bool
    weights: dict[str, set[str]]


_ends: dict[Path, _End] = {}


def prepare(cell: Cell) -> None:
    """Make the cell's folder and write what the cell is. Says at once where results cannot be written.

    Damaged files in it are set aside, so that nothing is written over them.
    """
    remove_leftovers(cell.folder)
    set_damaged_aside(cell)
    content = {
        "label": cell.label,
        "identity": cell.identity,
        "weights": {k: v.name for k, v in cell.weights.items()},
        "origins": cell.origins,
    }
    if cell.lessons:
        trained.check(cell, [end.weights for end in _ends_in(cell.folder)])
    write_whole(cell.folder / "cell.json", json.dumps(content, indent=2, sort_keys=True).encode())


def set_damaged_aside(cell: Cell) -> None:
    """Files that are not as they were written, in the numbers or in the images: what they hold is to be done again."""
    for path in files(cell.folder):
        if flaw(path) and (why := flaw(path)):  # twice: on NFS a file that was replaced meanwhile fails to be read
            with writing(cell.folder):
                damage.set_aside(path, why)


def write(cell: Cell, rows: Sequence[dict[str, Any]]) -> None:
    """Land a finished batch: all of its rows, or none.

    Where the same batch landed already, as somebody took it for a dead worker's, what succeeded in either stays.
    """
    name = file_of([row["image"] for row in rows])
    have = _table(cell.folder / name, [*SETTLES])
    before = set() if have is None else settled(have, retry_failed=True)
    good = [row for row in rows if row["status"] == "ok"]
    if before <= {row["image"] for row in good}:
        _land(cell, rows, name)
    elif more := [row for row in good if row["image"] not in before]:
        _land(cell, more, file_of([row["image"] for row in more]))


def file_of(images: Sequence[int]) -> str:
    """The name of the file that a batch of these images lands in."""
    return f"rows-{images[0]:06d}-{_digest(images)}.parquet"


def write_scores(cell: Cell, scores: Sequence[dict[str, Any]]) -> None:
    """Land scores that were computed from stored estimates: an image, and a column for each metric."""
    names = "-".join(sorted(name for name in scores[0] if name != "image"))
    kind = hashlib.sha256(names.encode()).hexdigest()[:8]
    own = [{**score, "cell": cell.hash} for score in scores]
    _land(cell, own, f"scores-{kind}-{_digest([score['image'] for score in scores])}.parquet")


def read(folder: Path, columns: list[str] | None = None) -> Any:
    """The rows of a cell as a DataFrame, one an image; a row that succeeded stands before one that failed.

    Of two that succeeded the first file's counts, but for one that is to be done again (see `settled`). Without names
    all columns come but the heavy ones; scores that were computed later are filled in.
    """
    import pandas as pd

    wanted = None if columns is None else [*columns, *SETTLES]
    frames = [one for path in files(folder, "rows") if (one := _table(path, wanted)) is not None]
    if not frames:
        return pd.DataFrame(columns=columns or ["image", "status"])
    rows = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    rows = rows.iloc[_stale(rows).argsort(kind="stable")] if len(frames) > 1 else rows
    order = rows.sort_values(["image", "status"], ascending=[True, False], kind="stable")
    order = _with_scores(folder, order.drop_duplicates("image").reset_index(drop=True), wanted)
    return order if columns is None else order[[name for name in columns if name in order]]


def estimate(cell: Cell, image: int) -> Estimate | None:
    """What the solver returned for an image, a batch of one; None where nothing was kept."""
    return estimates(cell, [image]).get(image)


def estimates(cell: Cell, images: Sequence[int]) -> dict[int, Estimate]:
    """What the solver returned, by image, each a batch of one."""
    return {image: opened(cell, image, content, packing.unpacked) for image, content in kept(cell, images).items()}


def chosen(cell: Cell, images: Sequence[int]) -> dict[int, dict[str, Tensor]]:
    """The iterates that the cell's probe chose, by image and by name, each a batch of one."""
    return {
        image: opened(cell, image, content, packing.unpacked_chosen) for image, content in kept(cell, images).items()
    }


def opened(cell: Cell, image: int, content: bytes, read: Callable[[bytes], Opened]) -> Opened:
    """What a reader makes of what is kept of an image. Where that is nothing, the error says whose it is."""
    try:
        return read(content)
    except UserError as error:
        hint = f"delete {cell.folder} and run it again"
        raise UserError(f"{cell.label}, image {image}: {error}: {hint}") from error


def kept(cell: Cell, images: Sequence[int]) -> dict[int, bytes]:
    """What is kept of these images, by image; of two files the first counts, as in `read`. Only theirs are read."""
    found: dict[int, bytes] = {}
    for path in files(cell.folder, "rows"):
        held = _table(path, ["image"])
        if held is not None and set(held["image"]) & set(images) - set(found):
            rows = _table(path, ["image", "estimate"])
            if rows is not None and "estimate" in rows:
                have = rows[rows["image"].isin({*images} - {*found}) & rows["estimate"].notna()]
                found |= {int(row["image"]): row["estimate"] for row in have.to_dict("records")}
    return found


def done(cell: Cell, *, retry_failed: bool = False, rows: Any = None) -> set[int]:
    """The images of a cell that need no more work of its solver; of its rows, if they were read already."""
    if rows is None:
        return settled_in(cell.folder, retry_failed=retry_failed)
    return settled(rows, retry_failed=retry_failed)


def settled_in(folder: Path, *, retry_failed: bool = False) -> set[int]:
    """Those of a cell's folder; a file is read once by a process, however often it asks, until it is another one."""
    ends = _ends_in(folder)
    if any(end.stale for end in ends):
        return settled(read(folder, [*SETTLES]), retry_failed=retry_failed)
    kept = [end.ok for end in ends] + [end.failed for end in ends if not retry_failed]
    return set().union(*kept)


def settled(rows: Any, *, retry_failed: bool = False) -> set[int]:
    """The images of these rows that need no more work; they have the columns SETTLES, where there are such."""
    kept = rows[rows["status"] == "ok"] if retry_failed else rows
    return {int(i) for i in kept["image"][~_stale(kept)]}


def _ends_in(folder: Path) -> list[_End]:
    return [end for path in files(folder, "rows") if (end := _end(path)) is not None]


def _end(path: Path) -> _End | None:
    try:
        mark = sizes.stamp(path), protocol.versions()["metrics"]
    except FileNotFoundError:  # set aside by another process
        return None
    known = _ends.get(path)
    if known is None or known.mark != mark:
        rows = _table(path, [*SETTLES, "training"])
        if rows is None:
            return None
        good = rows["status"] == "ok"
        ok, failed = (frozenset(map(int, rows["image"][which])) for which in (good, ~good))
        known = _ends[path] = _End(mark, ok, failed, bool(_stale(rows).any()), trained.hashes(rows))
    return known


def _stale(rows: Any) -> Any:
    """Of each row, whether it was scored by older metrics, and nothing was kept to score it anew."""
    import numpy as np

    if "metrics_version" not in rows:
        return np.zeros(len(rows), bool)
    old = (rows["status"] == "ok") & (rows["metrics_version"] < protocol.versions()["metrics"])
    return (old & (rows["kept"].isna() if "kept" in rows else True)).to_numpy(bool)


def changed(rows: Any) -> int:
    """How many of these rows were made by other code than was submitted: their column `source_changed` says which."""
    return int(rows["source_changed"].notna().sum()) if "source_changed" in rows else 0


def reasons(rows: Any) -> list[str]:
    """Why images of these rows failed, one reason an image; a row from elsewhere may tell none."""
    failed = rows[rows["status"] != "ok"]
    told = failed["reason"] if "reason" in failed else [None] * len(failed)
    return [one if isinstance(one, str) and one else "no reason is told" for one in told]


def missing(cell: Cell, *, retry_failed: bool = False, rows: Any = None) -> list[int]:
    """The images of a cell that are still to do, in order."""
    have = done(cell, retry_failed=retry_failed, rows=rows)
    return [i for i in cell.images if i not in have]


def files(folder: Path, kind: str = "*") -> list[Path]:
    """The files of a cell in order: its rows, its scores, or both."""
    begins = ("rows-", "scores-") if kind == "*" else (f"{kind}-",)
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [folder / name for name in sorted(names) if name.startswith(begins) and name.endswith(".parquet")]


def cells(results: Path) -> Iterator[Path]:
    """The folders of all cells below a results folder."""
    return (path.parent for path in sorted((results / "runs").glob("*/*/*/*/cell.json")))


def remove_leftovers(folder: Path, older: float = 3600.0) -> None:
    """Remove what a killed writer left half written. Younger ones may be of a writer that is at work."""
    for path in folder.glob(".*.tmp"):
        try:
            if time.time() - path.stat().st_mtime > older:
                path.unlink()
        except OSError:  # another process was faster, or may not
            continue


def write_whole(path: Path, content: bytes, word: str = "results") -> Path:
    """Write beside, flush to the disk, rename into place: a reader sees the whole file or none.

    word: what chose the folder.
    """
    with writing(path.parent, word):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _written(path, content)
        except FileNotFoundError:  # by a clock that jumped it was taken for what a killed writer left
            _written(path, content)
    return path


def _written(path: Path, content: bytes) -> None:
    with whole(path) as beside, open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def writing(folder: Path, word: str = "results") -> Iterator[None]:
    """What the file system refuses, in plain words."""
    try:
        yield
    except OSError as error:
        reason = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror or error)
        what = "results " if word == "results" else ""
        raise UserError(f"{what}cannot be written to {folder}: {reason}. Choose another with {word}=...") from error


def _land(cell: Cell, rows: Sequence[dict[str, Any]], name: str) -> None:
    import pandas as pd
    import pyarrow as pa

    content = sealed.sealed(pa.Table.from_pandas(pd.DataFrame(list(rows)), preserve_index=False), HEAVY)
    write_whole(cell.folder / name, content)


def _digest(images: Sequence[int]) -> str:
    return hashlib.sha256(",".join(map(str, images)).encode()).hexdigest()[:8]


def table(path: Path, columns: list[str] | None) -> Any:
    """The Arrow table of a file, verified; None of a damaged one, which is told of."""
    try:
        return _sound(path, columns)
    except FileNotFoundError:  # another process set it aside
        return None
    except sealed.Damaged as error:
        damage.note(path, error)
        return None


def _table(path: Path, columns: list[str] | None) -> Any:
    found = table(path, columns)
    return None if found is None else found.to_pandas(ignore_metadata=True)


def _sound(path: Path, columns: list[str] | None) -> Any:
    """The Arrow table of a file of a store; Damaged where it is not as it was written, or not of a store."""
    from pyarrow import ArrowException

    scores = path.name.startswith("scores-")
    needed = ["image", "metrics_version" if scores else "status"]
    wanted = None if columns is None else [*columns, *needed, "cell"]
    found = sealed.read(path, wanted, HEAVY, partial(damage.misfit, scores=scores))
    if lost := [name for name in needed if name not in found.column_names]:
        raise sealed.Damaged(f"it is no file of a store: it has no column {lost[0]}")
    if found["image"].null_count or len(found["image"].unique()) < len(found):
        raise sealed.Damaged("it is no file of a store: an image has no number, or is there twice")
    if "cell" in found.column_names and (others := {*found["cell"].to_pylist()} - {path.parent.name}):
        raise sealed.Damaged(f"it has rows of another cell, {min(map(str, others))}")
    try:
        found.validate(full=True)
        found.slice(0, 0).to_pandas(ignore_metadata=True)  # two columns of one name, say
    except (ArrowException, ValueError, TypeError, LookupError, AttributeError) as error:
        raise sealed.Damaged(" ".join(str(error).split())[:200]) from error
    return found


def flaw(path: Path) -> str:
    """What is wrong with a file, its images included; nothing where it is sound. One that stays is read once."""
    try:
        mark = path, sizes.stamp(path)
        if mark not in _verified:
            _sound(path, None)
            _sound(path, list(HEAVY))
            _verified.add(mark)
    except (FileNotFoundError, sealed.Damaged) as error:
        return str(error) if isinstance(error, sealed.Damaged) else ""
    return ""


def _with_scores(folder: Path, rows: Any, columns: list[str] | None) -> Any:
    """The rows, with what was scored later where they have nothing, or something by an older version of the metrics.

    Scores by a newer version than this code has are left to code that has it.
    """
    tables = [one for path in files(folder, "scores") if (one := _table(path, columns)) is not None]
    tables = [one for one in tables if not (one["metrics_version"] > protocol.versions()["metrics"]).any()]
    for table in sorted(tables, key=lambda t: t["metrics_version"].max()):
        scores = table.set_index("image").reindex(rows["image"]).set_axis(rows.index)
        newer = scores["metrics_version"] > rows["metrics_version"].fillna(1)
        same = scores["metrics_version"] == rows["metrics_version"].fillna(1)
        for name in scores.columns.difference(["metrics_version", *damage.ABOUT_SCORES]):
            before = rows[name] if name in rows else float("nan")
            empty = rows[name].isna() if name in rows else True
            rows[name] = scores[name].where(newer | (same & empty & scores[name].notna()), before)
        rows["metrics_version"] = scores["metrics_version"].where(newer, rows["metrics_version"])
    return rows
