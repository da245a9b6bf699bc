"""Batch by batch through what is missing of a cell, each in its turn: others may work on the same results.

How a turn is taken is not known here: who runs a cell hands in a `Turn`. Without one nobody else is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.safety import sizes

Rows = list[dict[str, Any]]


class Turn(Protocol):
    """Who does which batch, where several processes share a results folder. It can be sent to another process.

    Attributes:
        left: by the hash of a cell those of its images that were left to others.
    """

    left: dict[str, list[int]]

    def __call__(self, cell: Cell, batch: Sequence[int]) -> AbstractContextManager[bool]:
        """Inside, the batch is this process's alone; or it is another's, and the answer is False."""
        ...

    def patient(self) -> Turn:
        """The same, which waits for what others have."""
        ...

    def seen(self, label: str, processes: int = 1) -> AbstractContextManager[object]:
        """Inside, others see who is at work, and on what."""
        ...

    def done(self, images: int) -> None:
        """So many images more have landed."""
        ...


@dataclass
class Alone:
    """The turn of a process that need not ask."""

    left: dict[str, list[int]] = field(default_factory=dict)

    def __call__(self, cell: Cell, batch: Sequence[int]) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def patient(self) -> Alone:
        return self

    def seen(self, label: str, processes: int = 1) -> AbstractContextManager[object]:
        return nullcontext()

    def done(self, images: int) -> None:
        return


class Left:
    """The images of a cell that are still to do, while others may do some of them.

    Attributes:
        batches: those of the whole cell that have any of them.
    """

    def __init__(self, cell: Cell, images: Collection[int] | None = None) -> None:
        self._folder, self._again, self._seen = cell.folder, cell.retry_failed, dict[str, sizes.Stamp]()
        self._seen = dict(self._new())
        todo = set(store.missing(cell, retry_failed=cell.retry_failed))
        self._todo = todo & set(cell.images if images is None else images)
        self.batches = [batch for batch in batches(cell) if self.of(batch)]

    def of(self, batch: Sequence[int]) -> list[int]:
        """What of a batch is to do."""
        return [image for image in batch if image in self._todo]

    def look(self) -> None:
        """See what others have landed meanwhile: that is done, whatever came of it."""
        for name, mark in self._new():
            rows = store.table(self._folder / name, ["image"])
            self._todo -= set() if rows is None else {*rows["image"].to_pylist()}
            self._seen[name] = mark

    def landed(self, rows: Rows) -> None:
        """These are done, by this process."""
        images = [row["image"] for row in rows]
        name = store.file_of(images)
        self._todo -= {*images}
        self._seen[name] = sizes.stamp(self._folder / name)

    def _new(self) -> Iterator[tuple[str, sizes.Stamp]]:
        """The files of rows that it has not seen; where failed images are tried again, those written anew too."""
        for path in store.files(self._folder, "rows"):
            if path.name not in self._seen or self._again:
                with suppress(FileNotFoundError):  # set aside by another process
                    mark = sizes.stamp(path)
                    if self._seen.get(path.name) != mark:
                        yield path.name, mark


def in_turn(
    cell: Cell, left: Left, solve: Callable[[list[int]], Rows], marks: Mapping[str, Any], turn: Turn
) -> Iterator[Rows]:
    """Solve what is left of each batch, store it, and yield its rows with the marks."""
    for batch in left.batches:
        rows: Rows = []
        with turn(cell, batch) as mine:
            left.look()
            if mine and (images := left.of(batch)):
                rows = [{**row, **marks} for row in solve(images)]
                store.write(cell, rows)
                left.landed(rows)
        if rows:
            turn.done(len(rows))
            yield rows


def batches(cell: Cell) -> list[list[int]]:
    """The images of a cell, batch by batch."""
    return [cell.images[i : i + cell.batch_size] for i in range(0, len(cell.images), cell.batch_size)]
