"""Ensemble Kalman diffusion guidance (EnKG).

Zheng, Chu, Wang, Kovachki, Baptista, Yue: Ensemble Kalman Diffusion Guidance: A Derivative-free Method for Inverse
Problems, TMLR 2025, https://arxiv.org/abs/2409.20175
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.diffusion.sampling import Level, ddim, descend, level
from sipbench.priors.base import Prior
from sipbench.problem import Estimate, Problem


@torch.no_grad()
def enkg(
    problem: Problem,
    *,
    steps: int = 80,
    num_samples: int = 2048,
    num_updates: int = 2,
    guidance: float = 2.0,
    lr_min_ratio: float = 0.0,
    threshold_start: float = 0.05,
    threshold_end: float = 0.05,
    factor: int = 4,
    sigma_max: float = 80.0,
    sigma_min: float = 0.002,
    rho: float = 7.0,
    batch_size: int = 64,
) -> Estimate:
    """J particles an image go down the probability flow together; in between, their spread stands for a derivative:

        C_ij = <f(xh_i) - y, f(xh_j) - mean_k f(xh_k)> / J
        x_i <- x_i - guidance / |C|_F  sum_j C_ij (x_j - mean_k x_k)            `num_updates` times a step

    where xh_i is particle i brought down to the image by a short flow of its own. f is only evaluated, one particle of
    each image at a time. No correction in the first and last `threshold` of the steps. The estimate is the mean of the
    particles; they are the samples. Cost: J (steps + num_updates sum_i k_i) evaluations,
    k_i = min(1 + (steps - i) // factor, 20) over the corrected steps i. More: docs/notes/enkg.md.

    Args:
        steps: number of noise levels, spaced as in Karras et al. (2022) between those that the prior knows.
        num_samples: J, the number of particles.
        num_updates: corrections a step.
        guidance: their length.
        lr_min_ratio: above 0, the length falls: guidance (1 - ratio) (1 - i / steps) + ratio.
        threshold_start, threshold_end: the shares of the steps without correction.
        factor: how soon the flow to the image gets shorter.
        sigma_max, sigma_min, rho: the noise levels sigma / alpha, and their spacing.
        batch_size: how many particles are denoised at once; it changes nothing but memory.
    """
    y, f, prior = problem.y, problem.f, problem.prior
    first, last = (_known(prior, sigma) for sigma in (sigma_max, sigma_min))
    times = _grid(prior, first, last, steps, rho)
    x = level(problem, times[0]).sigma * problem.rng.portable.normal(num_samples, *prior.shape, dtype=y.dtype)
    for i, (now, then) in enumerate(descend(problem, times)):
        if threshold_start * steps < i < steps - int(threshold_end * steps):
            grid = _grid(prior, now.S, last, min(1 + (steps - i) // factor, 20), rho)
            path = [level(problem, t) for t in grid]
            falling = guidance * (1 - lr_min_ratio) * (1 - i / steps) + lr_min_ratio
            for _ in range(num_updates):
                guess = x
                for here, there in zip(path, path[1:], strict=False):
                    guess = ddim(guess, _denoise(prior, guess, here, batch_size), here, there)
                f_x = torch.stack([f(guess[:, j]) for j in range(num_samples)], 1).flatten(2)
                C = (f_x - y.flatten(1)[:, None]) @ (f_x - f_x.mean(1, keepdim=True)).mT / num_samples
                C = C / torch.linalg.matrix_norm(C, keepdim=True).clamp(min=torch.finfo(C.dtype).tiny)
                move = (C @ (x - x.mean(1, keepdim=True)).flatten(2)).view_as(x)
                x = x - (falling if lr_min_ratio > 0 else guidance) * move
        x_hat = _denoise(prior, x, now, batch_size)
        problem.show(x_hat.mean(1))
        x = ddim(x, x_hat, now, then)
    return Estimate(x.mean(1), samples=x)


def _denoise(prior: Prior, x: Tensor, at: Level, batch_size: int) -> Tensor:
    """E[x | x_t] of all particles (B, J, ...)."""
    return torch.cat([prior.denoise(part, at.t) for part in x.flatten(0, 1).split(batch_size)]).view_as(x)


def _known(prior: Prior, sigma: float) -> Tensor:
    """The noise level sigma / alpha nearest to this that the prior knows."""
    t = prior.time_at(torch.tensor(sigma, dtype=torch.float64, device="cpu"))
    return Level(t, *prior.scales(t)).S


def _grid(prior: Prior, first: Tensor, last: Tensor, n: int, rho: float) -> Tensor:
    """The times of n noise levels from the first to the last, evenly spaced in their rho-th root, and 0."""
    share = torch.arange(n, dtype=torch.float64, device="cpu") / max(n - 1, 1)
    levels = torch.lerp(first ** (1 / rho), last ** (1 / rho), share) ** rho
    return torch.cat([prior.time_at(levels), levels.new_zeros(1)])
