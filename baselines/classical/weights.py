"""How strongly to regularise, for each image."""

from __future__ import annotations

from torch import Tensor

from sipbench.operators import LinearOperator
from sipbench.problem import Problem


def norms(f: LinearOperator, y: Tensor) -> Tensor:
    """The largest singular value of each image's map, (B,), to divide by: 1 of a map that is zero.

    Found once where all images have the same map.
    """
    count = len(y) if f.per_image else 1
    return y.new_tensor([f.select(slice(i, i + 1)).norm or 1.0 for i in range(count)]).expand(len(y))


def weight(problem: Problem, c: float | None, lam: float) -> float:
    """The lambda in |A x - y|^2 / 2 + lambda R(x): c sigma^2 where the noise's sigma is told, so that the minimiser is

    the likeliest x given y for p(x) ~ exp(-c R(x)), and c is a property of the images, whatever A and sigma; else, or
    where c is None, lam.
    """
    sigma = None if problem.noise is None else problem.noise.sigma
    return lam if sigma is None or c is None else c * sigma**2
