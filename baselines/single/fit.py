"""The loop of every untrained solver: fit a network's parameters to one measurement, and stop in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from baselines.common.algebra import where
from baselines.common.losses import DataLoss, Loss, Penalty, data_loss, penalty
from baselines.common.stopping import Stopper
from sipbench.problem import Estimate, Problem, Rng


def fit(
    problem: Problem,
    G: Callable[[int], Tensor],
    optimiser: torch.optim.Optimizer,
    *,
    iterations: int,
    misfit: Loss,
    stop: Callable[[Tensor, Rng], Stopper],
    ema: float = 0.0,
    schedule: Any = None,
    backtrack: float = 0.0,
    theta: Callable[[], Mapping[str, Tensor]] = dict,
) -> Estimate:
    """Descend sum_i misfit(G(k))_i; what comes back is what `stop` chose among the iterates x^k = G(k).

    Args:
        G: the estimate (B, C, H, W) at iteration k, with its graph.
        misfit: the loss of each image, (B,), penalties included.
        stop: a stopping rule; it is given a tensor like the iterates, and streams.
        ema: weight of the past in the running mean of the iterates, which is then returned in place of x^k.
        schedule: a learning-rate schedule of the optimiser.
        backtrack: by how many dB a loss may rise in one iteration; 0 is any (see `Backtrack`).
        theta: what else belongs to an iterate, such as a kernel; it is kept beside it.
    """
    stopper = stop(problem.y.new_zeros(len(problem.rng), *problem.shape[1:]), problem.rng)
    x_mean, guard = torch.zeros(()), Backtrack(optimiser, backtrack) if backtrack else None
    for k in problem.steps(iterations):
        x_hat = G(k)
        loss = misfit(x_hat)
        optimiser.zero_grad()
        loss.sum().backward()
        if guard is not None:
            guard(loss.detach())
        optimiser.step()
        if schedule is not None:
            schedule.step()

        x_hat, loss = x_hat.detach(), loss.detach()
        x_mean = x_mean.lerp(x_hat, 1 - ema) if k and ema else x_hat
        problem.show(x_mean, loss=loss)
        stopper.update(k, x_hat, x_mean, loss=loss, theta=theta())
        if k % 20 == 0 and stopper.done:
            break
    return Estimate(stopper.best, theta=stopper.theta or None, stopped=stopper.stopped)


def weights(G: nn.Module) -> dict[str, Tensor]:
    """What belongs to an iterate where its network, not its image, makes the estimate: as `theta` of `fit`."""
    return dict(G.named_parameters())


@torch.no_grad()
def afresh(estimate: Estimate, G: nn.Module, image: Callable[[], Tensor]) -> Estimate:
    """The image that G makes with the `weights` that were kept: those after the step of the iterate that was chosen.

    Without an iteration they are the first ones.
    """
    kept = estimate.theta or {}
    for name, parameter in G.named_parameters():
        parameter.copy_(kept.get(name, parameter))
    return Estimate(image(), stopped=estimate.stopped)


class Backtrack:
    """Parameters go back to those of the last good iteration where a loss rises by more than so many dB above its loss.

    Adam's spikes are undone so without the truth. Each image's parameters by themselves, the images being their first
    dimension. As in the public code of the deep image prior, the step that was due is then taken from there.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, decibels: float) -> None:
        self.parameters = [p for group in optimiser.param_groups for p in group["params"]]
        self.kept = [p.detach().clone() for p in self.parameters]
        self.rise = 10 ** (decibels / 10)
        self.last: Tensor | None = None

    @torch.no_grad()
    def __call__(self, loss: Tensor) -> None:
        """Judge the loss of the parameters as they are, (B,)."""
        last = torch.full_like(loss, torch.inf) if self.last is None else self.last
        fallen = loss > self.rise * last
        for parameter, kept in zip(self.parameters, self.kept, strict=True):
            parameter.copy_(where(fallen, kept, parameter))
            kept.copy_(parameter)
        self.last = torch.where(fallen, last, loss)


def objective(
    problem: Problem,
    loss: DataLoss,
    regulariser: Penalty = "none",
    lam: float = 0.0,
    delta: float = 0.1,
    *,
    bypass_f: bool = False,
    masked: bool = True,
) -> Loss:
    """loss(y - f(x)) + lam R(x) of each image; with `bypass_f`, loss(y - x) + lam R(x).

    Entries that are not measured are left out unless `masked` is off; those that are count as parts of them all.
    """
    data, R = data_loss(loss, delta), penalty(regulariser)
    f = (lambda x: x) if bypass_f else problem.f

    def residual(x: Tensor) -> Tensor:
        r = f(x) - problem.y
        return measured(problem, r) if masked and not bypass_f else r

    return lambda x: data(residual(x)) + lam * R(x) if lam else data(residual(x))


def measured(problem: Problem, r: Tensor) -> Tensor:
    """A residual without the entries of y that say nothing."""
    return r if problem.f.valid is None else r * problem.f.valid.to(r.dtype)
