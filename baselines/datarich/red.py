"""Regularisation by denoising (RED).

Romano, Elad, Milanfar: The Little Engine That Could: Regularization by Denoising (RED), SIAM Journal on Imaging
Sciences 2017, https://arxiv.org/abs/1611.02862
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from baselines.common.algebra import each
from baselines.common.linear import conditioning
from baselines.datarich.denoisers import Name, denoiser_of, noise_of, norms, of_255, spaced
from sipbench.problem import Problem


@torch.no_grad()
def red(
    problem: Problem,
    *,
    net: nn.Module | None = None,
    denoiser: Name = "prior",
    rule: Literal["fixed_point", "steepest_descent"] = "fixed_point",
    iterations: int = 200,
    lam: float = 0.02,
    sigma_f: float = 3.25,
    sigma_1: float | None = None,
) -> Tensor:
    """min_x |A x - y|^2 / (2 sigma_n^2) + lam x^T (x - D(x)) / 2, whose gradient has the residual of the denoiser:

        fixed point:       (A^T A / sigma_n^2 + lam) x_k = A^T y / sigma_n^2 + lam D(x)
        steepest descent:  x_k = x - mu (A^T (A x - y) / sigma_n^2 + lam (x - D(x))),
                           mu = 2 / (|A|^2 / sigma_n^2 + lam)

    as if D had a symmetric Jacobian. sigma_f is the same throughout, or comes down to it from sigma_1 in even ratios.
    It starts from A^T y / |A|^2. The fixed point's system is solved exactly where A has a singular value decomposition,
    else by conjugate gradients. Cost: one denoising an iteration. More: docs/notes/pnp.md.

    Args:
        net: a denoiser that was trained, for `network`.
        denoiser: prior, the diffusion prior at sigma_f; network, `net`; bm3d; or tv, total variation.
        rule: fixed_point or steepest_descent, which takes many more iterations.
        iterations: number of iterations; published are 200 and 1500.
        lam: the weight, for intensities out of 255.
        sigma_f: the denoiser's noise level, out of 255.
        sigma_1: the first one, where it is to fall.
    """
    y, f, variance = problem.y, problem.linear, noise_of(problem) ** 2
    D, gain, weight = denoiser_of(problem, denoiser, net), conditioning(f, y.dtype), lam / of_255(1.0) ** 2
    x = f.T(y)
    L = each(norms(problem).square(), x)
    x, mu = x / L, 2 / (L / variance + weight)
    sigmas = spaced(of_255(sigma_f if sigma_1 is None else sigma_1), of_255(sigma_f), iterations)
    for k in problem.steps(iterations):
        v = D(x, sigmas[k])
        if rule == "fixed_point":
            x = v + gain(y - f(v), 1.0, weight * variance)
        else:
            x = x - mu * (f.T(f(x) - y) / variance + weight * (x - v))
        problem.show(x)
    return x
