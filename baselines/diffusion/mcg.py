"""The manifold constrained gradient (MCG).

Chung, Sim, Ryu, Ye: Improving Diffusion Models for Inverse Problems using Manifold Constraints, NeurIPS 2022,
https://arxiv.org/abs/2206.00941
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.algebra import each, norm
from baselines.common.linear import pseudo_inverse
from baselines.diffusion.sampling import clipped, ddim, descend, level, start
from sipbench.problem import Problem


@torch.no_grad()
def mcg(
    problem: Problem,
    *,
    steps: int = 1000,
    zeta: float = 1.0,
    cutoff: float = 0.03,
    clip: bool = True,
    measurement_noise: bool = False,
) -> Tensor:
    """Ancestral sampling, corrected along a gradient and then projected onto the noised measurement:

        x'  ~ q(x_s | x_t, x_hat) - zeta g,    g = grad_{x_t} || A^+ (y - A x_hat) ||,    x_hat = E[x | x_t]
        x_s = x' - A^+ A x' + A^+ y_s,         y_s = alpha_s y + sigma_s A z

    The norm is not squared. As A^+ A projects orthogonally, its gradient in x_hat is -r / || r || with
    r = A^+ (y - A x_hat): A^+ is not differentiated. zeta is in the units of a variance-preserving state; others are
    scaled as in `dps`. Cost: `steps` evaluations, each with one backward pass. More: docs/notes/mcg.md.

    Args:
        steps: number of sampling steps.
        zeta: step size of the gradient.
        cutoff: singular values of A below it count as zero: see `pseudo_inverse`.
        clip: clip x_hat to [-1, 1], as published; turn off for data without that range.
        measurement_noise: draw the noise of y_s white in the measurement, sigma_s z.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    times, pinv = prior.times(steps), pseudo_inverse(f, y.dtype, cutoff)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        with torch.enable_grad():
            x_t.requires_grad_()
            x_hat = clipped(prior.denoise(x_t, now.t), clip)
        r = pinv(y - f(x_hat))
        misfit = norm(r)
        slope = -r / each(misfit.clamp(min=torch.finfo(r.dtype).tiny), r)
        (gradient,) = torch.autograd.grad(x_hat, x_t, slope)

        x_t = ddim(x_t, x_hat, now, then, rng.normal_like(x_t)) - zeta * now.size * then.size * gradient
        z = rng.normal_like(y) if measurement_noise else f(rng.normal_like(x_t))
        x_t = x_t + pinv(then.alpha * y + then.sigma * z - f(x_t))
        problem.show(x_hat.detach(), loss=misfit)
    return x_t
