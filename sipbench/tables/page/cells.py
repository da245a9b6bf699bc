"""What it takes to repeat each cell of a table: from its stored rows, or else from its config alone."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sipbench.bench.cell import Cell
from sipbench.report.page import model
from sipbench.tables import images
from sipbench.tables.place import telling
from sipbench.tables.spec import Entry, TableSpec

if TYPE_CHECKING:
    import pandas as pd

FACTS = (
    *("device", "precision", "batch", "peak_memory_mib", "evaluations", "trained_on", "training_images"),
    *("training_seconds", "protocol", "version_sipbench", "version_torch", "version_diffusers", "version_torchmetrics"),
    *("version_lpips", "python", "commit"),
)
NOT_STORED = "No rows of it are stored here: the numbers are from the table's CSV. Run the command to have the rest."
OTHER = "The configs of today make another cell of it, {}: that is what the command computes."


def told(spec: TableSpec, df: pd.DataFrame, kept: images.Rows) -> Iterator[model.Cell]:
    """One for each cell that the long form names."""
    named: Any = df[df["cell"].fillna("") != ""]
    named = named.drop_duplicates(["dataset", "degradation", "method"])
    entries = {entry.key: entry for entry in spec.planned}
    for record in named.to_dict("records"):
        entry = entries.get((record["dataset"], record["degradation"], record["method"]))
        if entry is None:
            continue
        hashes = str(record["cell"]).split()
        for i, name in enumerate(hashes):
            cell = entry.cells[i] if i < len(entry.cells) else None
            rows = kept.get(entry.key)
            own = None if rows is None or cell is None else rows[rows["seed"] == cell.seed]
            yield _cell(spec, entry, cell, name, own, record)


def _cell(spec: TableSpec, entry: Entry, cell: Cell | None, name: str, rows: Any, record: Mapping[str, Any]) -> Any:
    label = f"{entry.row.title} on {spec.problem_title(entry.dataset, entry.degradation)}"
    if cell is None:
        return model.Cell(name, label, "", NOT_STORED, facts=(("cell", name),))
    label += f", seed {cell.seed}" if len(entry.cells) > 1 else ""
    ready = _hash(cell)
    stored = rows is not None and len(rows) > 0
    note = "" if stored else NOT_STORED if ready == name else f"{NOT_STORED} {OTHER.format(ready or 'not known here')}"
    return model.Cell(
        key=name,
        label=label,
        command=command(spec, entry, cell),
        note=note,
        options=tuple(_options(cell)) if stored or ready == name else (),
        weights=tuple(_weights(cell)) if stored or ready == name else (),
        facts=tuple(_facts(name, cell, rows if stored else None, record)),
        runs=tuple(_runs(rows)) if stored else (),
    )


def command(spec: TableSpec, entry: Entry, cell: Cell) -> str:
    """What computes the cell. Places and devices are left to whoever types it."""
    words = telling(spec.words_of(entry.dataset, entry.degradation, entry.row, cell.seed))
    return shlex.join(["sipbench", *words])


def _hash(cell: Cell) -> str:
    """Its name, or nothing where a file that it is made of is not here."""
    from sipbench.errors import UserError

    try:
        return cell.hash
    except UserError:
        return ""


def _options(cell: Cell) -> Iterator[model.Option]:
    for name, value in cell.options.items():
        origin = cell.origins.get(name, "")
        how = _search(cell, name) if origin == "searched" else ""
        yield model.Option(name, json.dumps(value, sort_keys=True, default=str), origin, how)


def _search(cell: Cell, option: str) -> str:
    """The command that chose an option."""
    task = cell.degradation["name"]
    for search in cell.method.get("chosen") or []:
        if option in (search.get("options") or []) and {task, "all"} & set(search.get("tasks") or []):
            return str(search.get("command") or "")
    return ""


def _weights(cell: Cell) -> Iterator[model.Weight]:
    known = cell.identity["weights"]
    for part, path in cell.weights.items():
        yield model.Weight(part, path.name, known.get(part, ""))


def _facts(name: str, cell: Cell, rows: Any, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Names and values in order; of a value that differs from image to image, all there are."""
    yield "cell", name
    if rows is None:
        yield from ((key, str(record[key])) for key in ("settings", "device") if record[key])
        return
    method = cell.identity["method"]
    yield "solver", f"{method[1]}, code {method[2]}"
    yield "dataset", f"{cell.identity['dataset'][1]}, {cell.split}, {cell.size} pixels, seed {cell.seed}"
    for fact in FACTS:
        if fact in rows:
            values = [_text(value) for value in rows[fact].dropna().unique()]
            if said := " + ".join(value for value in values[:4] if value):
                yield fact.replace("_", " "), said


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _runs(rows: Any) -> Iterator[model.Run]:
    for row in rows.sort_values("image").to_dict("records"):
        y = row.get("y_sha256")
        seconds = row.get("seconds")
        yield model.Run(
            image=str(row.get("image_id") or row["image"]),
            status=str(row["status"]),
            reason=str(row.get("reason") or ""),
            y=y if isinstance(y, str) else "",
            seconds=float("nan") if seconds is None else float(seconds),
        )
