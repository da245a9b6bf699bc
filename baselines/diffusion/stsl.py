"""Second-order Tweedie sampler from a surrogate loss (STSL).

Rout, Chen, Kumar, Caramanis, Shakkottai, Chu: Beyond First-Order Tweedie: Solving Inverse Problems using Latent
Diffusion, CVPR 2024, https://arxiv.org/abs/2312.00852
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.algebra import dot, norm
from baselines.common.linear import conditioning
from baselines.diffusion.sampling import Level, ddim, descend, level, start
from sipbench.problem import Problem


@torch.no_grad()
def stsl(
    problem: Problem,
    *,
    steps: int = 50,
    K: int = 5,
    lam: float = 1.0,
    eta: float = 0.02,
    damping: float = 1e-4,
) -> Tensor:
    """K gradient steps on a surrogate loss at each level, then a deterministic DDIM step:

        z_T = alpha_T encode(A^+ y) + sigma_T n
        z_t <- z_t - grad_{z_t} ( lam || y - A decode(z_hat) || + eta / d  e^T (s(z_t + e) - s(z_t)) ),   e ~ N(0, I)

    with z_hat = E[z_0 | z_t], the score s(z) = (alpha E[z_0 | z] - z) / sigma^2, and d the size of a latent. The second
    term estimates the trace of the Hessian of log p_t by one draw, which is what the second order adds. Steps and e are
    in the units of a variance-preserving state; on others e is scaled by n = sqrt(alpha^2 + sigma^2), a step by n^2.

    A^+ = A^T (A A^T + damping I)^-1. There is no public code. Cost: (2 K + 1) `steps` evaluations, 2 K of them with a
    backward pass. More: docs/notes/stsl.md.

    Args:
        K: steps of stochastic averaging at a level.
        lam: weight of the measurement; eta: of the trace, 0 leaves it out and its evaluations with it.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    times = prior.times(steps)
    d = torch.Size(prior.shape).numel()
    first = level(problem, times[0])
    z_t = start(problem, first) + first.alpha * prior.encode(conditioning(f, y.dtype)(y, 1.0, damping))

    def score(z: Tensor, z_hat: Tensor, at: Level) -> Tensor:
        return (at.alpha * z_hat - z) / at.sigma**2

    for now, then in descend(problem, times):
        for _ in range(K):
            with torch.enable_grad():
                z_t.requires_grad_()
                z_hat = prior.denoise(z_t, now.t)
                x = prior.decode(z_hat)
                misfit = norm(y - f(x))
                loss = lam * misfit
                if eta:
                    e = now.size * rng.normal_like(z_t)
                    change = score(z_t + e, prior.denoise(z_t + e, now.t), now) - score(z_t, z_hat, now)
                    loss = loss + eta / d * dot(e, change)
                (gradient,) = torch.autograd.grad(loss.sum(), z_t)
            z_t = z_t - now.size**2 * gradient
            problem.show(x, loss=misfit)

        z_t = ddim(z_t, prior.denoise(z_t, now.t), now, then)
    return prior.decode(z_t)
