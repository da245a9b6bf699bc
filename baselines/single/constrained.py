"""Constrained reconstruction: as simple as the data allow, and no further from the data than their noise.

Ju Sun: AI4Science: Striking the Best Data-Knowledge Tradeoff (slides, April 2024), "by hard constraints".
V. Morozov: On the solution of functional equations by the method of regularization, Soviet Math. Doklady 1966.
F. Curtis, T. Mitchell, M. Overton: A BFGS-SQP method for nonsmooth, nonconvex, constrained optimization, OMS 2017.
B. Liang, T. Mitchell, J. Sun: NCVX, 2021, https://arxiv.org/abs/2111.13984
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from baselines.common.linear import cg
from baselines.common.losses import Penalty, penalty
from baselines.optimisers.constrained import Statement, Unknown, by_multipliers, by_sqp, certify
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input
from sipbench.operators import LinearOperator
from sipbench.problem import Estimate, Problem


def constrained(
    problem: Problem,
    *,
    way: Literal["penalty", "increasing", "augmented", "sqp"] = "sqp",
    unknown: Literal["free", "network"] = "free",
    regulariser: Penalty = "tv",
    tau: float = 1.0,
    iterations: int = 2000,
    lr: float = 0.01,
    rho: float = 1.0,
    growth: float = 2.0,
    inner: int = 50,
    mu: float = 1.0,
    history: int = 50,
    tolerance: float = 1e-3,
    radius: float = 1e-3,
    points: int = 30,
    input_channels: int = 32,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (4,) * 5,
    upsample: str | Sequence[str] = "bilinear",
) -> Estimate:
    """min R(x) subject to RMS(y - f(x)) <= tau sigma and -1 <= x <= 1, over x itself or over the x = G_theta(z).

    One evaluation of R and f an iteration, with one backward pass (sqp: two). The slides fold the box into a second
    constraint; here it holds exactly at every step, which leaves one: a network's output lies in it, Adam's iterates
    are projected onto it, and SQP's are x = sin u (folding took twice the time to a higher objective).

    Args:
        way: penalty (quadratic, of fixed weight `rho`), increasing (`rho` grows by `growth` every `inner` iterations),
            augmented (with a multiplier besides): all three by Adam with step `lr`. sqp: BFGS-SQP with `history` pairs
            on the exact penalty mu R + max(c, 0), until it is stationary to `tolerance`; always in float64.
        unknown: free, or network: an hourglass of `channels`, `skip`, `upsample` with a fixed z of `input_channels`.
        regulariser: R: none, tv or l1_l2.
        radius, points: how far from the estimate and how often its certificate looks.
    """
    rng, dtype = problem.rng, torch.float64 if way == "sqp" else problem.y.dtype
    statement = Statement(problem, penalty(regulariser), tau * problem.sigma, dtype)
    if unknown == "free":
        x = start(problem, dtype)
        sought = Unknown([x], lambda: x, free=True)
    else:
        z = fixed_input("uniform", rng, input_channels, problem.shape[2:], dtype)
        sizes = {"channels": channels, "skip": skip, "upsample": upsample}
        G = Hourglass(rng.child("theta").portable, input_channels, problem.shape[1], **sizes, dtype=dtype)
        sought = Unknown(list(G.parameters()), lambda: 2 * G(z) - 1, free=False)

    if way == "sqp":
        options = {"mu": mu, "history": history, "tolerance": tolerance, "radius": radius}
        options |= {"rounded": None if regulariser == "none" else partial(penalty, regulariser)}
        stopped = by_sqp(statement, sought, iterations=iterations, **options)
    else:
        options = {"lr": lr, "rho": rho, "growth": 1.0 if way == "penalty" else growth, "inner": inner}
        stopped = by_multipliers(statement, sought, iterations=iterations, **options, dual=way == "augmented")
    certificate = certify(statement, sought, radius=radius, points=points)
    with torch.no_grad():
        x_hat = sought.image().detach().to(problem.y)
    return Estimate(x_hat, stopped=stopped, certificate=certificate)


def start(problem: Problem, dtype: torch.dtype) -> Tensor:
    """Where x begins, in its box: ten steps of conjugate gradients on |y - f(x)|^2; noise where f is not linear."""
    f = problem.f
    if isinstance(f, LinearOperator):
        x = cg(lambda v: f.T(f(v)), f.T(problem.y.to(dtype)), 10)
    else:
        x = 0.1 * problem.rng.child("start").portable.normal(*problem.shape[1:], dtype=dtype)
    return x.clamp(-1, 1).requires_grad_()
