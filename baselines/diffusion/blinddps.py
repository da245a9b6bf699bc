"""Blind diffusion posterior sampling (BlindDPS): DPS for the image and the forward map at once.

Chung, Kim, Kim, Ye: Parallel Diffusion Models of Operator and Image for Blind Inverse Problems, CVPR 2023,
https://arxiv.org/abs/2211.10656
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.common.algebra import norm
from baselines.diffusion.sampling import Level, clipped, ddim, level, start
from sipbench.operators.base import BlindOperator
from sipbench.priors.base import Prior
from sipbench.problem import Estimate, Problem


@torch.no_grad()
def blinddps(
    problem: Problem,
    *,
    kernel_prior: Prior,
    tilt_prior: Prior | None = None,
    steps: int = 1000,
    scale: float | None = None,
    order: float = 1.0,
    weight: float = 1.0,
    clip: bool = True,
) -> Estimate:
    """Diffusion models of the image x, the kernel k and, for turbulence, the tilt, each corrected by one residual:

        v_hat = E[v | v_t],   v' ~ q(v_s | v_t, v_hat)                                for v in x, k, tilt
        k_hat = (v_hat + 1) / 2, divided by its sum
        v_s   = v' - zeta_t grad_{v_t} ( || y - f(x_hat, k_hat) || + weight || k_hat ||_order )

    zeta_t = sqrt(P_t); P_t and v_t are those of a variance preserving process: with n = sqrt(alpha^2 + sigma^2),
    P = alpha^2 / n^2 and v_t / n are it on any schedule. All priors go down the noise levels of the image's. A tilt
    without a prior starts from zero and takes the gradient steps alone. The kernel comes back with sum 1 and none below
    zero. Cost: `steps` evaluations of each prior, each with one backward pass. More: docs/notes/blinddps.md.

    Args:
        kernel_prior: a prior of kernels whose smallest values are -1.
        tilt_prior: a prior of tilt maps in pixels.
        steps: number of sampling steps.
        scale: a constant zeta; null is sqrt(P_t).
        order: of the norm of the kernel.
        weight: of that norm.
        clip: clip the estimates to [-1, 1], as published.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    assert isinstance(f, BlindOperator)
    times = prior.times(steps)
    priors = {"x": prior, "kernel": kernel_prior} | ({} if tilt_prior is None else {"tilt": tilt_prior})
    levels = {name: in_step(problem, p, times) for name, p in priors.items()}
    v = {name: y.new_zeros(len(y), *shape) for name, shape in f.theta_shapes.items()}
    v["x"] = start(problem, levels["x"][0])
    for name in priors.keys() & v.keys() - {"x"}:
        z = rng.child(name).portable.normal(*priors[name].shape, dtype=y.dtype)
        v[name] = levels[name][0].sigma * z

    for i in problem.steps(steps):
        with torch.enable_grad():
            v = {name: v_t.requires_grad_() for name, v_t in v.items()}
            hat = {k: priors[k].denoise(v_t, levels[k][i].t) if k in priors else v_t for k, v_t in v.items()}
            hat = {k: clipped(u, clip and k in priors) for k, u in hat.items()}
            theta = {k: kernel_of(u) if k == "kernel" else u for k, u in hat.items() if k != "x"}
            misfit = norm(y - f(hat["x"], theta))
            penalty = weight * torch.linalg.vector_norm(theta["kernel"].flatten(1), order, dim=1)
            gradient = dict(zip(v, torch.autograd.grad((misfit + penalty).sum(), list(v.values())), strict=True))

        for name, v_t in v.items():
            now, then = levels.get(name, levels["x"])[i : i + 2]
            zeta = now.alpha / now.size if scale is None else scale
            if name in priors:
                v_t = ddim(v_t, hat[name], now, then, rng.normal_like(v_t))
                zeta = zeta * now.size * then.size
            v[name] = v_t - zeta * gradient[name]
        problem.show(hat["x"], loss=misfit)
    kernel = kernel_of(v["kernel"].clamp(min=-1))
    return Estimate(v["x"], theta={name: v[name] for name in f.theta_shapes} | {"kernel": kernel})


def kernel_of(v: Tensor) -> Tensor:
    """The kernel that an image in [-1, 1] stands for: (v + 1) / 2 divided by its sum."""
    k = (v + 1) / 2
    return k / k.sum((-2, -1), keepdim=True).clamp(min=torch.finfo(k.dtype).tiny)


def in_step(problem: Problem, prior: Prior, times: Tensor) -> list[Level]:
    """A prior's levels that are as noisy as those of the image's prior at these times."""
    levels = [level(problem, t) for t in times]
    if prior is problem.prior:
        return levels
    own = [prior.time_at(at.S) for at in levels[:-1]]
    return [Level(t, *prior.scales(t)) for t in (*own, times[-1])]
