"""Moment matching posterior sampling (MMPS).

Rozet, Andry, Lanusse, Louppe: Learning Diffusion Priors from Observations by Expectation Maximization, NeurIPS 2024,
https://arxiv.org/abs/2405.13712
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from baselines.common.algebra import dot, each, norm
from baselines.common.linear import cg
from baselines.diffusion.sampling import Level, clipped, ddim, descend, level, start
from sipbench.operators.base import LinearOperator, Operator
from sipbench.problem import Problem

Map = Callable[[Tensor], Tensor]


@torch.no_grad()
def mmps(
    problem: Problem,
    *,
    steps: int = 100,
    iterations: int = 1,
    solver: Literal["gmres", "cg"] = "gmres",
    eta: float = 1.0,
    clip: bool = False,
) -> Tensor:
    """DDIM towards E[x | x_t, y], where p(x | x_t) is the Gaussian of the mean and covariance that the denoiser tells:

        x_hat = E[x | x_t],   V = Cov[x | x_t] = sigma_t^2 / alpha_t  d x_hat / d x_t
        x_y   = x_hat + V A^T (sigma_y^2 + A V A^T)^-1 (y - A x_hat)

    Exact on every Gaussian prior with a converged solver, as the steps grow. V is applied as its transpose, a backward
    pass. A nonlinear f is linearised at x_hat. Cost: `steps` evaluations, each with `iterations` + 1 backward passes.
    More: docs/notes/mmps.md.

    Args:
        steps: number of sampling steps.
        iterations: of the linear solver; 1 to 5 are published.
        solver: gmres or cg.
        eta: share of fresh noise; 1 is the ancestral step.
        clip: clip x_hat to [-1, 1].
    """
    times = problem.prior.times(steps)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_y, misfit = conditional_mean(problem, x_t, now, SOLVERS[solver], iterations, clip)
        x_t = ddim(x_t, x_y, now, then, problem.rng.normal_like(x_t), eta)
        problem.show(x_y, loss=misfit)
    return x_t


def conditional_mean(
    problem: Problem, x_t: Tensor, now: Level, solve: Callable[[Map, Tensor, int], Tensor], iterations: int, clip: bool
) -> tuple[Tensor, Tensor]:
    """E[x | x_t, y], and the norm of y - A E[x | x_t] of each image."""
    variance = problem.sigma**2
    with torch.enable_grad():
        x_t = x_t.detach().requires_grad_()
        x_hat = clipped(problem.prior.denoise(x_t, now.t), clip)

    def V(v: Tensor, more: bool = True) -> Tensor:
        return now.sigma**2 / now.alpha * torch.autograd.grad(x_hat, x_t, v, retain_graph=more)[0]

    y_hat, A, At = linearised(problem.f, x_hat.detach())
    residual = problem.y - y_hat
    v = solve(lambda u: variance * u + A(V(At(u))), residual, iterations)
    return x_hat.detach() + V(At(v), more=False), norm(residual)


def linearised(f: Operator, x: Tensor) -> tuple[Tensor, Map, Map]:
    """f(x), and the derivative of f at x with its adjoint, as functions."""
    if isinstance(f, LinearOperator):
        return f(x), f, f.T
    with torch.enable_grad():
        x = x.requires_grad_()
        y = f(x)
        u = torch.zeros_like(y, requires_grad=True)
        (At_u,) = torch.autograd.grad(y, x, u, create_graph=True)
    return (
        y.detach(),
        lambda v: torch.autograd.grad(At_u, u, v, retain_graph=True)[0],  # A v, as the adjoint of u -> A^T u
        lambda v: torch.autograd.grad(y, x, v, retain_graph=True)[0],
    )


def gmres(matvec: Map, b: Tensor, iterations: int) -> Tensor:
    """The v of least |b - M v| in the Krylov space of b, for a nonsymmetric M; each image by itself.

    In the form of generalised conjugate residuals: directions p whose images q = M p are orthonormal.
    """
    v, r = torch.zeros_like(b), b
    pairs: list[tuple[Tensor, Tensor]] = []
    for _ in range(iterations):
        p, q = r, matvec(r)
        for p_i, q_i in pairs:
            c = each(dot(q, q_i), b)
            p, q = p - c * p_i, q - c * q_i
        length = each(dot(q, q), b).sqrt()
        scale = torch.where(length > 0, 1 / length, 0.0)
        p, q = scale * p, scale * q
        c = each(dot(r, q), b)
        v, r = v + c * p, r - c * q
        pairs.append((p, q))
    return v


SOLVERS: dict[str, Callable[[Map, Tensor, int], Tensor]] = {"gmres": gmres, "cg": cg}
