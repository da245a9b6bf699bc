"""The pseudo-inverse: the floor that every method must beat."""

from __future__ import annotations

from torch import Tensor

from sipbench.operators import LinearOperator
from sipbench.problem import Problem


def pinv(problem: Problem) -> Tensor:
    """x = A^+ y, the least-norm image among those that fit y best."""
    assert isinstance(problem.f, LinearOperator)
    return problem.f.pinv(problem.y)
