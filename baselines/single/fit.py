"""The loop of every untrained solver: fit a network's parameters to one measurement, and stop in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

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
    theta: Callable[[], Mapping[str, Tensor]] = dict,
) -> Estimate:
    """Descend sum_i misfit(G(k))_i; what comes back is what `stop` chose among the iterates x^k = G(k).

    Args:
        G: the estimate (B, C, H, W) at iteration k, with its graph.
        misfit: the loss of each image, (B,), penalties included.
        stop: a stopping rule; it is given a tensor like the iterates, and streams.
        ema: weight of the past in the running mean of the iterates, which is then returned in place of x^k.
        schedule: a learning-rate schedule of the optimiser.
        theta: what else belongs to an iterate, such as a kernel; it is kept beside it.
    """
    stopper = stop(problem.y.new_zeros(len(problem.rng), *problem.shape[1:]), problem.rng)
    x_mean = torch.zeros(())
    for k in problem.steps(iterations):
        x_hat = G(k)
        loss = misfit(x_hat)
        optimiser.zero_grad()
        loss.sum().backward()
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


def objective(
    problem: Problem, loss: DataLoss, regulariser: Penalty = "none", lam: float = 0.0, delta: float = 0.1
) -> Loss:
    """loss(y - f(x)) + lam R(x) of each image."""
    data, R = data_loss(loss, delta), penalty(regulariser)
    if not lam:
        return lambda x: data(problem.f(x) - problem.y)
    return lambda x: data(problem.f(x) - problem.y) + lam * R(x)
