"""Pseudo-inverse guided diffusion (PiGDM).

Song, Vahdat, Mardani, Kautz: Pseudoinverse-Guided Diffusion Models for Inverse Problems, ICLR 2023,
https://openreview.net/forum?id=9_gsMA8MRKQ
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from baselines.common.algebra import norm
from baselines.common.linear import conditioning
from baselines.diffusion.sampling import Level, ddim, descend, level, start
from sipbench.problem import Problem

LEAST_SIGMA = 1e-4  # stands for a noise of zero, where A A^T may have no inverse


@torch.no_grad()
def pigdm(
    problem: Problem,
    *,
    steps: int = 100,
    eta: float = 1.0,
    guidance: Literal["code", "paper", "score"] = "code",
    weight: float = 1.0,
    noisy: bool = True,
) -> Tensor:
    """DDIM, guided as if p(x | x_t) were N(x_hat, r^2 I); with P = alpha^2 / (alpha^2 + sigma^2) at each level:

        x_hat = E[x | x_t],   r^2 = 1 - P_t, the variance given x_t of a prior N(0, I)
        g     = r^2 (d x_hat / d x_t)^T A^T (r^2 A A^T + sigma_y^2)^-1 (y - A x_hat)
        x_s   = DDIM(x_t, x_hat; eta) + c g

    c is sqrt(P_t) in the paper and sqrt(P_s P_t) in its authors' later code, where x_t has unit scale: `coefficient`
    brings them to any. The guidance "score" keeps to Bayes' rule: DDIM goes towards
    E[x | x_t, y] = x_hat + sigma_t^2 / (alpha_t r^2) g. Without noise g = (d x_hat / d x_t)^T (A^+ y - A^+ A x_hat).
    Cost: `steps` evaluations, each with one backward pass. More: docs/notes/pigdm.md.

    Args:
        steps: number of sampling steps.
        eta: share of fresh noise; 1 is the ancestral step.
        guidance: code, paper or score.
        weight: a factor on g.
        noisy: False leaves sigma_y out.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    gain, variance = conditioning(f, y.dtype), max(problem.sigma, LEAST_SIGMA) ** 2
    times, y_bar = prior.times(steps), None if noisy else f.pinv(y)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        with torch.enable_grad():
            x_t.requires_grad_()
            x_hat = prior.denoise(x_t, now.t)
        residual, r2 = y - f(x_hat.detach()), now.sigma**2 / (now.alpha**2 + now.sigma**2)
        v = r2 * gain(residual, r2, variance) if y_bar is None else y_bar - f.pinv(f(x_hat.detach()))
        g = weight * torch.autograd.grad(x_hat, x_t, v)[0]

        x_t, x_hat, z = x_t.detach(), x_hat.detach(), rng.normal_like(x_t)
        if guidance == "score":
            x_hat = x_hat + now.sigma**2 / (now.alpha * r2) * g
            x_t = ddim(x_t, x_hat, now, then, z, eta)
        else:
            x_t = ddim(x_t, x_hat, now, then, z, eta) + coefficient(now, then, guidance) * g
        problem.show(x_hat, loss=norm(residual))
    return x_t


def coefficient(now: Level, then: Level, guidance: str) -> Tensor:
    """What g is multiplied with. At unit scale x' = x / n, n^2 = alpha^2 + sigma^2, it is c; here c n_s n_t."""
    return (then.alpha if guidance == "code" else then.size) * now.alpha
