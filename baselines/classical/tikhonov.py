"""Tikhonov's regularisation, and Wiener's filter with the power spectrum of natural images.

Tikhonov: Solution of Incorrectly Formulated Problems and the Regularization Method, Soviet Mathematics 1963;
Wiener: Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949; the spectrum: Field, Relations
between the Statistics of Natural Images and the Response Properties of Cortical Cells, JOSA A 1987.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from baselines.common.algebra import each, norm
from baselines.common.linear import cg, conditioning
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem


@torch.no_grad()
def tikhonov(
    problem: Problem,
    *,
    prior: Literal["white", "power"] = "power",
    std: float = 0.5,
    mean: float = 0.0,
    exponent: float = 2.0,
    corner: float = 1.0,
    sigma: float = 0.05,
    iterations: int = 300,
    restarts: int = 3,
    tolerance: float = 1e-5,
) -> Tensor:
    """min_x |A x - y|^2 / (2 sigma^2) + (x - m)^T C^-1 (x - m) / 2,   which is

        x = m + C A^T (A C A^T + sigma^2)^-1 (y - A m)

    for white images, C = std^2 (Tikhonov), or for C with the power spectrum s(k) ~ 1 / (|k|^2 + corner^2)^(exponent/2)
    in the cosine transform, whose borders are mirrors, and the variance std^2 in the mean pixel (Wiener). Channels
    are independent. In closed form for white images where A has a singular value decomposition, and where A = 1; else
    by conjugate gradients from zero, begun anew every so many iterations. Cost: one A and A^T an iteration,
    `iterations` x `restarts` of them at most.

    Args:
        prior: white or power.
        std: standard deviation of a pixel about the mean, on [-1, 1].
        mean: m, the same everywhere; 0 is grey.
        exponent: 2 for natural images: amplitudes fall as one over the frequency. With more, conjugate gradients take
            more iterations, too many at 4 where pixels are missing.
        corner: cycles an image below which the spectrum is flat.
        sigma: the noise's standard deviation where it is not told.
        iterations: of conjugate gradients before they begin anew from where they are.
        restarts: how often they begin.
        tolerance: an image ends where its residual is below this part of y - A m.
    """
    y, f = problem.y, problem.linear
    told = None if problem.noise is None else problem.noise.sigma
    noise = max(sigma if told is None else told, torch.finfo(y.dtype).eps) ** 2
    m = torch.full(problem.shape, mean, dtype=y.dtype, device=y.device)
    r = y - f(m)
    if prior == "white" and f.svd(y.dtype) is not None:
        return m + std**2 * conditioning(f, y.dtype)(r, std**2, noise)
    filtered, s = spectral(m, std, exponent, corner)
    if prior == "power" and isinstance(f, Denoise):
        return m + filtered(r, s / (s + noise))

    def C(v: Tensor) -> Tensor:
        return std**2 * v if prior == "white" else filtered(v, s)

    def matvec(v: Tensor) -> Tensor:
        return f(C(f.T(v))) + noise * v

    v, rest = torch.zeros_like(r), r
    enough = tolerance * norm(r)
    open_ = torch.ones_like(enough, dtype=torch.bool)
    for _ in problem.steps(restarts):
        v = v + each(open_, v) * cg(matvec, rest, iterations)
        rest = r - matvec(v)
        left = norm(rest)
        problem.show(m + C(f.T(v)), loss=left)
        open_ &= left > enough
        if not bool(open_.any()):
            break
    return m + C(f.T(v))


def spectral(
    like: Tensor, std: float, exponent: float, corner: float
) -> tuple[Callable[[Tensor, Tensor], Tensor], Tensor]:
    """The map (x, gain) -> x with its cosine transform multiplied by the gain, and the power spectrum of the prior.

    The cosine transform is the orthonormal one of type II, whose frequency k on a side of n pixels is k / 2 cycles an
    image. The spectrum averages to std^2.
    """
    rows, columns = (_cosines(n, like) for n in like.shape[-2:])
    k = [torch.arange(n, dtype=torch.float64, device=like.device) / 2 for n in like.shape[-2:]]
    s = (k[0][:, None].square() + k[1].square() + corner**2) ** (-exponent / 2)
    s = (s * std**2 / s.mean()).to(like.dtype)
    return lambda x, gain: rows.T @ (gain * (rows @ x @ columns.T)) @ columns, s


def _cosines(n: int, like: Tensor) -> Tensor:
    """The orthonormal cosine transform of type II as a matrix: row k is cos(pi k (i + 1/2) / n), normalised."""
    i = torch.arange(n, dtype=torch.float64, device=like.device)
    D = torch.cos(torch.pi / n * i[:, None] * (i + 0.5)) * math.sqrt(2 / n)
    D[0] *= math.sqrt(0.5)
    return D.to(like.dtype)
