"""D-Flow: the initial noise of a flow, optimised through the solver of its differential equation.

Ben-Hamu, Puny, Gat, Karrer, Singer, Lipman: D-Flow: Differentiating through Flows for Controlled Generation,
ICML 2024, https://arxiv.org/abs/2402.14017
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from baselines.common.algebra import norm
from baselines.common.linear import conditioning
from baselines.diffusion.sampling import level
from baselines.optimisers.lbfgs import LBFGS
from sipbench.priors.base import Prior
from sipbench.problem import Problem


@torch.no_grad()
def dflow(
    problem: Problem,
    *,
    iterations: int = 400,
    steps: int = 5,
    lam: float = 0.01,
    alpha: float = 0.1,
    lr: float = 1.0,
    history: int = 100,
    start: Literal["pinv", "adjoint"] = "pinv",
    damping: float = 1e-4,
    checkpointing: bool = False,
) -> Tensor:
    """min over z of | f(T(z)) - y |^2 + lam R(z) by L-BFGS, T the flow from noise to the image in `steps` steps:

        v(u, tau) = (u - E[x | u]) / tau,   u = (1 - tau) x + tau n
        z^0       = sqrt(alpha) T^-1(A^+ y) + sqrt(1 - alpha) n,   n ~ N(0, I)
        T(z)      = the midpoint rule for du / dtau = v from tau = 1 to 0
        R(z)      = | z |^2 / 2 - (d - 1) log | z |, which is least where noise of d pixels has its norm

    Any prior is such a flow, with tau = sigma_t / (alpha_t + sigma_t) and u = x_t / (alpha_t + sigma_t). z stands at
    the noisiest level that the prior knows, scaled to the spread of u there. Where f is not linear z^0 = n.

    Here A^+ = A^T (A A^T + damping I)^-1. Cost: 2 `steps` evaluations an iteration, each with a backward pass, and
    2 `steps` each for T^-1 and for the result. More: docs/notes/dflow.md.

    Args:
        lr, history: of L-BFGS.
        start: the image that T^-1 is of: pinv, A^+ y, or adjoint, A^T y as in the public code.
        checkpointing: compute each step's activations again in the backward pass: memory for one step, twice the
            evaluations.
    """
    y, f, prior = problem.y, problem.f, problem.prior
    d = torch.Size(prior.shape).numel()
    first = level(problem, prior.times(1)[0])
    taus = first.u * torch.linspace(1, 0, steps + 1, dtype=torch.float64, device="cpu")
    spread = (taus[0] ** 2 + (1 - taus[0]) ** 2).sqrt()

    n = problem.rng.portable.normal(*prior.shape, dtype=y.dtype)
    z = n
    if f.linear:
        A = problem.linear
        u = A.T(y) if start == "adjoint" else conditioning(A, y.dtype)(y, 1.0, damping)
        z = alpha**0.5 * flow(prior, prior.encode(u), taus.flip(0)) / spread + (1 - alpha) ** 0.5 * n
    z = z.clone().requires_grad_()
    solver = LBFGS([z], lr=lr, history=history)
    for _ in problem.steps(iterations):
        with torch.enable_grad():
            x_hat = prior.decode(flow(prior, spread * z, taus, checkpointing))
            residual = (f(x_hat) - y).square().flatten(1).sum(1)
            r = norm(z)
            loss = residual + lam * (r**2 / 2 - (d - 1) * r.log())
            (gradient,) = torch.autograd.grad(loss.sum(), z)
        solver.step(loss, [gradient])
        problem.show(x_hat, loss=residual)
    return prior.decode(flow(prior, spread * solver.x.view_as(z), taus))


def flow(prior: Prior, u: Tensor, taus: Tensor, checkpointing: bool = False) -> Tensor:
    """Follow the flow through these times, by the midpoint rule."""
    for now, then in zip(taus, taus[1:], strict=False):
        if checkpointing:
            out = checkpoint(midpoint, prior, u, now, then, use_reentrant=False, preserve_rng_state=False)
            assert isinstance(out, Tensor)
            u = out
        else:
            u = midpoint(prior, u, now, then)
    return u


def midpoint(prior: Prior, u: Tensor, now: Tensor, then: Tensor) -> Tensor:
    """From one time to the next, with the velocity half way."""
    half = (now + then) / 2
    middle = u + (half - now) * velocity(prior, u, now)
    return u + (then - now) * velocity(prior, middle, half)


def velocity(prior: Prior, u: Tensor, tau: Tensor) -> Tensor:
    """E[n - x | u]; beyond the noise levels that the prior knows, that of the nearest."""
    t = prior.time_at(tau / (1 - tau))
    alpha, sigma = prior.scales(t)
    return (u - prior.denoise((alpha + sigma) * u, t)) / (sigma / (alpha + sigma))
