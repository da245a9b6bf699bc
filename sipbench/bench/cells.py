"""Many cells, each exactly as `Cell.of` makes it alone, in a fraction of the time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sipbench.bench.cell import Cell
from sipbench.configs import Composer
from sipbench.errors import UserError


@dataclass
class Cells:
    """Makes cells that belong together: what is alike is composed once, and a dataset is opened once for all of them.

    >>> [cell.seed for cell in Cells().all([["method=dip", "seed=0"], ["method=dip", "seed=1"]])]
    [0, 1]
    """

    composer: Composer = field(default_factory=Composer)
    opened: dict[str, Any] = field(default_factory=dict)

    def of(self, words: Sequence[str], metrics: Iterable[str] = ()) -> Cell:
        """The cell of these words, with further metrics."""
        cell = Cell.of(self.composer.plain(words), list(words))
        cell = replace(cell, metrics=tuple(dict.fromkeys([*cell.metrics, *metrics])))
        cell.__dict__["_opened"] = self.opened
        return cell

    def all(self, jobs: Iterable[Sequence[str]]) -> list[Cell]:
        """One for each list of words, all with their results in one folder."""
        found = [self.of(words) for words in jobs]
        if len(folders := dict.fromkeys(str(cell.results) for cell in found)) > 1:
            raise UserError(f"the cells of a sweep have their results in one folder, not in {' and '.join(folders)}")
        return found
