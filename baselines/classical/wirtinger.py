"""Wirtinger flow: gradient descent on intensities from a spectral start.

E. Candes, X. Li, M. Soltanolkotabi: Phase Retrieval via Wirtinger Flow: Theory and Algorithms, 2015,
https://arxiv.org/abs/1407.1065
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from baselines.classical.projections import measured
from baselines.common.phase import agree, magnitudes, overall, parts, phase_map, residual
from sipbench.problem import Estimate, Problem

Map = Callable[[Tensor], Tensor]


def wirtinger(
    problem: Problem,
    *,
    iterations: int = 2500,
    power: int = 50,
    tau0: float = 330.0,
    mu_max: float = 0.2,
    truncate: float | None = None,
    tolerance: float = 1e-5,
) -> Estimate:
    """min_z ||A z|^2 - y|^2, with y intensities, by descent from a spectral start. With |A v|^2 = g |v|^2 on average,

        z_0    the leading eigenvector of A^* diag(y) A, at the length |z_0|^2 = sum(y) / g
        z_tau  = z - mu_tau / (g mean(y)) A^* ((|A z|^2 - y) A z),      mu_tau = min(1 - e^{-tau / tau0}, mu_max)

    This is the paper's step for any scale of A, which there is such that |a_r|^2 = n on average. g is measured on the
    random vector from which `power` steps find the eigenvector. The channels of a real image are solved each by itself.

    Where the loss grows, the step is taken back and halved from then on. With random a_r it hardly ever is; in the far
    field of a picture, whose intensities span many orders of magnitude, the published step diverges, and the flow is
    not known to find the solution. Cost: one A and one adjoint a step.

    Args:
        power: steps of the power method.
        tau0, mu_max: how fast the step grows, and to what.
        truncate: intensities over this many times their mean are left out of the spectral start. None as published;
            9 in Chen and Candes, https://arxiv.org/abs/1505.05114, for few measurements.
        tolerance: an image counts as converged where the last step is below this part of z; it ends nothing.
    """
    problem = measured(problem)
    y, A, At = _maps(problem)
    z, g = _spectral(problem, A, At, y if truncate is None else y * (y <= truncate * _mean(y)), power)
    z = z * (y.sum(2, keepdim=True) / g).sqrt()
    step = 1 / (g * _mean(y)).clamp(min=torch.finfo(y.dtype).tiny)
    least, kept, down = torch.full_like(step, torch.inf), z, torch.zeros_like(z)
    for k in problem.steps(iterations):
        field = A(z)
        excess = field.abs().square() - y
        loss = _mean(excess.square())
        fell = loss < least
        step = torch.where(fell | least.isinf(), step, step / 2)
        kept, down, least = torch.where(fell, z, kept), torch.where(fell, At(excess * field), down), least.minimum(loss)
        z = kept - min(-math.expm1(-(k + 1) / tau0), mu_max) * step * down
        if k % 20 == 0:
            problem.show(*_picture(problem, kept))
    still = ((z - kept).norm(dim=2) <= tolerance * kept.norm(dim=2)).all(1)
    return Estimate(_picture(problem, kept)[0], converged=still)


def _maps(problem: Problem) -> tuple[Tensor, Map, Map]:
    """Intensities y (B, P, M), A from (B, P, n) to (B, P, M), and its adjoint: P independent problems an image."""
    f, count = phase_map(problem), parts(problem)
    seen = None if f.valid is None else f.valid.to(problem.y).expand_as(problem.y)
    origin = _origin(problem)

    def A(z: Tensor) -> Tensor:
        field = f.lift(origin + z.view(problem.shape))
        return (field if seen is None else field * seen).reshape(len(z), count, -1)

    def At(p: Tensor) -> Tensor:
        return f.lower(p.view(problem.y.shape)).reshape(len(p), count, -1)

    return magnitudes(problem).square().reshape(len(problem.y), count, -1), A, At


def _spectral(problem: Problem, A: Map, At: Map, y: Tensor, power: int) -> tuple[Tensor, Tensor]:
    """The leading eigenvector of A^* diag(y) A, at length one, and g = |A v|^2 / |v|^2 of a random v."""
    rng = problem.rng.child("spectral").portable
    v = _unit(rng.normal(y.shape[1], math.prod(problem.shape[1:]) // y.shape[1], dtype=y.dtype))
    g = A(v).abs().square().sum(2, keepdim=True).clamp(min=torch.finfo(y.dtype).tiny)
    for _ in range(power):
        v = _unit(At(y * A(v)))
    return v, g


def _picture(problem: Problem, z: Tensor) -> tuple[Tensor, Tensor]:
    """The image that belongs to z, and its residual."""
    f, origin = phase_map(problem), _origin(problem)
    if origin:  # z and -z measure alike, and intensities are positive
        z = torch.where(z.sum(2, keepdim=True) < 0, -z, z)
    x = origin + z.view(problem.shape)
    misfit = residual(f, x, magnitudes(problem), z.shape[1])
    return agree(x, f.symmetries), overall(misfit)


def _origin(problem: Problem) -> float:
    """The image without a field: -1 where A sees it on [0, 1]."""
    return -1.0 if getattr(problem.f, "unit", False) else 0.0


def _unit(v: Tensor) -> Tensor:
    return v / v.norm(dim=2, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny)


def _mean(v: Tensor) -> Tensor:
    return v.mean(2, keepdim=True)
