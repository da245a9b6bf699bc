"""DMPlug: the whole reverse process as one generator, inverted like that of a GAN.

Wang, Zhang, Li, Wan, Chen, Sun: DMPlug: A Plug-in Method for Solving Inverse Problems with Diffusion Models,
NeurIPS 2024, https://arxiv.org/abs/2405.16749
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from baselines.common.algebra import where
from baselines.common.stopping import Stop
from baselines.diffusion.sampling import Level, clipped, ddim, level
from baselines.optimisers.lbfgs import LBFGS
from sipbench.operators.base import BlindOperator
from sipbench.priors.schedules import named
from sipbench.problem import Estimate, Problem

Step = Callable[[Tensor, Sequence[Tensor]], Tensor]


def dmplug(
    problem: Problem,
    *,
    iterations: int = 5000,
    steps: int = 3,
    optimizer: Literal["adam", "lbfgs"] = "adam",
    lr: float = 0.01,
    lrk: float = 0.1,
    lrt: float = 1e-7,
    history: int = 100,
    line_search: bool = False,
    stop: Stop = Stop("fixed", window=50, patience=300),  # noqa: B008
    clip: bool = True,
    checkpointing: bool = False,
) -> Estimate:
    """min over Z of mean_i (y - f(R(Z)))_i^2, where R is a deterministic sampler (DDIM) of 3 steps, from Z ~ N(0, I).

        R: x <- alpha_s x_hat + sigma_s e,   x_hat = E[x | x_t],   e = (x - alpha_t x_hat) / sigma_t

    With x_hat clipped before e is formed. Of the 1000 times 999 ... 0 of the linear schedule R visits 666, 333 and 0,
    with Z at 666; other schedules are given Z scaled at the same noise levels. What f leaves open is found together
    with Z: a kernel as the softmax of logits from N(0, 1), a tilt map from 0.01 N(0, 1).

    The iterate to return is chosen by `stop`. Cost: `steps` evaluations an iteration, each with one backward pass.
    More: docs/notes/dmplug.md.

    Args:
        optimizer: adam, or lbfgs, one vector of all unknowns with the step `lr`.
        lr: step size for Z; lrk: for the logits of the kernel; lrt: for the tilt map.
        history, line_search: of L-BFGS; each trial of its line search is an iteration.
        stop: when to stop, and which iterate to return.
        clip: clip x_hat to [-1, 1], as published; turn off for data without that range.
        checkpointing: compute each step's activations again in the backward pass: memory for one step, twice the
            evaluations.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng.portable
    levels = grid(problem, steps)
    Z = rng.normal(*prior.shape, dtype=y.dtype).requires_grad_()
    hidden = open_parts(problem)
    rates = {"kernel": lrk, "tilt": lrt}
    unknowns, rate = [Z, *hidden.values()], [lr, *(rates.get(name, lrk) for name in hidden)]
    take = minimiser(optimizer, unknowns, rate, history, line_search)

    x = torch.zeros(problem.shape, dtype=y.dtype, device=y.device)
    theta = {name: part.detach() for name, part in constrained(hidden).items()}
    misfit, stopper = y.new_full((len(y),), torch.inf), stop(x, problem.rng)
    for k in problem.steps(iterations):
        with torch.enable_grad():
            x_hat, theta_hat = generate(problem, Z, levels, clip, checkpointing), constrained(hidden)
            y_hat = f(x_hat, theta_hat) if f.blind else f(x_hat)
            loss = (y_hat - y).square().flatten(1).mean(1)
            gradients = torch.autograd.grad(loss.sum(), unknowns)
        accepted = take(loss.detach(), gradients)

        x, misfit = where(accepted, x_hat.detach(), x), torch.where(accepted, loss.detach(), misfit)
        theta = {name: where(accepted, part.detach(), theta[name]) for name, part in theta_hat.items()}
        problem.show(x, loss=misfit)
        stopper.update(k, x, loss=misfit, theta=theta)
        if k % 20 == 0 and stopper.done:
            break
    return Estimate(stopper.best, theta=(stopper.theta or theta) if f.blind else None, stopped=stopper.stopped)


def grid(problem: Problem, steps: int) -> list[Level]:
    """The noise levels of every (1000 // steps)-th time of the linear schedule, the lowest first in it, then none."""
    if not 1 <= steps <= 1000:
        raise ValueError(f"DMPlug's generator has 1 to 1000 steps, not {steps}")
    index = torch.arange(steps - 1, -1, -1, dtype=torch.float64, device="cpu") * (1000 // steps)
    alpha, sigma = named("vp").scales((index + 1) / 1000)
    times = [problem.prior.time_at(ratio) for ratio in sigma / alpha]
    return [level(problem, t) for t in (*times, index.new_zeros(()))]


def generate(problem: Problem, Z: Tensor, levels: list[Level], clip: bool, checkpointing: bool) -> Tensor:
    """R(Z): deterministic steps from the first level to the last."""
    prior = problem.prior

    def step(x: Tensor, now: Level, then: Level) -> Tensor:
        return ddim(x, clipped(prior.denoise(x, now.t), clip), now, then)

    x = levels[0].size * Z
    for now, then in pairwise(levels):
        if checkpointing:
            x = checkpoint(step, x, now, then, use_reentrant=False, preserve_rng_state=False)
            assert isinstance(x, Tensor)
        else:
            x = step(x, now, then)
    return x


def open_parts(problem: Problem) -> dict[str, Tensor]:
    """What stands for theta in the optimisation: logits for a kernel, the map itself for a tilt."""
    f = problem.f
    if not isinstance(f, BlindOperator):
        return {}
    parts = {}
    for name, shape in f.theta_shapes.items():
        z = problem.rng.child(name).portable.normal(*shape, dtype=problem.y.dtype)
        parts[name] = (z if name == "kernel" else 0.01 * z).requires_grad_()
    return parts


def constrained(hidden: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """theta: a kernel is not negative and sums to one."""
    return {name: v.flatten(1).softmax(1).view_as(v) if name == "kernel" else v.clone() for name, v in hidden.items()}


def minimiser(name: str, unknowns: list[Tensor], rate: list[float], history: int, line_search: bool) -> Step:
    """A step that moves the unknowns, by their losses (B,) and gradients; it says which images' points it accepted."""
    if name == "lbfgs":
        return LBFGS(unknowns, lr=rate[0], history=history, line_search=line_search).step
    adam = torch.optim.Adam([{"params": [v], "lr": r} for v, r in zip(unknowns, rate, strict=True)])

    def take(loss: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        for v, g in zip(unknowns, gradients, strict=True):
            v.grad = g
        adam.step()
        return torch.ones_like(loss, dtype=torch.bool)

    return take
