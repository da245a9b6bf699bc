"""Richardson-Lucy deconvolution.

Richardson: Bayesian-Based Iterative Method of Image Restoration, JOSA 1972; Lucy: An Iterative Technique for the
Rectification of Observed Distributions, Astronomical Journal 1974. With total variation: Dey et al.: Richardson-Lucy
Algorithm with Total Variation Regularization for 3D Confocal Microscope Deconvolution, Microscopy Research and
Technique 2006.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.classical.gradient import gradient, gradient_T
from baselines.common.algebra import each
from sipbench.problem import Problem

BRIGHTEST = 10.0  # intensities stay below it; only maps with negative entries would take them there


@torch.no_grad()
def richardson_lucy(
    problem: Problem,
    *,
    iterations: int = 50,
    lam: float = 0.0,
    normalise: bool = True,
    start: float = 0.5,
    epsilon: float = 1e-12,
    clip: bool = True,
) -> Tensor:
    """The likeliest intensities u = (x + 1) / 2 >= 0 for Poisson counts b of mean A u, by expectation maximisation:

        u <- u / (1 - lambda div(grad u / |grad u|)) * A^T(b / A u) / A^T 1

    from u constant, with b = (y + A 1) / 2, the measurement that goes with intensities. It is meant for linear maps
    without negative entries (blurs, masks, averages, projections) and keeps each iterate non-negative; elsewhere
    (Fourier, random signs) A u is kept above epsilon and u below 10 only so that it stays finite. What no measurement
    sees stays as it is. Noise grows with the iterations, whose number regularises, or lambda does (Dey et al.: 0.002).

    Cost: one A and A^T an iteration, and one more of each. Beside scikit-image: docs/notes/richardson_lucy.md.

    Args:
        iterations: how many; 50 is scikit-image's default.
        lam: weight of the total variation.
        normalise: divide by A^T 1.
        start: the constant.
        epsilon: what A u is kept above.
        clip: keep the result within [0, 1].
    """
    y, f = problem.y, problem.linear
    one = torch.ones(problem.shape, dtype=y.dtype, device=y.device)
    b = ((y + f(one)) / 2).clamp(min=0)
    reach = f.T(torch.ones_like(y)) if normalise else one
    seen = reach > torch.finfo(y.dtype).eps * 100 * each(reach.flatten(1).abs().amax(1), reach)
    per = torch.where(seen, 1 / reach, 0.0)
    u = start * one
    for _ in problem.steps(iterations):
        blurred = f(u)
        factor = f.T(b / blurred.clamp(min=epsilon)).mul_(per)
        if lam:
            factor = factor / (1 + lam * curvature(u)).clamp(min=0.1)
        u = torch.where(seen, u * factor, u).clamp_(0, BRIGHTEST)
        problem.show(2 * u - 1, loss=(blurred - b).square().flatten(1).mean(1))
    return 2 * (u.clamp(0, 1) if clip else u) - 1


def curvature(u: Tensor, eps: float = 1e-6) -> Tensor:
    """-div(grad u / |grad u|), each channel by itself; a gradient of zero has no direction."""
    g = gradient(u)
    return gradient_T(g / g.square().sum(1, keepdim=True).add_(eps**2).sqrt_())
