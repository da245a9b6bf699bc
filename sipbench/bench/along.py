"""Probes of a run: how well each iterate explains y, against what was spent until then; and what a step takes."""

from __future__ import annotations

from torch import Tensor

from sipbench.bench.probe import Seen
from sipbench.metrics import feasibility
from sipbench.problem import Estimate, Problem


class Residuals:
    """`along_residual`, the residual over the noise level, at `along_evaluations` network evaluations of an image.

    What a solver shows is its estimate of the image, not its noisy state. Like the column `residual_ratio`, which the
    last one equals where that is what the solver returned, it is of the true map and the true noise, whatever the
    solver is told of them. A blind map has no residual without a kernel.

    Args:
        every: iterates from one that is looked at to the next.
    """

    def __init__(self, problem: Problem, *, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every is a whole number from 1 on, not {every}")
        if problem.f.blind:
            raise ValueError("a probe of residuals needs a forward map that is told whole")
        self.problem, self.every, self.before = problem, every, _spent(problem)
        self.steps: list[int] = []
        self.spent: list[float] = []
        self.ratios: list[Tensor] = []

    def show(self, k: int, x_hat: Tensor, loss: Tensor | None) -> None:
        if k % self.every:
            return
        _, ratio = feasibility(self.problem, Estimate(x_hat))
        self.steps.append(k)
        self.spent.append((_spent(self.problem) - self.before) / self.problem.shape[0])
        self.ratios.append(ratio.cpu())

    def seen(self, seconds: float) -> Seen:
        """A list of each image; all images of a batch have spent as much."""
        batch = self.problem.shape[0]
        columns = {"along_step": [self.steps] * batch, "along_evaluations": [self.spent] * batch}
        ratios = [[float(ratio[i]) for ratio in self.ratios] for i in range(batch)]
        return Seen(columns={**columns, "along_residual": ratios})


def _spent(problem: Problem) -> float:
    """The evaluations of the prior so far, of all images; 0 where there is none."""
    return float(getattr(problem.prior, "evaluations", 0))


class Clock:
    """`steps`, how many iterates the solver showed, and `seconds_a_step`, its own seconds for each and each image.

    Args:
        batch: the images at a time that the cell is run with: what is measured hangs on it, so it is part of the cell.
    """

    def __init__(self, problem: Problem, *, batch: int) -> None:
        self.images, self.steps = problem.shape[0], 0

    def show(self, k: int, x_hat: Tensor, loss: Tensor | None) -> None:
        self.steps = k + 1

    def seen(self, seconds: float) -> Seen:
        """A solver that shows nothing, one in closed form, took one step."""
        each = seconds / max(self.steps, 1) / self.images
        return Seen(columns={"steps": [self.steps] * self.images, "seconds_a_step": [each] * self.images})
