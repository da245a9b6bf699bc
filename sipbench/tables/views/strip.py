"""A strip of pictures: truth, measurement and what each method made of it, a row for each problem."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.rescore import unsolved
from sipbench.bench.run import Bench
from sipbench.metrics import as_image
from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd


def write(spec: TableSpec, df: pd.DataFrame, images: int = 2) -> list[Path]:
    """Draw the first images of every measured cell of a table; returns the files written, none if there is nothing."""
    rows = [row for pair in spec.pairs for row in _rows(spec, *pair, images)]
    if not any(len(row) > 2 for row in rows):
        return []
    path = spec.folder / f"{spec.name}.png"
    return [store.write_whole(path, _draw(rows))]


def _rows(spec: TableSpec, dataset: str, degradation: str, images: int) -> Iterator[list[tuple[str, Any]]]:
    entries = [e for e in spec.entries() if (e.dataset, e.degradation) == (dataset, degradation) and e.cell]
    kept = {e.row.title: _reconstructions(e.cell, e.row.part) for e in entries if e.cell is not None}
    if not entries or entries[0].cell is None:
        return
    for image in entries[0].cell.images[:images]:
        truth, measured = _problem(entries[0].cell, image)
        shown = [
            (f"{title} {_db(found[image][1])}", found[image][0]) for title, found in kept.items() if image in found
        ]
        yield [(f"truth ({degradation})", truth), ("measurement", measured), *shown]


def _reconstructions(cell: Cell, part: str) -> dict[int, tuple[Any, float]]:
    """The stored pictures of a cell and their PSNR, by image; of a part those of what it chose."""
    from PIL import Image

    if part:
        return _chosen(cell, part)
    rows = store.read(cell.folder, ["image", "png", "psnr"])
    if "png" not in rows:
        return {}
    rows = rows[rows["png"].notna()]
    pictures = [np.asarray(Image.open(io.BytesIO(png))) for png in rows["png"]]
    return dict(zip(rows["image"], zip(pictures, rows["psnr"], strict=True), strict=True))


def _chosen(cell: Cell, part: str) -> dict[int, tuple[Any, float]]:
    """What a probe chose under this name, likewise."""
    rows, kept = store.read(cell.folder, ["image", f"{part}_psnr"]), store.chosen(cell, cell.images)
    psnr = dict(zip(rows["image"], rows[f"{part}_psnr"], strict=True)) if f"{part}_psnr" in rows else {}
    return {i: (_pixels(as_image(found[part].float())[0]), psnr[i]) for i, found in kept.items() if part in found}


def _problem(cell: Cell, image: int) -> tuple[Any, Any]:
    """The truth and the measurement of an image, as pixels."""
    bench = Bench.of(unsolved(cell), check=False)
    problem = bench.pose([image])
    truth = bench.truth([image], problem)
    y = 2 * problem.f.picture(problem.y)[0] - 1
    return _pixels(as_image(truth.x)[0] if truth is not None else y), _pixels(y)


def _pixels(x: Any) -> Any:
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).expand(-1, -1, 3).cpu().numpy()


def _db(psnr: float) -> str:
    return f"{psnr:.1f} dB"


def _draw(rows: list[list[tuple[str, Any]]]) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(len(row) for row in rows)
    figure = Figure(figsize=(1.7 * columns, 1.9 * len(rows)), layout="tight")
    FigureCanvasAgg(figure)
    for i, row in enumerate(rows):
        for j, (title, picture) in enumerate(row):
            axes = figure.add_subplot(len(rows), columns, i * columns + j + 1)
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(title, fontsize=8)
            axes.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
