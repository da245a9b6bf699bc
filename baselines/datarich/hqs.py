"""Half-quadratic splitting with a denoiser (DPIR).

Zhang, Li, Zuo, Zhang, Van Gool, Timofte: Plug-and-Play Image Restoration with Deep Denoiser Prior, IEEE TPAMI 2022,
https://arxiv.org/abs/2008.13751
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.common.linear import conditioning
from baselines.datarich.denoisers import Name, denoiser_of, noise_of, of_255, spaced
from sipbench.problem import Problem


@torch.no_grad()
def hqs(
    problem: Problem,
    *,
    net: nn.Module | None = None,
    denoiser: Name = "prior",
    iterations: int = 8,
    lam: float = 0.23,
    sigma_1: float = 49.0,
    sigma_K: float | None = None,
) -> Tensor:
    """A data step and a denoising at each of the levels sigma_1 > ... > sigma_K, whose ratios are even:

        x = argmin_x |A x - y|^2 + rho |x - z|^2,   rho = lam sigma_n^2 / sigma^2
        z = D(x, sigma)

    It starts from z = 0, so that the first x is a damped least squares. The data step is exact where A has a singular
    value decomposition, else by conjugate gradients. Returns z. Cost: `iterations` denoisings. More: docs/notes/pnp.md.

    Args:
        net: a denoiser that was trained, for `network`.
        denoiser: prior, the diffusion prior at sigma; network, `net`; bm3d; or tv, total variation.
        iterations: number of levels; published are 8 for deblurring and 24 for super-resolution.
        lam: weight of the denoiser.
        sigma_1: the first level, out of 255.
        sigma_K: the last one, or sigma_n, the noise of y, where that is larger; None takes sigma_n.
    """
    y, f, sigma_n = problem.y, problem.linear, noise_of(problem)
    D, gain, z = denoiser_of(problem, denoiser, net), conditioning(f, y.dtype), y.new_zeros(problem.shape)
    last = sigma_n if sigma_K is None else max(of_255(sigma_K), sigma_n)
    sigmas = spaced(of_255(sigma_1), last, iterations)
    for k in problem.steps(iterations):
        rho = lam * sigma_n**2 / sigmas[k] ** 2
        z = D(z + gain(y - f(z), 1.0, rho), sigmas[k])
        problem.show(z)
    return z
