"""What `sipbench report` shows of tables: collected here, written by `sipbench.report.page`.

find        which tables are there, under which profiles
read        the long form of a CSV, also of one that an older version wrote
section     a table as the page has it
cells       what it takes to repeat each cell
charts      curves along the run, and of files of curves
listing     a file of numbers with columns of its own
galleries   pictures: truth, measurement, estimates, residuals
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sipbench.errors import UserError
from sipbench.report import palette
from sipbench.report.page.model import Page, Section, Table
from sipbench.report.page.pictures import packed
from sipbench.tables.page import find
from sipbench.tables.page.listing import listing
from sipbench.tables.page.section import Collected, collected

MIB = 2**20
TEXT = 0.15  # the part of the page that is kept for what is not pictures
Tell = Callable[[str], None]


def page(names: Sequence[str], profiles: Sequence[str], results: Path, limit: float, tell: Tell) -> Page:
    """The page of these tables, or of all that are there, with at most `limit` MiB of pictures and text."""
    sections: list[Section | Collected] = []
    for found in find.found(names, profiles, results):
        tell(f"{found.name}, profile {found.profile}")
        try:
            sections.append(collected(found) if found.spec is not None else listing(found))
        except UserError as error:
            if found.name in names:
                raise
            tell(f"  left out: {error}")
    whole = [one for one in sections if isinstance(one, Collected)]
    galleries = iter(packed([drawn for one in whole for drawn in one.drawn], int(limit * MIB * (1 - TEXT))))
    done = [one.table([next(galleries) for _ in one.drawn]) if isinstance(one, Collected) else one for one in sections]
    families = [m.family for one in done if isinstance(one, Table) for m in one.methods]
    families += [line.family for one in done for chart in one.charts for line in chart.lines]
    cells = {cell.key: cell for one in whole for cell in one.cells}
    return Page("sipbench: results", _made(), tuple(done), palette.colours(families), cells)


def _made() -> str:
    from sipbench.bench.record import versions

    known = versions()
    return f"sipbench {known['version_sipbench']}" + (f", commit {known['commit']}" if known["commit"] else "")
