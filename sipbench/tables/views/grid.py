"""Rows and columns: Markdown, CSV and LaTeX, each landed whole. The same results give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.bench import store
from sipbench.safety.text import csv
from sipbench.tables.render import render_latex, render_markdown
from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame, folder: Path | None = None) -> list[Path]:
    """Write NAME.md, NAME.csv and NAME.tex into a folder: results/PROFILE, unless another is named."""
    folder = spec.folder if folder is None else Path(folder)
    texts = {
        "md": render_markdown(spec, df),
        "csv": csv(df),
        "tex": render_latex(spec, df),
    }
    return [write_text(folder / f"{spec.name}.{ending}", text) for ending, text in texts.items()]


def write_text(path: Path, text: str) -> Path:
    """A text file, landed whole."""
    return store.write_whole(path, text.encode())
