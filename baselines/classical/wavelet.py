"""Wavelet sparsity by FISTA.

Beck, Teboulle: A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems, SIAM Journal on Imaging
Sciences 2009.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from baselines.classical.daubechies import Wavelets
from baselines.classical.weights import norms, weight
from baselines.common.algebra import each, norm, where
from sipbench.operators.colour import Denoise
from sipbench.problem import Estimate, Problem

CHECK = 10  # the objective is shown, and stopping judged, every so many iterations


@torch.no_grad()
def wavelet(
    problem: Problem,
    *,
    c: float | None = 7.0,
    lam: float = 0.02,
    order: int = 4,
    levels: int = 4,
    iterations: int = 500,
    tolerance: float = 1e-5,
) -> Estimate:
    """min_x |A x - y|^2 / 2 + lambda |W x|_1,   lambda = c sigma^2, or lam, from x = A^T y / |A|^2:

        x_k = W^T soft(W v, lambda / L),   v = z_k - A^T (A z_k - y) / L,   L = |A|^2
        z_{k+1} = x_k + (t_k - 1) / t_{k+1} (x_k - x_{k-1}),   t_{k+1} = (1 + sqrt(1 + 4 t_k^2)) / 2

    W is Daubechies' orthogonal wavelet transform with periodic borders, each channel by itself; soft shrinks the
    details towards zero and leaves the approximation. For A = 1 the minimiser is
    W^T soft(W y, lambda). lambda is in the units of [-1, 1]. Cost: one A, A^T, W and W^T an iteration.

    Args:
        c: lambda = c sigma^2 where sigma is told; None takes lam.
        lam: lambda itself elsewhere.
        order: vanishing moments of the wavelet: 1 is Haar's, 4 the usual db4.
        levels: at most so many halvings; a side is halved as long as it is no shorter than the filter.
        iterations: at most so many.
        tolerance: an image stops where its relative change is below this.
    """
    y, f = problem.y, problem.linear
    x, strength = f.T(y), weight(problem, c, lam)
    W = Wavelets(order, levels, x)
    if isinstance(f, Denoise):
        return Estimate(W.inverse(shrink(W(y), y.new_tensor(strength), W.corner)))
    L = each(norms(f, y).square(), x)
    x = x / L
    z, t, moving = x, 1.0, torch.ones(len(x), dtype=torch.bool, device=x.device)
    stopped, ran = torch.zeros_like(moving, dtype=torch.long), 0

    for k in problem.steps(iterations):
        coefficients = shrink(W(z - f.T(f(z) - y) / L), strength / L, W.corner)
        new = W.inverse(coefficients)
        t, before = (1 + math.sqrt(1 + 4 * t * t)) / 2, t
        change = new - x
        z = new.add(change, alpha=(before - 1) / t)
        x, ran = where(moving, new, x), k + 1
        if ran % CHECK == 0 or ran == 1:
            problem.show(x, loss=(f(x) - y).square().flatten(1).sum(1) / 2 + strength * size(coefficients, W.corner))
            still = norm(change) <= tolerance * norm(x)
            stopped = torch.where(still & moving, ran, stopped)
            moving &= ~still
            if not bool(moving.any()):
                break
    return Estimate(x, stopped=torch.where(moving, ran, stopped), converged=~moving)


def shrink(coefficients: Tensor, threshold: Tensor, corner: tuple[int, ...]) -> Tensor:
    """The details nearer to zero by the threshold of each image; the approximation, in the corner, as it is."""
    taken = coefficients.clamp(-threshold, threshold)
    taken[..., : corner[0], : corner[1]] = 0
    return coefficients - taken


def size(coefficients: Tensor, corner: tuple[int, ...]) -> Tensor:
    """The sum of the absolute details of each image, (B,)."""
    approximation = coefficients[..., : corner[0], : corner[1]]
    return coefficients.abs().flatten(1).sum(1) - approximation.abs().flatten(1).sum(1)
