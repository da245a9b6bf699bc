"""The pseudo-inverse: the floor that every method must beat."""

from __future__ import annotations

from torch import Tensor

from baselines.common.linear import pseudo_inverse
from sipbench.problem import Problem


def pinv(problem: Problem, *, cutoff: float = 0.0) -> Tensor:
    """x = A^+ y, the least-norm image among those that fit y best.

    Args:
        cutoff: singular values of A below it count as zero: see `pseudo_inverse`.
    """
    return pseudo_inverse(problem.linear, problem.y.dtype, cutoff)(problem.y)
