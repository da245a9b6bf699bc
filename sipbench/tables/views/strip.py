"""A strip of pictures: truth, measurement and what each method made of it, a row for each problem.

Truth and estimates are drawn alike: aligned as they are for the score, grey as grey, complex with the phase as hue.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sipbench.bench import packing, store
from sipbench.bench.cell import Cell
from sipbench.bench.rescore import unsolved
from sipbench.bench.run import Bench
from sipbench.bench.score_draws import MEAN
from sipbench.metrics import align
from sipbench.operators.base import Operator
from sipbench.tables.spec import Entry, TableSpec

if TYPE_CHECKING:
    import pandas as pd

Picture = tuple[str, Any]


def write(spec: TableSpec, df: pd.DataFrame, images: int = 2) -> list[Path]:
    """Draw the first images of every measured cell of a table; returns the files written, none if there is nothing."""
    rows = [row for pair in spec.pairs for row in _rows(spec, *pair, images)]
    if not any(len(row) > 2 for row in rows):
        return []
    path = spec.folder / f"{spec.name}.png"
    return [store.write_whole(path, _draw(rows))]


def _rows(spec: TableSpec, dataset: str, degradation: str, images: int) -> Iterator[list[Picture]]:
    entries = [e for e in spec.entries() if (e.dataset, e.degradation) == (dataset, degradation) and e.cell]
    first = next((entry.cell for entry in entries), None)
    if first is None:
        return
    for image in first.images[:images]:
        bench = Bench.of(unsolved(first), check=False)
        problem = bench.pose([image])
        truth = bench.truth([image], problem)
        x = None if truth is None else truth.x
        y = problem.f.picture(problem.y)[0]
        shown = [picture for entry in entries if (picture := _picture(entry, image, x, problem.f)) is not None]
        yield [(f"truth ({degradation})", pixels(y if x is None else x[0])), ("measurement", pixels(2 * y - 1)), *shown]


def _picture(entry: Entry, image: int, x: Tensor | None, f: Operator) -> Picture | None:
    """What a row made of an image, aligned with the truth as it is for the score, under its name and its PSNR."""
    cell, part = entry.cell, entry.row.part
    assert cell is not None
    x_hat = returned(cell, image, part)
    if x_hat is None:
        return None
    column = f"{part}_psnr" if part else "psnr"
    rows = store.read(cell.folder, ["image", column])
    psnr = rows.set_index("image")[column].get(image, float("nan")) if column in rows else float("nan")
    own = x_hat if x is None else align(x_hat, x, f.symmetries, f.margin)
    return f"{entry.row.title} {_db(psnr)}", pixels(own[0])


def returned(cell: Cell, image: int, part: str) -> Tensor | None:
    """What a cell returned for an image, (1, C, H, W); of a part what a probe chose, or the mean of the draws."""
    content = store.kept(cell, [image]).get(image)
    return None if content is None else unpacked(content, part)


def unpacked(content: bytes, part: str) -> Tensor | None:
    """The same, of what is kept of an image."""
    if not part:
        return packing.unpacked(content).x
    if part in (chosen := packing.unpacked_chosen(content)):
        return chosen[part].float()
    if f"{part}_" != MEAN:
        return None
    samples = packing.unpacked(content).samples
    return packing.moments(content)[0] if samples is None else samples.mean(1)


def pixels(x: Tensor) -> Any:
    """An image (C, H, W) for looking at, (H, W, 3) in bytes: grey as grey; of a complex one the phase as hue."""
    if len(x) == 2:
        return _complex(x)
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).expand(-1, -1, 3).cpu().numpy()


def _complex(x: Tensor) -> Any:
    """Magnitude as brightness, up to 1, and phase as hue: red is 0."""
    from matplotlib.colors import hsv_to_rgb

    z = torch.complex(x[0].double(), x[1].double()).cpu()
    hue, ones = (z.angle() / (2 * torch.pi)) % 1, torch.ones(z.shape, dtype=torch.float64)
    rgb = hsv_to_rgb(torch.stack([hue, ones, z.abs().clamp(max=1)], -1).numpy())
    return (rgb * 255).round().astype(np.uint8)


def _db(psnr: float) -> str:
    return f"{psnr:.1f} dB" if psnr == psnr else ""


def _draw(rows: list[list[Picture]]) -> bytes:
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
