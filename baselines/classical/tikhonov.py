"""Tikhonov's regularisation, and Wiener's filter with the power spectrum of natural images.

Tikhonov: Solution of Incorrectly Formulated Problems and the Regularization Method, Soviet Mathematics 1963;
Wiener: Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949; the spectrum: Field, Relations
between the Statistics of Natural Images and the Response Properties of Cortical Cells, JOSA A 1987.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from baselines.classical.cosines import Cosines
from baselines.common.linear import PCG, conditioning
from sipbench.operators.colour import Denoise
from sipbench.problem import Estimate, Problem

LEAST_SIGMA = 1e-4


@torch.no_grad()
def tikhonov(
    problem: Problem,
    *,
    prior: Literal["white", "power"] = "power",
    std: float = 0.5,
    mean: float = 0.0,
    exponent: float = 3.0,
    corner: float = 1.0,
    sigma: float = 0.05,
    iterations: int = 2000,
    tolerance: float = 1e-6,
    probes: int = 8,
) -> Estimate:
    """min_x |A x - y|^2 / (2 sigma^2) + (x - m)^T C^-1 (x - m) / 2,   which is x = m + v with

        (A^T A + sigma^2 C^-1) v = A^T (y - A m)

    for white images, C = std^2 (Tikhonov), or for C with the power spectrum s(k) ~ 1 / (|k|^2 + corner^2)^(exponent/2)
    in the cosine transform, whose borders are mirrors, and the variance std^2 in the mean pixel (Wiener). Channels
    are independent. In closed form for white images where A has a singular value decomposition, and where A = 1; else
    by conjugate gradients in double precision, whose preconditioner d(k) + sigma^2 / s(k) is exact where the cosines
    diagonalise A^T A; d(k) is A^T A as random `probes` see it at each frequency. Cost: one A and A^T an iteration and
    a probe.

    Args:
        prior: white or power.
        std: standard deviation of a pixel about the mean, on [-1, 1].
        mean: m, the same everywhere; 0 is grey.
        exponent: 2 to 3.5 for natural images. (Amplitudes that fall as one over the frequency have 2.)
        corner: cycles an image below which the spectrum is flat.
        sigma: the noise's standard deviation where it is not told; one below LEAST_SIGMA counts as that.
        iterations: of conjugate gradients at most.
        tolerance: an image has converged where its preconditioned residual is below this part of the first.
        probes: random images that show what A^T A does to each frequency.
    """
    y, f = problem.y.double(), problem.linear
    told = None if problem.noise is None else problem.noise.sigma
    noise = max(sigma if told is None else told, LEAST_SIGMA) ** 2
    m = torch.full(problem.shape, mean, dtype=y.dtype, device=y.device)
    F, r = Cosines.of(m), y - f(m)
    if prior == "white" and f.svd(y.dtype) is not None:
        return _solved(problem, m + std**2 * conditioning(f, y.dtype)(r, std**2, noise))
    s = F.power(std, exponent, corner) if prior == "power" else m.new_full(m.shape[-2:], std**2)
    if isinstance(f, Denoise):
        return _solved(problem, m + F.filtered(r, s / (s + noise)))

    ridge = noise / s
    inverse = 1 / (seen(problem, F, probes) + ridge)
    system = PCG(lambda v: f.T(f(v)) + F.filtered(v, ridge), lambda v: F.filtered(v, inverse), f.T(r), tolerance)
    for k in problem.steps(iterations):
        system.step()
        if k % 10 == 9:
            problem.show((m + system.v).to(problem.y.dtype), loss=system.left)
            if bool(system.done.all()):
                break
    return _solved(problem, m + system.v, system)


def seen(problem: Problem, F: Cosines, probes: int) -> Tensor:
    """The diagonal of A^T A in the cosine transform, (B, 1, h, w), smoothed over 5 x 5 frequencies.

    With random signs e at all frequencies, e (F A^T A F^T e) is the diagonal on average, and exactly where there is
    nothing beside it.
    """
    f, (_, *size) = problem.linear, problem.shape
    rng, diagonal = problem.rng.child("probes").portable, torch.zeros((), dtype=torch.float64)
    for _ in range(probes):
        e = (rng.uniform(*size, dtype=torch.float64) - 0.5).sign()
        diagonal = diagonal + (e * F(f.T(f(F.back(e))))).mean(1, keepdim=True) / probes
    return avg_pool2d(pad(diagonal, (2, 2, 2, 2), mode="replicate"), 5, 1).clamp(min=0)


def _solved(problem: Problem, x: Tensor, system: PCG | None = None) -> Estimate:
    """In the precision of the problem; of iterations, how many and whether they were enough."""
    x = x.to(problem.y.dtype)
    return Estimate(x) if system is None else Estimate(x, stopped=system.steps, converged=system.done)
