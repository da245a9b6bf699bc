"""What a cell lacks before it can run here, and what of it is still to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

from sipbench.bench import store
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.run import Bench
from sipbench.errors import UserError
from sipbench.safety.text import are, counted


def left(cell: Cell, rows: Any = None) -> int:
    """How many images of a cell are still to do; by its rows, if they were read already."""
    return len(store.missing(cell, retry_failed=cell.retry_failed, rows=rows))


def absent(cell: Cell) -> str | None:
    """The first thing that the cell lacks, or None."""
    return next(chain(_dataset(cell), _checkpoints(cell)), None)


def obstacle(cell: Cell) -> str | None:
    """Why a cell cannot run here, or None. A misspelt option is an error, not an obstacle."""
    return absent(cell) or unfit(cell)


def unfit(cell: Cell, rows: Any = None) -> str | None:
    """Why a cell that lacks nothing cannot run all the same, or None; one that is done could."""
    if not left(cell, rows):
        return None
    try:
        Bench.of(cell)
    except NotApplicable as error:
        return str(error)
    return None


def files(cell: Cell, *, waiting: bool = True) -> Iterator[str]:
    """Every file that a cell lacks, one line each; `waiting` names those of networks made elsewhere too."""
    yield from _dataset(cell)
    yield from _images(cell)
    if waiting or not cell.waits:
        yield from _checkpoints(cell)


def _dataset(cell: Cell) -> Iterator[str]:
    """Why the dataset cannot serve the cell at all."""
    try:
        count = len(cell.dataset)
    except UserError as error:
        yield f"{error} Datasets are looked for below {cell.data}: name another place with data=FOLDER."
        return
    chosen = cell.chosen_images
    last = chosen - 1 if type(chosen) is int else max(cell.images)
    if last >= count:
        label = f"{cell.names[0]}: split {cell.split!r}"
        yield f"{label} has {counted(count, 'image')}, but image {last} is asked for: add more, or set images={count}."


def _images(cell: Cell) -> Iterator[str]:
    """Single images that are absent."""
    try:
        lost = cell.dataset.missing([i for i in cell.images if i < len(cell.dataset)])
    except UserError:
        return
    if lost:
        node = cell.source
        how = node.get("get", "Complete the folder.").rstrip()
        of = f"{counted(len(cell.images), 'image')} {are(len(cell.images))}"
        yield f"{node['name']}: {len(lost)} of {of} absent: {some(lost)}. {how}"


def _checkpoints(cell: Cell) -> Iterator[str]:
    """Every prior and trained network that is absent; asked for one by one, so that none hides another."""
    for part in _one_by_one(cell):
        try:
            _ = part.weights
        except UserError as error:
            text = str(error)
            yield text if text.endswith(".") else f"{text}."


def _one_by_one(cell: Cell) -> Iterator[Cell]:
    """The cell with its prior alone, then with each of its networks and of its further priors alone."""
    bare = cell.method | {"networks": {}, "priors": {}}
    yield replace(cell, method=bare)
    for group in ("networks", "priors"):
        for name, node in (cell.method.get(group) or {}).items():
            yield replace(cell, prior={}, method=bare | {group: {name: node}})


def some(names: list[str], most: int = 4) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
