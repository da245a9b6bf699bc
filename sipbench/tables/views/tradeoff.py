"""Quality against the number of training images, a curve a method; against what it costs; and who passes whom.

NAME.csv has a line a problem, method, n and subset; NAME.md the curves, the crossings and the exponents as tables;
NAME-crossings.csv and NAME-exponents.csv the last two; NAME.png and NAME-compute.png are the pictures. How the
intervals come about: `sipbench.tables.growth`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.safety.text import csv
from sipbench.tables import growth_pictures
from sipbench.tables.growth_page import crossings, exponents, page
from sipbench.tables.learning import growths, table
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """All files; nothing where nothing is whole yet."""
    found = growths(spec)
    if not found:
        return []
    path = spec.folder / spec.name

    def laid(ending: str, frame: pd.DataFrame) -> Path:
        return write_text(
            path.with_name(f"{spec.name}{ending}.csv"),
            csv(frame),
        )

    return [
        laid("", table(spec)),
        laid("-crossings", crossings(spec, found)),
        laid("-exponents", exponents(found)),
        write_text(path.with_suffix(".md"), page(spec)),
        *growth_pictures.by_images(spec, found, path),
        *growth_pictures.by_cost(spec, found, path.with_name(f"{spec.name}-compute")),
    ]


def text(spec: TableSpec, df: pd.DataFrame) -> str:
    """What is printed: the page."""
    return page(spec)
