"""Total generalised variation of second order: piecewise affine where total variation is piecewise constant.

Bredies, Kunisch, Pock: Total Generalized Variation, SIAM Journal on Imaging Sciences 2010. Minimised as in
`baselines.classical.primal_dual`.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from baselines.classical.gradient import SECOND_ORDER, gradient, gradient_T, symmetrised, symmetrised_T
from baselines.classical.primal_dual import Data, minimise
from baselines.classical.tv import dual_axes, mixed_norm, project
from baselines.classical.weights import weight
from sipbench.problem import Estimate, Problem


@torch.no_grad()
def tgv(
    problem: Problem,
    *,
    c: float | None = 5.0,
    lam: float = 0.02,
    alpha0: float = 2.0,
    alpha1: float = 1.0,
    channels: Literal["joint", "separate"] = "joint",
    box: bool = False,
    iterations: int = 1000,
    tolerance: float = 1e-5,
    rho: float = 1.9,
    scale: float = 0.1,
) -> Estimate:
    """min_{x,w} |A x - y|^2 / 2 + lambda (alpha1 |grad x - w| + alpha0 |E w|),   lambda = c sigma^2, or lam

    where w is a field of slopes, E w its symmetrised derivative, and |.| sums Euclidean (Frobenius) lengths over the
    pixels, taken over the channels together (joint) or apart (separate). A plane costs nothing; for a large alpha0 it
    is alpha1 lambda TV but for planes. The paper leaves the weights open; alpha0 = 2 alpha1 is customary. Cost: one A
    and A^T an iteration. Beside public codes: docs/notes/tgv.md.

    Args:
        c, lam, channels, box, iterations, tolerance, rho: as for `tv`.
        alpha0: weight of the second derivative.
        alpha1: weight of the first one.
        scale: how far x is from its start, about; balances the steps: sigma = lambda alpha1 / (scale |K|).
    """
    over = dual_axes(True, channels)
    data = Data(problem, box)
    strength = weight(problem, c, lam)
    z = torch.stack([data.start, *torch.zeros_like(gradient(data.start)).unbind(1)], 1)
    u = K(torch.zeros_like(z))

    def onto(u: Tensor) -> Tensor:
        project(u[:, :2], alpha1 * strength, over)
        project(u[:, 2:], alpha0 * strength, over)
        return u

    def penalty(z: Tensor) -> Tensor:
        u = K(z)
        return strength * (alpha1 * mixed_norm(u[:, :2], over) + alpha0 * mixed_norm(u[:, 2:], over))

    return minimise(
        data,
        z,
        u,
        K=K,
        K_T=K_T,
        bound=SECOND_ORDER,
        project=onto,
        penalty=penalty,
        sigma=max(alpha1 * strength, 1e-8) / (scale * math.sqrt(SECOND_ORDER)),
        rho=rho,
        iterations=iterations,
        tolerance=tolerance,
    )


def K(z: Tensor) -> Tensor:
    """(x, w) -> (grad x - w, E w): (B, 3, C, H, W) to (B, 5, C, H, W)."""
    x, w = z[:, 0], z[:, 1:]
    return torch.cat([gradient(x).sub_(w), symmetrised(w)], 1)


def K_T(u: Tensor) -> Tensor:
    """The adjoint of K, for fields without differences across the border."""
    p, q = u[:, :2], u[:, 2:]
    return torch.cat([gradient_T(p)[:, None], symmetrised_T(q).sub_(p)], 1)
