"""Constrained diffusion implicit models (CDIM).

Jayaram, Kemelmacher-Shlizerman, Seitz, Thickstun: Linearly Constrained Diffusion Implicit Models, NeurIPS 2025,
https://arxiv.org/abs/2411.00359
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.common.algebra import dot, each
from baselines.diffusion.resample import scaled
from baselines.diffusion.sampling import Level, clipped, descend, level, start
from sipbench.priors.schedules import Spacing
from sipbench.problem import Problem


@torch.no_grad()
def cdim(
    problem: Problem,
    *,
    steps: int = 50,
    K: int = 20,
    c: float = 0.1,
    probes: int = 16,
    clip: bool = True,
    spacing: Spacing = "even",
) -> Tensor:
    """Deterministic sampling; after each step, the state is moved until its own residual is a plausible one:

        x_s = alpha_s E[x | x_t] + sigma_s e
        while | A x_s - y |^2 > mu_s + c std_s, at most K times:   x_s <- x_s - eta grad_{x_s} | A E[x | x_s] - y |^2

    mu_s and std_s are the mean and deviation of | A x_s - y |^2 if x_s = alpha_s x + sigma_s z and y = A x + noise,
    all in the units of a variance-preserving state; others are divided by sqrt(alpha^2 + sigma^2) for it.
    eta is the least step that makes the residual plausible, or as small as it gets: the root of a quadratic. The
    network is evaluated for the images that still need it only. Cost: `steps` evaluations and one more, with a backward
    pass, for each projection, K (steps - 1) at most. More: docs/notes/cdim.md.

    Args:
        steps: number of sampling steps (25 or 50 as published).
        K: the most projections a step.
        c: how many standard deviations above its mean a residual is still plausible.
        probes: random images that estimate the traces of A A^T and of its square.
        clip: clip E[x | x_t] in the sampling step, as published; turn off for data without the range [-1, 1].
        spacing: the times, `even`, or `leading` as in the public code.
    """
    prior = problem.prior
    bound, times = _plausible(problem, c, probes), prior.times(steps, spacing)
    x_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        x_hat = prior.denoise(x_t, now.t)
        e = (x_t - now.alpha * x_hat) / now.sigma
        x_t = then.alpha * clipped(x_hat, clip) + then.sigma * e
        if then.sigma > 0:
            x, distance = _project(problem, x_t / then.size, then, bound(scaled(then)), K)
            x_t = then.size * x
            problem.show(x_hat, loss=distance)
    return x_t


def _project(problem: Problem, x: Tensor, at: Level, bound: Tensor, K: int) -> tuple[Tensor, Tensor]:
    """Move each image until | A x - y |^2 is within its bound; the images and that distance."""
    r = _residual(problem, x)
    distance = dot(r, r)
    active = distance > bound
    for _ in range(K):
        index = active.nonzero()[:, 0]
        if not len(index):
            break
        g = _gradient(problem, x, at, index)
        Ag = _mask(problem, problem.f(g))
        a, b, excess = dot(Ag, Ag), dot(r, Ag), distance - bound
        root = b**2 - a * excess
        eta = torch.where(root >= 0, excess / (b + root.clamp(min=0).sqrt()), b / a)
        eta = torch.where(active & (b > 0), eta, 0.0)
        x, r = x - each(eta, x) * g, r - each(eta, r) * Ag
        distance = dot(r, r)
        active = active & (b > 0) & (root < 0)
    return x, distance


def _gradient(problem: Problem, x: Tensor, at: Level, index: Tensor) -> Tensor:
    """grad_x | A E[x0 | x] - y |^2 of the images of this index, else zero."""
    with torch.enable_grad():
        part = x[index].requires_grad_()
        x_hat = x.index_copy(0, index, problem.prior.denoise(at.size * part, at.t))
        (gradient,) = torch.autograd.grad(_residual(problem, x_hat).square().sum(), part)
    return torch.zeros_like(x).index_copy(0, index, gradient)


def _plausible(problem: Problem, c: float, probes: int) -> Callable[[Level], Tensor]:
    """The bound mu + c std on | A x_t - y |^2 at a level, one an image.

    With a = 1 - alpha, b = sigma^2, s the noise of y, m its length and S = A A^T, from y = A x + noise:

        mu  = a^2 |y|^2 + b tr S + (1 - a^2) m s^2
        var = 2 (b^2 tr S^2 + 2 b s^2 tr S + m s^4) + 4 a^2 (b (y^T S y - s^2 tr S) + s^2 (|y|^2 - m s^2))
    """
    y, f, rng = _mask(problem, problem.y), problem.linear, problem.rng.child("probes").portable
    ones = _mask(problem, torch.ones_like(y))
    m, s2 = dot(ones, ones), problem.sigma**2
    energy, ySy = dot(y, y), dot(f.T(y), f.T(y))
    trace, square = torch.zeros_like(m), torch.zeros_like(m)
    for _ in range(probes):
        v = (rng.uniform(*problem.shape[1:], dtype=y.dtype) - 0.5).sign()
        Av = f(v)
        trace = trace + dot(Av, Av) / probes
        square = square + dot(f.T(Av), f.T(Av)) / probes

    def bound(at: Level) -> Tensor:
        a2, b = (1 - at.alpha) ** 2, at.sigma**2
        mu = a2 * energy + b * trace + (1 - a2) * m * s2
        own = 2 * (b**2 * square + 2 * b * s2 * trace + m * s2**2)
        cross = 4 * a2 * (b * (ySy - s2 * trace) + s2 * (energy - m * s2))
        return mu + c * (own + cross).clamp(min=0).sqrt()

    return bound


def _residual(problem: Problem, x: Tensor) -> Tensor:
    return _mask(problem, problem.f(x) - problem.y)


def _mask(problem: Problem, y: Tensor) -> Tensor:
    """y without the entries where nothing is measured."""
    return y if problem.f.valid is None else y * problem.f.valid.to(y.dtype)
