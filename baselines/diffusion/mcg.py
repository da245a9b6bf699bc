"""The manifold constrained gradient (MCG).

Chung, Sim, Ryu, Ye: Improving Diffusion Models for Inverse Problems using Manifold Constraints, NeurIPS 2022,
https://arxiv.org/abs/2206.00941
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.diffusion.sampling import ddim, descend, level, start
from sipbench.operators import LinearOperator
from sipbench.problem import Problem


def mcg(
    problem: Problem, *, steps: int = 1000, zeta: float = 1.0, clip: bool = True, measurement_noise: bool = False
) -> Tensor:
    """Ancestral sampling, corrected along a gradient and then projected onto the noised measurement:

        x'  ~ q(x_s | x_t, x_hat) - zeta g,    g = grad_{x_t} || A^+ (y - A x_hat) ||,    x_hat = E[x | x_t]
        x_s = x' - A^+ A x' + A^+ y_s,         y_s = alpha_s y + sigma_s A z

    For inpainting A^+ is the mask, and this is the official code, whose g is masked where the projection overwrites it
    anyway; it noises y to the level of x_t, here it has that of x_s, which it joins. The norm is not squared and is one
    per image. As A^+ A projects orthogonally, its gradient in x_hat is -r / || r || with r = A^+ (y - A x_hat): A^+
    is not differentiated. The tables of the DPS family take the norm without A^+ and draw the noise of y_s white
    in the measurement, sigma_s z, which is the same only if A A^T = 1 and else ruins deblurring (`measurement_noise`);
    in their public code all projections but that of super-resolution have their arguments swapped.
    Cost: `steps` evaluations, each with one backward pass.

    Args:
        steps: number of sampling steps.
        zeta: step size of the gradient.
        clip: clip x_hat to [-1, 1], as published; turn off for data without that range.
        measurement_noise: draw the noise of y_s white in the measurement.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    assert prior is not None and isinstance(f, LinearOperator)
    times = prior.times(steps)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        with torch.enable_grad():
            x_t.requires_grad_()
            x_hat = prior.denoise(x_t, now.t)
            x_hat = x_hat.clamp(-1, 1) if clip else x_hat
        with torch.no_grad():
            r = f.pinv(y - f(x_hat))
            norm = r.flatten(1).norm(dim=1)
            slope = -r / norm.clamp(min=torch.finfo(r.dtype).tiny).view(-1, *[1] * (r.ndim - 1))
        (gradient,) = torch.autograd.grad(x_hat, x_t, slope)

        with torch.no_grad():
            x_t = ddim(x_t, x_hat, now, then, rng.normal_like(x_t)) - zeta * gradient
            z = rng.normal_like(y) if measurement_noise else f(rng.normal_like(x_t))
            x_t = x_t + f.pinv(then.alpha * y + then.sigma * z - f(x_t))
            problem.show(x_hat.detach(), loss=norm)
    return x_t
