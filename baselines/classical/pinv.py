"""The pseudo-inverse: the floor that every method must beat."""

from __future__ import annotations

from torch import Tensor

from sipbench.problem import Problem


def pinv(problem: Problem) -> Tensor:
    """x = A^+ y, the least-norm image among those that fit y best."""
    return problem.linear.pinv(problem.y)
