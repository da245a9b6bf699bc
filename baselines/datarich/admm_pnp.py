"""Plug-and-play ADMM.

Venkatakrishnan, Bouman, Wohlberg: Plug-and-Play Priors for Model Based Reconstruction, GlobalSIP 2013;
Chan, Wang, Elgendy: Plug-and-Play ADMM for Image Restoration: Fixed-Point Convergence and Applications, IEEE TCI 2017,
https://arxiv.org/abs/1605.01710
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from baselines.common.algebra import each, norm
from baselines.common.linear import conditioning
from baselines.datarich.denoisers import Name, denoiser_of, noise_of
from sipbench.problem import Problem


@torch.no_grad()
def admm_pnp(
    problem: Problem,
    *,
    net: nn.Module | None = None,
    denoiser: Name = "prior",
    iterations: int = 50,
    lam: float = 1.0,
    rho: float = 0.0001,
    gamma: float = 1.1,
    rule: Literal["monotone", "adaptive"] = "monotone",
    eta: float = 0.95,
) -> Tensor:
    """ADMM for min_x |A x - y|^2 / (2 sigma_n^2) + lam g(x), with a denoiser for the proximal step of g:

        x = argmin_x |A x - y|^2 + rho |x - (v - u)|^2
        v = D(x + u, sigma),   sigma = sigma_n sqrt(lam / rho)
        u = u + x - v

    and rho grows by gamma, so that sigma falls: always (monotone), or where the iterates' change did not fall below eta
    of the last one (adaptive). gamma = 1 keeps both, as in the paper of 2013. It starts from v = u = 0, so that
    the first x is a damped least squares. The data step is exact where A has a singular value decomposition, else by
    conjugate gradients. Returns v. Cost: one denoising an iteration. More: docs/notes/pnp.md.

    Args:
        net: a denoiser that was trained, for `network`.
        denoiser: prior, the diffusion prior at sigma; network, `net`; bm3d; or tv, total variation.
        iterations: number of iterations.
        lam: weight of g, in the units of sigma_n^2.
        rho: the penalty at the start.
        gamma: by what it grows.
        rule: monotone or adaptive, each image by itself.
        eta: of the adaptive rule.
    """
    y, f, sigma_n = problem.y, problem.linear, noise_of(problem)
    D, gain = denoiser_of(problem, denoiser, net), conditioning(f, y.dtype)
    x = v = u = y.new_zeros(problem.shape)
    rhos, change = y.new_full((len(y),), rho, dtype=torch.float64), y.new_full((len(y),), torch.inf)
    for _ in problem.steps(iterations):
        old, last, z = (x, v, u), change, v - u
        x = z + gain(y - f(z), 1.0, each(rhos.to(y.dtype), y))
        v = D(x + u, sigma_n * (lam / rhos).sqrt())
        u = u + x - v
        problem.show(v)
        change = torch.stack([norm(b - a) for a, b in zip(old, (x, v, u), strict=True)]).sum(0)
        rhos = rhos * (gamma if rule == "monotone" else torch.where(change >= eta * last, gamma, 1.0))
    return v
