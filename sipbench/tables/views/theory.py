"""What theory says of each sampler beside what was measured of its draws: NAME.md, and the long form as NAME.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.safety.text import counted, csv, markdown, table_row
from sipbench.tables.measures import Measure
from sipbench.tables.sheets import BLANK, Line, Record, records
from sipbench.tables.spec import Row, TableSpec
from sipbench.tables.views.grid import write_text
from sipbench.tables.wording import remarks, setting

if TYPE_CHECKING:
    import pandas as pd

Lines = dict[tuple[str, str, str], Line]
"""By dataset, problem and method."""

KINDS = {
    "samples": "samples the posterior",
    "other": "samples something else",
    "optimises": "only optimises",
}


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME.md and NAME.csv."""
    table = csv(df)
    texts = {"md": render(spec, df), "csv": table}
    return [write_text(spec.folder / f"{spec.name}.{ending}", text) for ending, text in texts.items()]


def render(spec: TableSpec, df: pd.DataFrame) -> str:
    """What the numbers mean, the first measure at a glance, a section a problem, the theory, what is not there."""
    lines: Lines = {}
    for r in records(df):
        lines.setdefault((r["dataset"], r["degradation"], r["method"]), {})[r["metric"]] = r
    first = spec.measures[0]
    parts = [f"# {spec.title}", _bullets(_heading(spec, df)), f"## At a glance: {first.heading}", _glance(spec, lines)]
    for pair in spec.pairs:
        parts += [f"## {_headed(spec, pair, spec.tasks[pair[1]].title or pair[1])}", _sheet(spec, pair, lines)]
    parts += ["## What theory says", _bullets([f"{row.title}: {_said(row)}" for row in spec.rows if row.theory])]
    if absent := remarks(spec, df):
        parts += ["## What is not there", _bullets(absent)]
    return "\n\n".join(parts) + "\n"


def _heading(spec: TableSpec, df: pd.DataFrame) -> list[str]:
    """How the numbers came about and what they mean."""
    cell = spec.setting(*spec.pairs[0])
    return [
        setting(spec, df),
        f"{counted(cell.draws, 'draw')} of each of {counted(len(cell.images), 'measurement')} a problem; mean ± half "
        "width of the 95 % confidence interval of the mean over measurements (Student t).",
        *spec.notes,
    ]


def _headed(spec: TableSpec, pair: tuple[str, str], title: str) -> str:
    """With the dataset, where the table has the problem on several."""
    several = len([dataset for dataset, name in spec.pairs if name == pair[1]]) > 1
    return f"{title}, {pair[0]}" if several else title


def _glance(spec: TableSpec, lines: Lines) -> str:
    """A row a method, a column a problem; bold where theory says that it samples the posterior."""
    table = [["Method", *(_headed(spec, pair, pair[1]) for pair in spec.pairs)], ["---", *("---:" for _ in spec.pairs)]]
    for row in spec.rows:
        values = []
        for dataset, name in spec.pairs:
            record = lines[dataset, name, row.name][spec.measures[0].heading]
            text = _value(record, spec.measures[0])
            values.append(f"**{text}**" if record["n"] and _kind(row, name) == KINDS["samples"] else text)
        table.append([row.title, *values])
    return f"Bold: theory says that it samples the posterior here.\n\n{_table(table)}"


def _sheet(spec: TableSpec, pair: tuple[str, str], lines: Lines) -> str:
    head = ["Method", "In theory it", *(measure.heading for measure in spec.measures)]
    table = [head, ["---", "---", *("---:" for _ in spec.measures)]]
    for row in spec.rows:
        line = lines[(*pair, row.name)]
        values = [_value(line[measure.heading], measure) for measure in spec.measures]
        table.append([row.title, _kind(row, pair[1]), *values])
    return _table(table)


def _kind(row: Row, problem: str) -> str:
    """What theory says that a method does on a problem."""
    if row.theory is None:
        return BLANK
    return KINDS["samples" if problem in row.theory.exact_on else row.theory.does]


def _said(row: Row) -> str:
    assert row.theory is not None
    does, exact = KINDS[row.theory.does], ", ".join(row.theory.exact_on)
    where = f"{KINDS['samples']} ({exact}), elsewhere {does}" if exact else does
    return f"{where}. {row.theory.why}".rstrip()


def _value(record: Record, measure: Measure) -> str:
    """mean ± half width, or why there is none."""
    if not record["n"]:
        return BLANK if record["status"] == "ok" else record["status"]
    mean, ci95 = _fixed(record["mean"], measure.places), record["ci95"]
    return f"{mean} ± {_fixed(ci95, measure.places)}" if ci95 == ci95 else mean


def _fixed(value: float, places: int) -> str:
    """With so many decimals, or as 1e+06 where it is far off."""
    return f"{value:.{places}f}" if abs(value) < 1000 or not places else f"{value:.0e}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(map(table_row, lines))


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)
