"""What a table lacks, and what of it is still to do."""

from __future__ import annotations

from sipbench import metrics
from sipbench.bench.cell import Cell
from sipbench.bench.index import stored
from sipbench.bench.lacks import files, left, some
from sipbench.tables.spec import TableSpec


def missing(spec: TableSpec) -> list[str]:
    """Every file that the table lacks, one line each: where it was looked for, how to get it, who needs it.

    Nothing is opened or computed. Metric weights are not among them (see `notes`), nor networks made elsewhere, whose
    rows are n/a with what they wait for: a table can do without.
    """
    users: dict[str, list[str]] = {}
    for entry in spec.planned:
        for cell in (c for c in entry.cells if spec.kept_of(entry.row, c) is None):
            for line in files(cell, waiting=False):
                users.setdefault(line, []).append(cell.label)
    return [f"{line} Needed by {some(list(dict.fromkeys(labels)))}." for line, labels in users.items()]


def notes(spec: TableSpec) -> list[str]:
    """What the table does without: metrics whose weights are absent, and how to get them."""
    reasons = {heading: metrics.available(key) for heading, key in spec.metrics.items()}
    return [f"{heading} is shown as –: {reason}" for heading, reason in reasons.items() if reason]


def pending(spec: TableSpec) -> list[tuple[Cell, int]]:
    """The cells that can run here and are not done, each with how many images it still misses.

    All that a first seed needs comes before the next, so that a table that was ended has whole curves.
    """
    placed = [
        (i, cell)
        for entry in spec.entries()
        for i, cell in enumerate(entry.cells)
        if spec.kept_of(entry.row, cell) is None
    ]
    cells = {cell.hash: cell for _, cell in sorted(placed, key=lambda one: one[0])}.values()
    rows = stored(cells)
    return [(cell, count) for cell in cells if (count := left(cell, rows[cell.folder]))]
