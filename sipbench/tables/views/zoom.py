"""The strip with an inset: where the methods disagree most, twice as large, and the same place for all of a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sipbench.tables.spec import TableSpec
from sipbench.tables.views.strip import Picture, laid_out, rows

if TYPE_CHECKING:
    import pandas as pd

PART = 5  # the side of the box is this part of the picture's
LARGER = 2.4  # the inset against the box
FRAME = "#F0E442"  # seen on dark and on light

Box = tuple[int, int, int]  # top, left, side


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-zoom.png and .pdf; nothing where nothing is stored."""
    found = rows(spec)
    if not found:
        return []
    boxes = {id(picture): box(row) for row in found for picture in row}

    def one(axes: Any, picture: Picture) -> None:
        axes.imshow(picture.pixels, interpolation="nearest")
        _inset(axes, picture.pixels, boxes[id(picture)])

    return laid_out(found, spec.folder / f"{spec.name}-zoom", one)


def box(row: list[Picture]) -> Box:
    """The square in which the estimates of a row differ most from one another, by the variance summed over it."""
    shape = row[0].pixels.shape
    estimates = [p.pixels.astype(float) for p in row[2:] if p.pixels.shape == shape]
    side = max(2, min(shape[:2]) // PART)
    spread = np.var(estimates, axis=0).sum(-1) if len(estimates) > 1 else np.zeros(shape[:2])
    total = np.pad(spread.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
    return int(top), int(left), side


def _inset(axes: Any, pixels: Any, where: Box) -> None:
    """The box, and what is in it in the corner that is farthest from it; a measurement of another size has none."""
    from matplotlib.patches import Rectangle

    top, left, side = where
    tall, wide = pixels.shape[:2]
    if top + side > tall or left + side > wide:
        return
    axes.add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, ec=FRAME, lw=0.8))
    share = LARGER / PART
    corner = (0.0 if left + side / 2 > wide / 2 else 1 - share, 1 - share if top + side / 2 > tall / 2 else 0.0)
    inset = axes.inset_axes((*corner, share, share))
    inset.imshow(pixels[top : top + side, left : left + side], interpolation="nearest", aspect="auto")
    inset.set(xticks=[], yticks=[])
    for spine in inset.spines.values():
        spine.set(color=FRAME, lw=0.8)
