"""Which images of a cell are done, asked for again and again while others work on it."""

from __future__ import annotations

from pathlib import Path

from sipbench.bench import store
from sipbench.cluster import files
from sipbench.cluster.plan import Planned


class Landed:
    """The images of planned cells that need no more work. A file that was seen is not read again."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._seen: dict[str, frozenset[str]] = {}
        self._done: dict[str, set[int]] = {}

    def left(self, cell: Planned) -> set[int]:
        """The images that are still to do. Damaged results are a UserError."""
        folder = self._results / cell.folder
        names = frozenset(name for name in files.listed(folder) if name.startswith("rows-"))
        before = self._seen.get(cell.hash)
        if before is None or not before <= names:
            self._done[cell.hash] = self._read(cell) if names else set()
        elif new := names - before:
            own = {store.file_of(batch): batch for batch in cell.batches}
            known = [own[name] for name in new if name in own]
            if len(known) < len(new) or cell.retry_failed:
                self._done[cell.hash] = self._read(cell)
            else:
                self._done[cell.hash].update(*known)
        self._seen[cell.hash] = names
        return set(cell.images) - self._done[cell.hash]

    def _read(self, cell: Planned) -> set[int]:
        return store.settled_in(self._results / cell.folder, retry_failed=cell.retry_failed)

    def forget(self, cell: Planned) -> None:
        """Look at its files anew: one of them was written once more, or removed."""
        self._seen.pop(cell.hash, None)
