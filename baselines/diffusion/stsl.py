"""Second-order Tweedie sampler from a surrogate loss (STSL).

Rout, Chen, Kumar, Caramanis, Shakkottai, Chu: Beyond First-Order Tweedie: Solving Inverse Problems using Latent
Diffusion, CVPR 2024, https://arxiv.org/abs/2312.00852
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.linear import conditioning
from baselines.diffusion.sampling import Level, ddim, descend, level, start
from sipbench.operators import LinearOperator
from sipbench.problem import Problem


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
    term estimates the trace of the Hessian of log p_t by one draw, which is what the second order adds.

    There is no public code. The paper squares the norm with a lam of the order of 1 / sigma_y^2 whose values it gives
    in no readable place; as in PSLD, whose convention it names, the norm here is not squared. It writes A^T for A^+ =
    A^T (A A^T + damping I)^-1. Unconfirmed: whether z_T is drawn, as here, or reached by DDIM run backwards, and the
    step of a gradient, here 1. Cost: (2 K + 1) `steps` evaluations, 2 K of them with a backward pass (the paper counts
    K a step).

    Args:
        K: steps of stochastic averaging at a level.
        lam: weight of the measurement; eta: of the trace, 0 leaves it out and its evaluations with it.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    assert prior is not None and isinstance(f, LinearOperator)
    times = prior.times(steps)
    d = torch.Size(prior.shape).numel()
    with torch.no_grad():
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
                norm = (y - f(x)).flatten(1).norm(dim=1)
                loss = lam * norm
                if eta:
                    e = rng.normal_like(z_t)
                    change = score(z_t + e, prior.denoise(z_t + e, now.t), now) - score(z_t, z_hat, now)
                    loss = loss + eta / d * (e * change).flatten(1).sum(1)
                (gradient,) = torch.autograd.grad(loss.sum(), z_t)
            with torch.no_grad():
                z_t = z_t - gradient
                problem.show(x, loss=norm)

        with torch.no_grad():
            z_t = ddim(z_t, prior.denoise(z_t, now.t), now, then)
    with torch.no_grad():
        return prior.decode(z_t)
