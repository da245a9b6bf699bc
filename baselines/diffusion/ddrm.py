"""Denoising diffusion restoration models (DDRM).

Kawar, Elad, Ermon, Song: Denoising Diffusion Restoration Models, NeurIPS 2022, https://arxiv.org/abs/2201.11793
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.diffusion.sampling import Level, descend, level, start
from sipbench.operators.base import invert
from sipbench.priors.schedules import Spacing
from sipbench.problem import Problem


@torch.no_grad()
def ddrm(
    problem: Problem,
    *,
    steps: int = 20,
    eta: float | None = 0.85,
    eta_b: float = 1.0,
    cutoff: float = 0.03,
    spacing: Spacing = "even",
) -> Tensor:
    """A diffusion in the spectral coordinates of A = U diag(d) V^T, each one told y once it is the noisier of the two.

    With S = sigma / alpha, x_bar = V^T x / alpha, y_bar = U^T y / d (noise sigma_y / d) and h = V^T E[x | x_t], a step
    from S_t to S is, with e the noise predicted in x_bar and z fresh,

        d = 0              x_bar = h + S (sqrt(1 - eta^2) e + eta z)
        S < sigma_y / d    x_bar = h + S (sqrt(1 - eta^2) (y_bar - h) d / sigma_y + eta z)
        otherwise          x_bar = (1 - eta_b) h + eta_b y_bar + sqrt(S^2 - (eta_b sigma_y / d)^2) z

    from x_bar = y_bar + sqrt(S_T^2 - (sigma_y / d)^2) z where that is possible, else S_T z. eta = None (not published)
    keeps what the diffusion itself keeps: 1 - eta^2 = (S / L)^2, with L the level of what the step starts from: S_t, or
    sigma_y / d in the one step that passes it. Cost: `steps` evaluations. More: docs/notes/ddrm.md.

    Args:
        steps: number of sampling steps.
        eta: the share of fresh noise where x_t is less noisy than y, or y says nothing.
        eta_b: the weight of y where x_t is the noisier one.
        cutoff: singular values of A below it count as zero; 0.03 is the public code's for blurs.
        spacing: the times, `even`, or `leading` as in the public code.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    svd, sigma_y = f.svd(y.dtype), problem.sigma
    assert svd is not None
    d, Uty, inverse = svd.s, svd.Ut(y), invert(svd.s, cutoff)
    told, floor, y_bar = inverse > 0, sigma_y * inverse, inverse * Uty
    times = prior.times(steps, spacing)
    first = level(problem, times[0])
    x_t = start(problem, first)
    S = first.S
    w = svd.Vt(x_t / first.alpha)
    known = y_bar + (1 - (floor / S) ** 2).clamp(min=0).sqrt() * w
    x_t = x_t + first.alpha * svd.V(torch.where(told & (floor < S), known - w, 0.0))
    for now, then in descend(problem, times):
        S_t, S = now.S, then.S
        x_hat, z = prior.denoise(x_t, now.t), rng.normal_like(x_t)
        kept, fresh = shares(now, then, eta)
        x = x_hat + S * (kept * (x_t - now.alpha * x_hat) / now.sigma + fresh * z)
        x_bar, h, z = svd.Vt(x), svd.Vt(x_hat), svd.Vt(z)

        if eta is None:  # the noise in y_bar is at the level sigma_y / d
            kept = (S * d / max(sigma_y, 1e-30)).clamp(max=1)
            fresh = (1 - kept**2).sqrt()
        below = h + S * (kept * (Uty - d * h) / max(sigma_y, 1e-30) + fresh * z)
        below = torch.where(floor > S_t, x_bar, below) if eta is None else below
        above = (1 - eta_b) * h + eta_b * y_bar + (S**2 - (eta_b * floor) ** 2).clamp(min=0).sqrt() * z
        x = x + svd.V(torch.where(told, torch.where(floor > S, below, above) - x_bar, 0.0))
        x_t = then.alpha * x
        problem.show(x_hat)
    return x_t


def shares(now: Level, then: Level, eta: float | None) -> tuple[Tensor | float, Tensor | float]:
    """What the next level's noise is made of: (kept, fresh), with squares that sum to 1; None is DDPM's own step."""
    if eta is not None:
        return (1 - eta**2) ** 0.5, eta
    kept = now.alpha * then.sigma / (then.alpha * now.sigma)
    return kept, (1 - kept**2).sqrt()
