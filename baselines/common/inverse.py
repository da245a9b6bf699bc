"""The pseudo-inverse as a first image: what a network, an encoder or a search of images is given."""

from __future__ import annotations

from torch import Tensor

from baselines.common.linear import pseudo_inverse
from sipbench.operators.blur import Blur
from sipbench.problem import Problem


def first_image(problem: Problem, cutoff: float) -> Tensor:
    """A^+ y with the singular values below a cutoff taken as zero, so that a blur's do not blow up the noise.

    Where an operator's `pinv` is a reconstruction of its own, as filtered back-projection is, that is taken.
    """
    f, y = problem.linear, problem.y
    if f.exact_pinv or isinstance(f, Blur):
        return pseudo_inverse(f, y.dtype, cutoff)(y)
    return f.pinv(y)
