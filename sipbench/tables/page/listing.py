"""A file of numbers that has columns of its own, as the page shows it: as it is, with its curves."""

from __future__ import annotations

from typing import Any

from sipbench.report.page.model import Chart, Listing
from sipbench.tables.page import charts
from sipbench.tables.page.find import Found
from sipbench.tables.read import read_csv


def listing(found: Found) -> Listing:
    """The whole file, and what its curves are."""
    assert found.csv is not None
    df: Any = read_csv(found.csv)
    rows = tuple(tuple(map(_plain, row)) for row in df.itertuples(index=False))
    drawn: list[Chart] = list(charts.by_images(found.csv))
    for path in found.beside:
        drawn += charts.by_iteration(path)
    source = f"read from {found.csv.name}"
    return Listing(found.name, found.profile, found.title, source, tuple(map(str, df.columns)), rows, tuple(drawn))


def _plain(value: Any) -> Any:
    """As Python has it: numpy's numbers as numbers, what is empty as nothing."""
    own = value.item() if hasattr(value, "item") else value
    return None if own is None or own != own else own
