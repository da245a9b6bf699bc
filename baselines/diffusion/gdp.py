"""Generative diffusion prior (GDP), with the guidance on x_hat.

Fei, Lyu, Pan, Zhang, Yang, Luo, Zhang, Dai: Generative Diffusion Prior for Unified Image Restoration and Enhancement,
CVPR 2023, https://arxiv.org/abs/2304.01247
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.diffusion.sampling import clipped, ddim, descend, level, start
from sipbench.problem import Problem


@torch.no_grad()
def gdp(problem: Problem, *, steps: int = 1000, scale: float = 2000.0, clip: bool = True) -> Tensor:
    """Ancestral sampling whose mean is moved down the gradient of the error of x_hat, not of the network behind it:

        x_hat = E[x | x_t],   x' ~ q(x_s | x_t, x_hat)
        x_s   = x' - scale grad_{x_hat} mean( ((f(x_hat) - y) / 2)^2 )

    The mean runs over the entries of y and the half stands for images in [0, 1]. The move is in the units of a
    variance-preserving state; others are scaled by sqrt(alpha_s^2 + sigma_s^2). Cost: `steps` evaluations. More:
    docs/notes/gdp.md.

    Args:
        steps: number of sampling steps.
        scale: guidance scale; the gradient is inversely proportional to the number of entries of y.
        clip: clip x_hat to [-1, 1], as published; turn off for data without that range.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    times = prior.times(steps)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_hat = clipped(prior.denoise(x_t, now.t), clip)
        with torch.enable_grad():
            x_hat.requires_grad_()
            mse = ((f(x_hat) - y) / 2).square().flatten(1).mean(1)
            (gradient,) = torch.autograd.grad(mse.sum(), x_hat)
        x_t = ddim(x_t, x_hat, now, then, rng.normal_like(x_t)) - scale * then.size * gradient
        problem.show(x_hat.detach(), loss=mse.detach())
    return x_t
