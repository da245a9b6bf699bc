"""At a glance: each measure of all problems and rows on one page; the longer of the two runs down.

Where a problem names another one under `against`, a bracket holds the mean difference to that one over the same images:
what the change costs a row. A mean that is not of all images says of how many.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.safety.text import table_row
from sipbench.tables import images
from sipbench.tables.measures import SECONDS, Measure
from sipbench.tables.spec import Row, TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd

BLANK = "–"
Pair = tuple[str, str]


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-glance.md."""
    head = "Means over the images; bold: the group that the images of a problem cannot separate from its best."
    held = [(task, spec.tasks[task.against]) for task in spec.tasks.values() if task.against in spec.tasks]
    for name in dict.fromkeys(other.name for _, other in held):
        own = ", ".join(f"“{task.title or task.name}”" for task, other in held if other.name == name)
        head += f" In brackets under {own}: the difference to “{spec.tasks[name].title or name}”, over the same images."
    stored = images.stored(spec) if held else {}
    sections = [f"## {measure.title}\n\n{_table(spec, df, measure, stored)}" for measure in spec.measures]
    text = "\n\n".join([f"# {spec.title}: at a glance", head, *sections]) + "\n"
    return [write_text(spec.folder / f"{spec.name}-glance.md", text)]


def _table(spec: TableSpec, df: pd.DataFrame, measure: Measure, stored: images.Rows) -> str:
    own: Any = df[(df["metric"] == measure.heading) & (df["status"] != "published")]
    found = own.set_index(["dataset", "degradation", "method"])
    solved: Any = df[df["metric"] == SECONDS.heading].set_index(["dataset", "degradation", "method"])
    found = found.assign(asked=solved[["n", "failed", "todo"]].fillna(0).sum(axis=1))
    several = len({dataset for dataset, _ in spec.pairs}) > 1
    problems = [spec.problem_title(*pair, with_dataset=several) for pair in spec.pairs]
    entries = [
        [_shown(spec, found.loc[(*p, row.name)], row, p, measure, stored) for row in spec.rows] for p in spec.pairs
    ]
    titles = [row.title for row in spec.rows]
    if len(spec.pairs) >= len(spec.rows):
        lines = [["Problem", *titles], *([name, *values] for name, values in zip(problems, entries, strict=True))]
        if len(spec.pairs) > 1 and not stored:
            means = [own[own["method"] == row.name]["mean"].mean(skipna=False) for row in spec.rows]
            lines.append(["mean", *(f"{mean:.{measure.places}f}" if mean == mean else BLANK for mean in means)])
    else:
        lines = [["Method", *problems], *([t, *values] for t, *values in zip(titles, *entries, strict=True))]
    lines.insert(1, ["---", *("---:" for _ in lines[0][1:])])
    return "\n".join(map(table_row, lines))


def _shown(spec: TableSpec, record: Any, row: Row, pair: Pair, measure: Measure, stored: images.Rows) -> str:
    """A mean, or why there is none."""
    mean = record["mean"]
    if mean != mean:
        return record["status"] if record["status"] in ("not yet", "n/a", "failed") else BLANK
    text = f"{mean:.{measure.places}f}"
    lost = _lost(spec, stored, row, pair, measure)
    text += "" if lost is None else f" ({lost:+.{measure.places}f})".replace("-", "−")
    text += f" (of {record['n']}/{record['asked']})" if record["n"] < record["asked"] else ""
    return f"**{text}**" if record["best_group"] else text


def _lost(spec: TableSpec, stored: images.Rows, row: Row, pair: Pair, measure: Measure) -> float | None:
    """The mean difference to the problem that the others are held against, over the images that both have."""
    against = spec.tasks[pair[1]].against
    keys = [(*pair, row.name), (pair[0], against, row.name)]
    if not all(key in stored for key in keys):
        return None
    own, reference = (images.values(stored[key], row.column(measure, stored[key])) for key in keys)
    d = (own - reference).dropna()
    return float(d.mean()) if len(d) else None
