"""Tables as files, each landed whole. The same results give the same bytes."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.errors import UserError
from sipbench.tables.render import render_latex, render_markdown
from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame, folder: Path | None = None) -> list[Path]:
    """Write NAME.md, NAME.csv and NAME.tex into a folder: results/PROFILE, unless another is named."""
    folder = spec.folder if folder is None else Path(folder)
    texts = {
        "md": render_markdown(spec, df),
        "csv": df.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        "tex": render_latex(spec, df),
    }
    return [_land(folder / f"{spec.name}.{ending}", text) for ending, text in texts.items()]


def _land(path: Path, text: str) -> Path:
    """Write beside, then rename into place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"the table cannot be written to {path}: {reason}. Choose another with results=...") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
    return path
