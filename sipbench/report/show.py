"""What a degradation does, as a picture: the truth, the measurement as a person would look at it, and A^+ y."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.rescore import unsolved
from sipbench.bench.run import Bench
from sipbench.errors import UserError
from sipbench.metrics import align, as_image
from sipbench.operators.base import LinearOperator
from sipbench.problem import Problem
from sipbench.report import figures

SIDE, PAD = 2.4, 0.3  # inches of a picture, and of what is left free beside it
MOST = 100  # rows, one an image: matplotlib draws no picture of more than 65,535 pixels, and is slow long before


def show(cell: Cell, path: Path, word: str = "results") -> Path:
    """Draw the cell's images, a row each, into a PNG file; `word` is what chose its folder."""
    with configs.in_a_line(f"the degradation {cell.names[1]}"):
        panels = _panels(cell)
    return store.write_whole(path, draw(panels), word)


def _panels(cell: Cell) -> list[tuple[str, Tensor]]:
    """What the picture has of each image: a title and the pictures in [0, 1]."""
    bench = Bench.of(unsolved(cell), check=False)
    problem = bench.pose(cell.images)
    truth = bench.truth(cell.images, problem)
    panels = [("truth", look(truth.x))] if truth is not None else []
    panels.append(("measurement", problem.f.picture(problem.y)))
    if truth is not None and truth.theta is not None and "kernel" in truth.theta:
        panels.append(("kernel", kernel(truth.theta["kernel"])))
    if isinstance(problem.f, LinearOperator):
        name = "A⁺y" if problem.f.exact_pinv else "A⁺y, about"
        panels.append((name, look(aligned(problem.f.pinv(problem.y), truth, problem))))
    return panels


def look(x: Tensor) -> Tensor:
    """An image as intensities in [0, 1]; a complex one as its magnitude beside its phase."""
    if x.shape[1] != 2:
        return ((x + 1) / 2).clamp(0, 1)
    turn = torch.atan2(x[:, 1:], x[:, :1]) / (2 * torch.pi) + 0.5
    return torch.cat([(as_image(x) + 1) / 2, turn], -1).clamp(0, 1)


def draw(panels: Sequence[tuple[str, Iterable[Tensor]]]) -> bytes:
    """Columns of pictures (1 or 3, h, w) in [0, 1] as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = [(title, list(pictures)) for title, pictures in panels]
    rows = len(columns[0][1])
    if rows > MOST:
        raise UserError(
            f"{rows} images are too many for one picture: images={MOST} at most, or some, as in images=[0,5]"
        )
    figure = Figure(figsize=(SIDE * len(panels), 2.5 * rows), layout="tight")
    FigureCanvasAgg(figure)
    for column, (title, pictures) in enumerate(columns):
        for row, picture in enumerate(pictures):
            axes: Any = figure.add_subplot(rows, len(panels), row * len(panels) + column + 1)
            pixels = picture.detach().cpu().float().permute(1, 2, 0).expand(-1, -1, 3)
            axes.imshow(pixels.numpy(), interpolation="nearest")
            figures.fit(axes.set_title(f"{title} {tuple(picture.shape[-2:])}", fontsize=8), figure, SIDE - PAD)
            axes.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def kernel(k: Tensor) -> Tensor:
    """Kernels (B, 1, h, w) in [0, 1], each with its largest value white."""
    return (k / k.flatten(1).amax(1).clamp_min(1e-12).view(-1, 1, 1, 1)).clamp(0, 1)


def aligned(x_hat: Tensor, truth: Any, problem: Problem) -> Tensor:
    """An estimate aligned with the truth over the symmetries of f, where there is a truth."""
    return x_hat if truth is None else align(x_hat, truth.x.to(x_hat), problem.f.symmetries, problem.f.margin)
