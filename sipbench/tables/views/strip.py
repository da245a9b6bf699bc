"""A strip of pictures: truth, measurement and what each method made of it, a row for each problem.

Truth and estimates are drawn alike: aligned as they are for the score, grey as grey, complex with the phase as hue.
`zoom` and `errors` draw the same with insets and with error maps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sipbench.bench import packing, store
from sipbench.bench.cell import Cell
from sipbench.bench.rescore import unsolved
from sipbench.bench.run import Bench
from sipbench.bench.score import Truth
from sipbench.bench.score_draws import MEAN
from sipbench.metrics import align
from sipbench.operators.base import Operator
from sipbench.report import figures, palette
from sipbench.tables.spec import Entry, TableSpec

if TYPE_CHECKING:
    import pandas as pd

IMAGES = 2  # of each problem
MOST = 8  # pictures side by side on a page
TITLE, BAR = 0.27, 0.45  # inches of the titles of a line, and of what stands below all
MORE = 0.08  # of each line of a title after its second


@dataclass(frozen=True)
class Picture:
    """A picture under its title. `error` is |x_hat - x|, root mean square over the channels, of an estimate."""

    title: str
    pixels: Any
    family: str = ""
    error: Any = None


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """Draw the first images of every measured cell of a table; returns the files written, none if there is nothing."""
    found = rows(spec)
    return _draw(found, spec.folder / spec.name) if found else []


def rows(spec: TableSpec, images: int = IMAGES) -> list[list[Picture]]:
    """A row for each problem and image: truth, measurement, estimates; nothing where nothing is stored."""
    found = [row for pair in spec.pairs for row in _rows(spec, *pair, images)]
    return [row for row in found if len(row) > 2]


def _rows(spec: TableSpec, dataset: str, degradation: str, images: int) -> Iterator[list[Picture]]:
    entries = [e for e in spec.entries() if (e.dataset, e.degradation) == (dataset, degradation) and e.cell]
    first = next((entry.cell for entry in entries), None)
    if first is None:
        return
    bench = Bench.of(unsolved(first), check=False)
    for image in first.images[:images]:
        problem = bench.pose([image])
        truth = bench.truth([image], problem)
        x = None if truth is None else truth.x
        known = None if truth is None else (truth, problem.f)
        y = problem.f.picture(problem.y)[0]
        shown = [picture for entry in entries if (picture := _picture(entry, image, known)) is not None]
        first = Picture(f"truth\n{spec.tasks[degradation].title or degradation}", pixels(y if x is None else x[0]))
        yield [first, Picture("measurement\n(y)", pixels(2 * y - 1)), *shown]


def _picture(entry: Entry, image: int, known: tuple[Truth, Operator] | None) -> Picture | None:
    """What a row made of an image, aligned with the truth as it is for the score, under its name and its PSNR."""
    cell, part = entry.cell, entry.row.part
    assert cell is not None
    x_hat = returned(cell, image, part)
    if x_hat is None:
        return None
    column = f"{part}_psnr" if part else "psnr"
    stored = store.read(cell.folder, ["image", column])
    psnr = stored.set_index("image")[column].get(image, float("nan")) if column in stored else float("nan")
    if known is None:
        return Picture(f"{entry.row.title}\n{_db(psnr)}", pixels(x_hat[0]), entry.row.family)
    own, x = as_scored(x_hat, *known)
    error = (own - x)[0].square().mean(0).sqrt().cpu().numpy()
    return Picture(f"{entry.row.title}\n{_db(psnr)}", pixels(own[0]), entry.row.family, error)


def as_scored(x_hat: Tensor, truth: Truth, f: Operator) -> tuple[Tensor, Tensor]:
    """The estimate where the score has it, over the symmetries and within the border, and what it is held against."""
    x = truth.like(x_hat)
    return align(x_hat, x, f.symmetries, truth.within(f)), x


def returned(cell: Cell, image: int, part: str) -> Tensor | None:
    """What a cell returned for an image, (1, C, H, W); of a part what a probe chose, or the mean of the draws."""
    content = store.kept(cell, [image]).get(image)
    return None if content is None else store.opened(cell, image, content, partial(unpacked, part=part))


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


def widest(pictures: int) -> int:
    """How many stand side by side where a row has so many: as many lines as it takes, and those about equally long."""
    return -(-pictures // -(-pictures // MOST))


def _draw(found: list[list[Picture]], path: Path) -> list[Path]:
    def one(axes: Any, picture: Picture) -> None:
        axes.imshow(picture.pixels, interpolation="nearest")

    return laid_out(found, path, one)


def laid_out(
    found: list[list[Picture]], path: Path, draw: Callable[[Any, Picture], None], bar: Any = None
) -> list[Path]:
    """Write pictures in rows of at most MOST, each drawn by `draw` under its title in the colour of its family."""
    columns = widest(max(len(row) for row in found))
    lines = [row[at : at + columns] for row in found for at in range(0, len(row), columns)]
    own = palette.colours(picture.family for row in found for picture in row if picture.family)
    side = figures.PAGE / columns
    with figures.figure(figures.PAGE, (side + TITLE) * len(lines) + (BAR if bar else 0)) as figure:
        figure.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0, hspace=0)
        every = figure.subplots(len(lines), columns, squeeze=False)
        for axes in every.flat:
            axes.set_axis_off()
            axes.set_anchor("N")  # its title stays at the top of its place
        height = figure.get_figheight()
        for line, row in zip(lines, every, strict=True):
            most = 2
            for picture, axes in zip(line, row, strict=False):
                draw(axes, picture)
                colour = own.get(picture.family, "black")
                title = axes.set_title(picture.title, fontsize=figures.SMALL, color=colour, pad=2, linespacing=1.1)
                most = max(most, figures.fit(title, figure, side))
            height += (most - 2) * MORE
        figure.set_figheight(height)
        if bar:
            bar(figure, every)
        return figures.write(figure, path)
