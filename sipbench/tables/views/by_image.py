"""The scores image by image: NAME-images.csv, which `kept=true` reads again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.safety.text import csv
from sipbench.tables import images, kept
from sipbench.tables.measures import COSTS
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-images.csv; nothing where nothing is stored yet."""
    found = frame(spec)
    return [write_text(kept.beside(spec.folder, spec.name), csv(found, digits=None))] if len(found) else []


def frame(spec: TableSpec) -> pd.DataFrame:
    """A line a problem, row, seed and image, in the table's order."""
    import pandas as pd

    stored, seen, frames = images.stored(spec), set[tuple[str, str]](), []
    for entry in spec.entries():
        for cell in entry.cells:
            rows = stored[entry.key]
            own = rows[rows["seed"] == cell.seed]
            if len(own) and (cell.hash, entry.row.name) not in seen:  # the same for every value of a sweep
                seen.add((cell.hash, entry.row.name))
                own = own if "cell" in own else own.assign(cell=cell.hash)
                names = {"dataset": entry.dataset, "degradation": entry.degradation, "method": entry.row.name}
                columns = [entry.row.column(m, own) for m in (*spec.measures, *COSTS)]
                best = [f"oracle_{column}" for column in columns]
                frames.append(kept.laid(own.assign(**names, asked=cell.asked), [*columns, *best]))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*kept.NAMES, *kept.KEYS])
