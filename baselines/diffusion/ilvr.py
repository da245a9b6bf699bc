"""Iterative latent variable refinement (ILVR), and projection sampling with any linear measurement.

Choi, Kim, Jeong, Gwon, Yoon: ILVR: Conditioning Method for Denoising Diffusion Probabilistic Models, ICCV 2021,
https://arxiv.org/abs/2108.02938
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.common.linear import pseudo_inverse
from baselines.diffusion.sampling import clipped, ddim, descend, level, start
from sipbench.operators import BicubicDownsampling
from sipbench.problem import Problem


@torch.no_grad()
def ilvr(
    problem: Problem,
    *,
    steps: int = 100,
    range_t: int = 0,
    down_N: int | None = None,
    cutoff: float = 0.03,
    clip: bool = True,
) -> Tensor:
    """Ancestral sampling, each step's result taken from a noised reference image in the range of Phi:

        x'  ~ q(x_s | x_t, x_hat),    x_hat = E[x | x_t]
        x_s = x' - Phi(x') + Phi(y_s),    y_s = alpha_s A^+ y + sigma_s z

    Phi = A^+ A; or with `down_N` the low-pass filter of the paper, bicubic down- and upsampling. It trusts y as if
    without noise. Cost: `steps` evaluations. More: docs/notes/ilvr.md.

    Args:
        steps: number of sampling steps.
        range_t: steps with more than this many after them are refined: -1 refines all, 0 all but the last.
        down_N: the factor of the low-pass filter, 32 as published; None for the task's own operator.
        cutoff: singular values of A below it count as zero: see `pseudo_inverse`.
        clip: clip x_hat to [-1, 1], as published.
    """
    f, prior, rng = problem.linear, problem.prior, problem.rng
    pinv = pseudo_inverse(f, problem.y.dtype, cutoff)
    phi = low_pass(problem, down_N) if down_N else lambda x: pinv(f(x))
    times = prior.times(steps)
    reference = pinv(problem.y)
    x_t = start(problem, level(problem, times[0]))
    for k, (now, then) in enumerate(descend(problem, times)):
        x_hat = clipped(prior.denoise(x_t, now.t), clip)
        x_t = ddim(x_t, x_hat, now, then, rng.normal_like(x_t))
        z = rng.normal_like(x_t)
        if steps - 1 - k > range_t:
            x_t = x_t + phi(then.alpha * reference + then.sigma * z - x_t)
        problem.show(x_hat)
    return x_t


def low_pass(problem: Problem, factor: int) -> Callable[[Tensor], Tensor]:
    """Bicubic downsampling D and upsampling again: for this kernel the latter is factor^2 D^T."""
    down = BicubicDownsampling(problem.shape, problem.rng, factor=factor)
    return lambda x: factor**2 * down.T(down(x))
