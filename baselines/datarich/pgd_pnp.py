"""Plug-and-play proximal gradients.

Kamilov, Mansour, Wohlberg: A Plug-and-Play Priors Approach for Solving Nonlinear Imaging Inverse Problems, IEEE SPL
2017, https://doi.org/10.1109/LSP.2017.2763583
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from baselines.common.algebra import each
from baselines.datarich.denoisers import Name, denoiser_of, norms, of_255, spaced
from sipbench.problem import Problem


@torch.no_grad()
def pgd_pnp(
    problem: Problem,
    *,
    net: nn.Module | None = None,
    denoiser: Name = "prior",
    iterations: int = 100,
    gamma: float = 1.0,
    sigma: float = 5.0,
    sigma_1: float | None = None,
    momentum: bool = False,
) -> Tensor:
    """A gradient step on |A x - y|^2 / 2 and a denoising for the proximal step:

        x_k = D(s - gamma A^T (A s - y) / |A|^2, sigma)
        s   = x_k + (t_{k-1} - 1) / t_k (x_k - x_{k-1}),   t_k = (1 + sqrt(1 + 4 t_{k-1}^2)) / 2

    with s = x_k without momentum. sigma is the same throughout, or comes down to it from sigma_1 in even ratios. It
    starts from A^T y / |A|^2. Cost: one A, A^T and denoising an iteration. More: docs/notes/pnp.md.

    Args:
        net: a denoiser that was trained, for `network`.
        denoiser: prior, the diffusion prior at sigma; network, `net`; bm3d; or tv, total variation.
        iterations: number of iterations.
        gamma: step size, in units of 1 / |A|^2.
        sigma: the denoiser's noise level, out of 255.
        sigma_1: the first one, where it is to fall.
        momentum: FISTA's.
    """
    y, f, D = problem.y, problem.linear, denoiser_of(problem, denoiser, net)
    x = f.T(y)
    L = each(norms(problem).square(), x)
    x = s = x / L
    t, sigmas = 1.0, spaced(of_255(sigma if sigma_1 is None else sigma_1), of_255(sigma), iterations)
    for k in problem.steps(iterations):
        new = D(s - gamma * f.T(f(s) - y) / L, sigmas[k])
        t, before = (1 + math.sqrt(1 + 4 * t * t)) / 2, t
        x, s = new, new + (before - 1) / t * (new - x) if momentum else new
        problem.show(x)
    return x
