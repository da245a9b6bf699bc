"""DMPlug: the whole reverse process as one generator, inverted like that of a GAN.

Wang, Zhang, Li, Wan, Chen, Sun: DMPlug: A Plug-in Method for Solving Inverse Problems with Diffusion Models,
NeurIPS 2024, https://arxiv.org/abs/2405.16749
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from baselines.common.stopping import make_stopper
from baselines.diffusion.sampling import Level, ddim, level
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
    optimizer: str = "adam",
    lr: float = 0.01,
    lrk: float = 0.1,
    lrt: float = 1e-7,
    history: int = 100,
    line_search: bool = False,
    stopping: str = "fixed",
    window: int = 50,
    patience: int = 300,
    alpha: float = 0.1,
    clip: bool = True,
    checkpointing: bool = False,
) -> Estimate:
    """min over Z of mean_i (y - f(R(Z)))_i^2, where R is a deterministic sampler (DDIM) of 3 steps, from Z ~ N(0, I).

        R: x <- alpha_s x_hat + sigma_s e,   x_hat = E[x | x_t],   e = (x - alpha_t x_hat) / sigma_t

    With x_hat clipped before e is formed. Of the 1000 times 999 ... 0 of the linear schedule R visits 666, 333 and 0,
    with Z at 666; other schedules are given Z scaled at the same noise levels. What f leaves open is found together
    with Z: a kernel as the softmax of logits from N(0, 1), a tilt map from 0.01 N(0, 1).

    The public code returns the best iterate by each metric with the truth in hand; here `stopping` chooses it from the
    iterates alone (the paper's choice is wmv; its window and patience are in no public code). Cost: `steps`
    evaluations an iteration, each with one backward pass.

    Args:
        optimizer: adam, or lbfgs, one vector of all unknowns with the step `lr`. The public code runs 300 rounds of 20
            iterations without line search; its tolerances, which end a round early, are left out.
        lr: step size for Z; lrk: for the logits of the kernel; lrt: for the tilt map.
        history, line_search: of L-BFGS; each trial of its line search is an iteration.
        window, patience, alpha: of the stopping rule.
        clip: clip x_hat to [-1, 1], as published; turn off for data without that range.
        checkpointing: compute each step's activations again in the backward pass: memory for one step, twice the
            evaluations.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng.portable
    assert prior is not None
    levels = grid(problem, steps)
    Z = rng.normal(*prior.shape, dtype=y.dtype).requires_grad_()
    hidden = open_parts(problem)
    rates = {"kernel": lrk, "tilt": lrt}
    unknowns, rate = [Z, *hidden.values()], [lr, *(rates.get(name, lrk) for name in hidden)]
    take = minimiser(optimizer, unknowns, rate, history, line_search)

    x = torch.zeros(problem.shape, dtype=y.dtype, device=y.device)
    theta = {name: part.detach() for name, part in constrained(hidden).items()}
    best = dict(theta)
    stopper = make_stopper(stopping, x, window=window, patience=patience, alpha=alpha)
    for k in problem.steps(iterations):
        with torch.enable_grad():
            x_hat, theta_hat = generate(problem, Z, levels, clip, checkpointing), constrained(hidden)
            y_hat = f(x_hat, theta_hat) if f.blind else f(x_hat)
            loss = (y_hat - y).square().flatten(1).mean(1)
            gradients = torch.autograd.grad(loss.sum(), unknowns)
        accepted = take(loss.detach(), gradients)

        x = where(accepted, x_hat.detach(), x)
        theta = {name: where(accepted, part.detach(), theta[name]) for name, part in theta_hat.items()}
        problem.show(x, loss=loss.detach())
        stopper.update(k, x)
        best = {name: where(stopper.stopped == k, part, best[name]) for name, part in theta.items()}
        if k % 20 == 0 and stopper.done:
            break
    return Estimate(stopper.best, theta=best if f.blind else None, stopped=stopper.stopped)


def grid(problem: Problem, steps: int) -> list[Level]:
    """The noise levels of every (1000 // steps)-th time of the linear schedule, the lowest first in it, then none."""
    if not 1 <= steps <= 1000:
        raise ValueError(f"DMPlug's generator has 1 to 1000 steps, not {steps}")
    assert problem.prior is not None
    index = torch.arange(steps - 1, -1, -1, dtype=torch.float64, device="cpu") * (1000 // steps)
    alpha, sigma = named("vp").scales((index + 1) / 1000)
    times = [problem.prior.time_at(ratio) for ratio in sigma / alpha]
    return [level(problem, t) for t in (*times, index.new_zeros(()))]


def generate(problem: Problem, Z: Tensor, levels: list[Level], clip: bool, checkpointing: bool) -> Tensor:
    """R(Z): deterministic steps from the first level to the last."""
    prior = problem.prior
    assert prior is not None

    def step(x: Tensor, now: Level, then: Level) -> Tensor:
        x_hat = prior.denoise(x, now.t)
        return ddim(x, x_hat.clamp(-1, 1) if clip else x_hat, now, then)

    x = (levels[0].alpha ** 2 + levels[0].sigma ** 2).sqrt() * Z
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
    if name != "adam":
        raise ValueError(f"unknown optimizer {name!r}: use adam or lbfgs")
    adam = torch.optim.Adam([{"params": [v], "lr": r} for v, r in zip(unknowns, rate, strict=True)])

    def take(loss: Tensor, gradients: Sequence[Tensor]) -> Tensor:
        for v, g in zip(unknowns, gradients, strict=True):
            v.grad = g
        adam.step()
        return torch.ones_like(loss, dtype=torch.bool)

    return take


def where(images: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """The new one of some of the images."""
    return torch.where(images.view(-1, *[1] * (new.ndim - 1)), new, old)
