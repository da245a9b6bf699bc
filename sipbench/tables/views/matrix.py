"""Rows against problems: the first measure of every problem on one page.

Where the table names a problem under `against`, a bracket holds the mean difference to that problem over the same
images: what the change costs the method.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.tables import images
from sipbench.tables.sheets import BLANK
from sipbench.tables.spec import Row, TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-matrix.md."""
    measure = spec.measures[0]
    records: Any = {(r["dataset"], r["degradation"], r["method"]): r for r in _of(df, measure.heading)}
    stored = images.stored(spec)

    def entry(row: Row, pair: tuple[str, str]) -> str:
        record = records[(*pair, row.name)]
        if record["mean"] != record["mean"]:
            return record["status"] if record["status"] in ("n/a", "failed", "not yet") else BLANK
        text = f"{record['mean']:.{measure.places}f}"
        lost = _lost(spec, stored, row, pair)
        text += "" if lost is None else f" ({lost:+.{measure.places}f})".replace("-", "−")
        return f"**{text}**" if record["best_group"] else text

    head = ["Method", "Family", *(_title(spec, pair) for pair in spec.pairs)]
    lines = [head, ["---", "---", *("---:" for _ in spec.pairs)]]
    lines += [[row.title, row.family, *(entry(row, pair) for pair in spec.pairs)] for row in spec.rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    said = [f"{measure.title}, the mean over images. Bold: the group of the best of its column (see {spec.name}.md)."]
    if spec.against:
        said.append(f"In brackets: the difference to {_title(spec, _reference(spec))}, over the same images.")
    return [write_text(spec.folder / f"{spec.name}-matrix.md", f"# {spec.title}\n\n{' '.join(said)}\n\n{table}\n")]


def _of(df: pd.DataFrame, heading: str) -> list[dict[str, Any]]:
    own: Any = df[(df["metric"] == heading) & (df["status"] != "published")]
    return own.to_dict("records")


def _lost(spec: TableSpec, stored: images.Rows, row: Row, pair: tuple[str, str]) -> float | None:
    """The mean difference to the problem that the others are held against, over the images that both have."""
    if not spec.against or pair == _reference(spec) or pair[0] != _reference(spec)[0]:
        return None
    keys = [(*pair, row.name), (*_reference(spec), row.name)]
    if not all(key in stored for key in keys):
        return None
    own, reference = (images.values(stored[key], row.column(spec.measures[0])) for key in keys)
    d = (own - reference).dropna()
    return float(d.mean()) if len(d) else None


def _reference(spec: TableSpec) -> tuple[str, str]:
    return next(pair for pair in spec.pairs if pair[1] == spec.against)


def _title(spec: TableSpec, pair: tuple[str, str]) -> str:
    title = spec.tasks[pair[1]].title or spec.setting(*pair).degradation.get("title", pair[1])
    return title if len({p[0] for p in spec.pairs}) == 1 else f"{title}, {spec.setting(*pair).source['name']}"
