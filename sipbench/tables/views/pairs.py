"""Every row against every other: mean differences over the same images, wins, ties and losses, and p."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.report.page.model import Against
from sipbench.safety.text import counted, table_row
from sipbench.tables import images, paired
from sipbench.tables.measures import Measure
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd

HEAD = """\
Each entry: the mean difference, row minus column, over the same images; wins / ties / losses of the row; p of
Wilcoxon's signed-rank test, corrected by Holm over the pairs of its matrix. Bold: p is below 0.05."""


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-pairs.md; nothing where nothing can be compared."""
    sections = list(_sections(spec))
    if not sections:
        return []
    text = "\n\n".join([f"# {spec.title}: pairs", HEAD, *sections]) + "\n"
    return [write_text(spec.folder / f"{spec.name}-pairs.md", text)]


def _sections(spec: TableSpec) -> Iterator[str]:
    for pair, measure, table in images.together(spec, images.stored(spec)):
        heading = f"## {spec.problem_title(*pair)}: {measure.title}, {counted(len(table), 'image')}"
        yield f"{heading}\n\n{_matrix(spec, measure, table)}"


def _matrix(spec: TableSpec, measure: Measure, table: pd.DataFrame) -> str:
    titles = {row.name: row.title for row in spec.rows}
    names, found = [str(name) for name in table.columns], against(measure, table)

    def entry(a: str, b: str) -> str:
        if a == b:
            return ""
        d = found[a, b]
        mean = f"{d.mean:+.{measure.places}f}".replace("-", "−")
        text = f"{mean}; {d.wins}/{d.ties}/{d.losses}; {_p(d.p)}"
        return f"**{text}**" if d.p < paired.LEVEL else text

    lines = [["", *(titles[n] for n in names)], ["---", *("---:" for _ in names)]]
    lines += [[titles[a], *(entry(a, b) for b in names)] for a in names]
    return "\n".join(map(table_row, lines))


def _p(p: float) -> str:
    """Two digits, or three where two would say that it is not below 0.05."""
    text = f"{p:.2g}"
    return f"{p:.3g}" if p < paired.LEVEL <= float(text) else text


def against(measure: Measure, table: pd.DataFrame) -> dict[tuple[str, str], Against]:
    """Every row against every other over the same images, p corrected over the pairs."""
    pairs = list(combinations([str(name) for name in table.columns], 2))
    differences = [(table[a] - table[b]).to_numpy() for a, b in pairs]
    found = {}
    for (a, b), d, p in zip(pairs, differences, paired.holm([paired.wilcoxon(d) for d in differences]), strict=True):
        better, worse = int((d > 0).sum()), int((d < 0).sum())
        wins, losses = (better, worse) if measure.higher_is_better else (worse, better)
        ties, mean = len(d) - wins - losses, float(d.mean())
        found[a, b] = Against(mean, wins, ties, losses, float(p))
        found[b, a] = Against(-mean or 0.0, losses, ties, wins, float(p))
    return found
