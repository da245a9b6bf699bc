"""FlowChef: steering rectified flows.

Patel, Wen, Metaxas, Yang: FlowChef: Steering Rectified Flow Models for Controlled Generations, ICCV 2025,
https://arxiv.org/abs/2412.00100
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from baselines.diffusion.flowdps import residual_of, shifted
from baselines.diffusion.sampling import ddim, descend, level, start
from sipbench.problem import Problem


@torch.no_grad()
def flowchef(
    problem: Problem,
    *,
    steps: int = 200,
    gradient_scale: float = 500.0,
    loss: Literal["mse", "norm"] = "mse",
    residual: Literal["plain", "pinv", "adjoint"] = "plain",
    shift: float = 1.0,
) -> Tensor:
    """Euler steps along the flow, each moved down the gradient of the error of the image that it points to:

        x0  = E[x | x_t]
        x_s = alpha_s x0 + sigma_s (x_t - alpha_t x0) / sigma_t
              - (alpha_s + sigma_s) gradient_scale grad_{x0} L(decode(x0))      (not in the last step)

    L is mean((y - f(x))^2) over the entries of y, or the norm. The network is not differentiated. A straight path has
    alpha + sigma = 1; every other prior is the flow x_t / (alpha + sigma), on which this is the same. Cost: `steps`
    evaluations and passes through the decoder. More: docs/notes/flowchef.md.

    Args:
        steps: number of sampling steps.
        gradient_scale: step size; for mse, of images of 64 pixels (the mean takes 1 / their number off the gradient).
        loss: mse or norm.
        residual: plain; or pinv, A^+ (y - f(x)), or adjoint, A^T (y - f(x)), in place of y - f(x).
        shift: s > 1 spends more steps near the noise: evenly spaced v give the flow's times s v / (1 + (s - 1) v).
    """
    prior, fit = problem.prior, residual_of(problem, residual)
    times = shifted(prior, steps, shift)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_0 = prior.denoise(x_t, now.t)
        x_t = ddim(x_t, x_0, now, then)
        if then.sigma > 0:
            with torch.enable_grad():
                x_0 = x_0.detach().requires_grad_()
                image = prior.decode(x_0)
                error = fit(image).square().mean(1) if loss == "mse" else fit(image).norm(dim=1)
                (gradient,) = torch.autograd.grad(error.sum(), x_0)
            x_t = x_t - (then.alpha + then.sigma) * gradient_scale * gradient
            problem.show(image.detach(), loss=error.detach())
    return prior.decode(x_t)
