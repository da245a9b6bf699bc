"""At a glance: for each measure a row a problem and a column a row of the table, and the mean over the problems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.tables.measures import Measure
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd

BLANK = "–"
HEAD = "Means over the images; bold: the group that the images of a problem cannot separate from its best."


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-glance.md."""
    sections = [f"## {measure.title}\n\n{_table(spec, df, measure)}" for measure in spec.measures]
    text = "\n\n".join([f"# {spec.title}: at a glance", HEAD, *sections]) + "\n"
    return [write_text(spec.folder / f"{spec.name}-glance.md", text)]


def _table(spec: TableSpec, df: pd.DataFrame, measure: Measure) -> str:
    own: Any = df[(df["metric"] == measure.heading) & (df["status"] != "published")]
    found = own.set_index(["dataset", "degradation", "method"])
    lines = [["Problem", *(row.title for row in spec.rows)], ["---", *("---:" for _ in spec.rows)]]
    several = len({dataset for dataset, _ in spec.pairs}) > 1
    for pair in spec.pairs:
        values = [_shown(found.loc[(*pair, row.name)], measure) for row in spec.rows]
        lines += [[spec.problem_title(*pair, with_dataset=several), *values]]
    if len(spec.pairs) > 1:
        means = [own[own["method"] == row.name]["mean"].mean(skipna=False) for row in spec.rows]
        lines.append(["mean", *(f"{mean:.{measure.places}f}" if mean == mean else BLANK for mean in means)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(record: Any, measure: Measure) -> str:
    """A mean, or why there is none."""
    mean = record["mean"]
    if mean != mean:
        return record["status"] if record["status"] in ("not yet", "n/a", "failed") else BLANK
    text = f"{mean:.{measure.places}f}"
    return f"**{text}**" if record["best_group"] else text
