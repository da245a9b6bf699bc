"""What a table lacks, and what of it is still to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from sipbench.bench import store
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.errors import UserError

if TYPE_CHECKING:
    from sipbench.tables.spec import TableSpec


def missing(spec: TableSpec) -> list[str]:
    """Every file that the table lacks, one line each: where it was looked for, how to get it, who needs it.

    Nothing is opened or computed. Metric weights are not among them (see `notes`): a table can do without.
    """
    users: dict[str, list[str]] = {}
    for entry in spec.planned:
        for cell in entry.cells:
            for line in (*_dataset(cell), *_images(cell), *_checkpoints(cell)):
                users.setdefault(line, []).append(cell.label)
    return [f"{line} Needed by {_some(list(dict.fromkeys(labels)))}." for line, labels in users.items()]


def notes(spec: TableSpec) -> list[str]:
    """What the table does without: metrics whose weights are absent, and how to get them."""
    from sipbench import metrics

    reasons = {heading: metrics.available(key) for heading, key in spec.metrics.items()}
    return [f"{heading} is shown as –: {reason}" for heading, reason in reasons.items() if reason]


def pending(spec: TableSpec) -> list[tuple[Cell, int]]:
    """The cells that can run here and are not done, each with how many images it still misses."""
    cells = [cell for entry in spec.cells() for cell in entry.cells]
    return [(cell, count) for cell in cells if (count := left(cell))]


def left(cell: Cell) -> int:
    """How many images of a cell are still to do."""
    with readable(cell):
        return len(store.missing(cell, retry_failed=cell.retry_failed))


@contextmanager
def readable(cell: Cell) -> Iterator[None]:
    """What cannot be read of the stored rows of a cell, in plain words."""
    try:
        yield
    except (OSError, ValueError) as error:
        what = " ".join(str(error).split())[:200]
        raise UserError(f"damaged results in {cell.folder} ({what}): delete this folder and run again") from error


def obstacle(cell: Cell) -> str | None:
    """Why a cell cannot run here, or None. A damaged file or a misspelt option is an error, not an obstacle."""
    for line in (*_dataset(cell), *_checkpoints(cell)):
        return line
    if not left(cell):
        return None
    from sipbench.bench.run import Bench

    try:
        Bench.of(cell)
    except NotApplicable as error:
        return str(error)
    return None


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
        yield f"{label} has {count} images, but image {last} is asked for: add more, or set images={count}."


def _images(cell: Cell) -> Iterator[str]:
    """Single images that are absent."""
    try:
        listed = getattr(cell.dataset, "missing", None)
        lost = listed([i for i in cell.images if i < len(cell.dataset)]) if listed else []
    except UserError:
        return
    if lost:
        node = cell.source
        how = node.get("get", "Complete the folder.").rstrip()
        yield f"{node['name']}: {len(lost)} of {len(cell.images)} images are absent: {_some(lost)}. {how}"


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


def _some(names: list[str], most: int = 4) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
