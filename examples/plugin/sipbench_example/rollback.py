"""Gradient steps on the data term, each followed by a little smoothing; the smoothing dies away."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from sipbench.problem import Problem


@torch.no_grad()
def rollback(problem: Problem, *, steps: int = 100, smooth: float = 0.1) -> Tensor:
    """x <- x + |g|^2 / |A g|^2 g with g = A^T (y - A x), then x <- (1 - s_k) x + s_k blur(x), s_k = smooth (1 - k / n).

    Args:
        steps: iterations, n.
        smooth: the share of the blurred image at the first.
    """
    f, x = problem.linear, problem.y.new_zeros(problem.shape)
    for k in problem.steps(steps):
        g = f.T(problem.y - f(x))
        x = x + square(g) / square(f(g)).clamp(min=1e-12) * g
        share = smooth * (1 - k / steps)
        x = (1 - share) * x + share * avg_pool2d(pad(x, (1, 1, 1, 1), "replicate"), 3, 1)
        problem.show(x)
    return x


def square(v: Tensor) -> Tensor:
    """|v|^2 of each image."""
    return v.flatten(1).square().sum(1).view(-1, 1, 1, 1)
