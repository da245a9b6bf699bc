"""A table as Markdown, LaTeX, or text for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import TYPE_CHECKING

from sipbench.safety.text import line as one_line
from sipbench.safety.text import markdown, table_row
from sipbench.tables import latex
from sipbench.tables.latex import escape
from sipbench.tables.sheets import Sheet, Value, sheets
from sipbench.tables.spec import TableSpec
from sipbench.tables.wording import heading, published, remarks, setting

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType
    from rich.table import Table


def render_markdown(spec: TableSpec, df: pd.DataFrame) -> str:
    """What the numbers mean, a section a (dataset, degradation), what is not there."""
    parts = [f"# {markdown(spec.title)}", _bullets(heading(spec, df))]
    for sheet in sheets(spec, df):
        parts += [f"## {markdown(sheet.title)}", _markdown_table(sheet)]
    if lines := remarks(spec, df):
        parts.append(_bullets(lines))
    return "\n\n".join(parts) + "\n"


def render_latex(spec: TableSpec, df: pd.DataFrame) -> str:
    r"""A `table` a (dataset, degradation), for \input into a document with \usepackage{booktabs,graphicx}."""
    said = [spec.title, *heading(spec, df), *remarks(spec, df)]
    return latex.page(said, [_latex_table(spec, sheet) for sheet in sheets(spec, df)])


def render_text(spec: TableSpec, df: pd.DataFrame) -> RenderableType:
    """For `rich.console.Console().print`: measured scores, and apart from them the oracle and the published numbers."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [Text(one_line(spec.title), style="bold")]
    for sheet in sheets(spec, df):
        parts += [Text(f"\n{one_line(sheet.title)}"), _text_table(sheet.part(measured=True), "measured")]
        parts += [_text_table(sheet.part(measured=False), "beside: not scores of the methods as measured here")]
    legend = (
        "In brackets the 95 % interval of the paired difference to the best; bold: all that these images cannot "
        f"separate from the best. {_of_shares(spec, one_line, '95 %')}".rstrip()
    )
    lines = [setting(spec, df), legend, *([published(spec)] if spec.published.values else []), *remarks(spec, df)]
    return Group(*parts, *(Text(f"• {one_line(said)}") for said in lines))


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {markdown(line)}" for line in lines)


def _markdown_table(sheet: Sheet) -> str:
    head = ["Method", "Family", *(" ".join(c.heading) for c in sheet.columns)]
    lines = [head, ["---", "---", *("---:" for _ in sheet.columns)]]
    for i, row in enumerate(sheet.rows):
        values = [column.values[i] for column in sheet.columns]
        lines.append([row.title, row.family, *(f"**{v.text}**" if v.best else v.text for v in values)])
    return "\n".join(map(table_row, lines))


def _latex_table(spec: TableSpec, sheet: Sheet) -> str:
    percent = "95\\,\\%"
    caption = (
        f"{escape(spec.title)}. {escape(sheet.title)}. Measured: mean, and in brackets the {percent} interval "
        "of the paired difference to the best; bold: all that the "
        f"images cannot separate from the best. {_of_shares(spec, escape, percent)}"
        "Oracle: the best along the way, picked with the truth in hand. "
        + (
            f"Published: copied from {escape(spec.published.source)}; not measured here."
            if spec.published.values
            else ""
        )
    )
    return latex.float_(caption, [_tabular(sheet.part(measured=True)), _tabular(sheet.part(measured=False))])


def _of_shares(spec: TableSpec, written: Callable[[str], str], percent: str) -> str:
    shares = [written(m.heading) for m in spec.measures if m.proportion]
    return f"{', '.join(shares)}: a share, in brackets Wilson's {percent} interval. " if shares else ""


def _tabular(sheet: Sheet) -> str:
    head = " & ".join(["Method", *(latex.stack(c.heading) for c in sheet.columns)])
    lines = [
        (row, [escape(row.title), *(_latex(c.values[i]) for c in sheet.columns)]) for i, row in enumerate(sheet.rows)
    ]
    groups = [[cells for _, cells in group] for _, group in groupby(lines, key=lambda one: one[0].family)]
    return latex.tabular(f"l{'r' * len(sheet.columns)}", [f"{head} \\\\"], groups)


def _latex(value: Value) -> str:
    return rf"\textbf{{{escape(value.text)}}}" if value.best else escape(value.text)


def _text_table(sheet: Sheet, caption: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=caption, title_justify="left", title_style="dim", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.pad_edge = False
    table.add_column("Method")
    for column in sheet.columns:
        table.add_column("\n".join(column.heading), justify="right")
    for i, row in enumerate(sheet.rows):
        ends = i + 1 == len(sheet.rows) or sheet.rows[i + 1].family != row.family
        values = [Text(c.values[i].text.replace(", ", ","), style="bold" * c.values[i].best) for c in sheet.columns]
        table.add_row(Text(one_line(row.title)), *values, end_section=ends)
    return table
