"""The leaderboard as Markdown, CSV, LaTeX, JSON and one HTML page; all but what is below the table by its own views."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.leaderboard.board import Board, Found, Gathered, findings
from sipbench.report.page import save
from sipbench.report.page.model import Listing
from sipbench.safety.text import csv, line, markdown
from sipbench.tables.page import Collected, collected, together
from sipbench.tables.page.find import Found as Shown
from sipbench.tables.render import render_markdown
from sipbench.tables.sheets import records
from sipbench.tables.views import grid, pairs

if TYPE_CHECKING:
    import pandas as pd

LIMIT = 20.0  # MiB of the page


def write(board: Board, df: pd.DataFrame, gathered: Gathered) -> list[Path]:
    """All files, in the board's folder."""
    by = {one.cell.hash: one.by for one in gathered.taken}
    shown = df.assign(by=[" + ".join(dict.fromkeys(by[h] for h in str(c).split() if h in by)) for c in df["cell"]])
    tables = [grid.write(board, df), pairs.write(board, df)]
    out, name = board.out, board.name
    return [
        grid.write_text(out / f"{name}.md", page_text(board, df, gathered)),
        grid.write_text(out / f"{name}.csv", csv(shown)),
        grid.write_text(out / f"{name}.json", _json(board, shown, gathered)),
        *(path for paths in tables for path in paths if path.suffix == ".tex" or path.stem != name),
        _page(board, gathered),
    ]


def page_text(board: Board, df: pd.DataFrame, gathered: Gathered) -> str:
    """The table, which of its rows are comparable, and what is not in it and why."""
    parts = [
        render_markdown(board, df),
        "## Comparable\n\n" + "\n".join(f"- {markdown(t)}" for t in comparable(board, df)),
    ]
    for heading, found in findings(gathered):
        if found:
            parts.append(f"## {heading}\n\n" + "\n".join(f"- {markdown(_text(one))}" for one in found))
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def comparable(board: Board, df: pd.DataFrame) -> Iterator[str]:
    """Of each problem the rows that are of the same images, all of them and verified: these are compared."""
    titles = {row.name: row.title for row in board.rows}
    for pair in board.pairs:
        own: Any = df[(df["dataset"] == pair[0]) & (df["degradation"] == pair[1])]
        whole = own[(own["status"] == "ok") & (own["failed"].fillna(0) == 0)]
        names = [titles[name] for name in dict.fromkeys(whole["method"])]
        yield f"{board.problem_title(*pair)}: {', '.join(names) or 'no row'}"


def _text(one: Found) -> str:
    return line(f"{one.by}: {one.cell}: {one.said}")


def _json(board: Board, df: pd.DataFrame, gathered: Gathered) -> str:
    rows = [{k: _plain(v) for k, v in record.items()} for record in records(df)]
    said = {heading.lower().replace(" ", "_"): [asdict(one) for one in found] for heading, found in findings(gathered)}
    content = {"table": board.name, "profile": board.profile, "comparable": list(comparable(board, df)), "rows": rows}
    return json.dumps(content | said, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """As JSON has it: what is no number is nothing, an infinite one is a word."""
    import pandas as pd

    if pd.isna(value):
        return None
    own = value.item() if hasattr(value, "item") else value
    return str(own) if isinstance(own, float) and own in (float("inf"), float("-inf")) else own


def _page(board: Board, gathered: Gathered) -> Path:
    """The report's page of it: the table with all that the page knows of one, and what was handed in beside it."""
    table = collected(Shown(board.name, board.profile, board.title, None, (), board))
    rows = tuple((heading, one.by, one.cell, one.said) for heading, found in findings(gathered) for one in found)
    title = "What was handed in and does not stand in the table, or not alone"
    columns = ("what", "by", "cell", "reason")
    sections: list[Collected | Listing] = [table]
    if rows:
        sections.append(Listing("handed", board.profile, title, "checked here", columns, rows))
    return save(together(f"sipbench: leaderboard of {board.name}", sections, LIMIT), board.out / f"{board.name}.html")
