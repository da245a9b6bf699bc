"""What a degradation does, as a picture: the truth, the measurement as a person would look at it, and A^+ y."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.metrics import align, as_image
from sipbench.operators.base import LinearOperator
from sipbench.problem import Problem


def show(cell: Cell, path: Path) -> Path:
    """Draw the cell's images, a row each, into a PNG file."""
    bench = Bench.of(unsolved(cell), check=False)
    problem = bench.pose(cell.images)
    truth = bench.truth(cell.images, problem)
    panels = [("truth", look(truth.x))] if truth is not None else []
    panels.append(("measurement", problem.f.picture(problem.y)))
    if truth is not None and truth.theta is not None and "kernel" in truth.theta:
        k = truth.theta["kernel"]
        panels.append(("kernel", k / k.flatten(1).amax(1).view(-1, 1, 1, 1)))
    if isinstance(problem.f, LinearOperator):
        name = "A⁺y" if problem.f.exact_pinv else "A⁺y, about"
        panels.append((name, look(_aligned(problem.f.pinv(problem.y), truth, problem))))
    with store.plainly(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.land(path, draw(panels))
    return path


def look(x: Tensor) -> Tensor:
    """An image as intensities in [0, 1]; a complex one as its magnitude beside its phase."""
    if x.shape[1] != 2:
        return ((x + 1) / 2).clamp(0, 1)
    turn = torch.atan2(x[:, 1:], x[:, :1]) / (2 * torch.pi) + 0.5
    return torch.cat([(as_image(x) + 1) / 2, turn], -1).clamp(0, 1)


def draw(panels: list[tuple[str, Tensor]]) -> bytes:
    """Columns of pictures (B, 1 or 3, h, w) in [0, 1] as one PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = len(panels[0][1])
    figure = Figure(figsize=(2.4 * len(panels), 2.5 * rows), layout="tight")
    FigureCanvasAgg(figure)
    for column, (title, pictures) in enumerate(panels):
        for row, picture in enumerate(pictures.detach().cpu().float()):
            axes: Any = figure.add_subplot(rows, len(panels), row * len(panels) + column + 1)
            axes.imshow(picture.permute(1, 2, 0).expand(-1, -1, 3).numpy(), interpolation="nearest")
            axes.set_title(f"{title} {tuple(picture.shape[-2:])}", fontsize=8)
            axes.set_axis_off()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _aligned(x_hat: Tensor, truth: Any, problem: Problem) -> Tensor:
    return x_hat if truth is None else align(x_hat, truth.x.to(x_hat), problem.f.symmetries, problem.f.margin)


def unsolved(cell: Cell) -> Cell:
    """The cell without what only a solver needs, so that nothing heavy is loaded to look at its problem."""
    method = cell.cfg["method"] | {"needs": [], "networks": {}}
    return replace(cell, cfg=cell.cfg | {"method": method, "prior": None})
