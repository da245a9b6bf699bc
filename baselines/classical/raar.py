"""Relaxed averaged alternating reflections (RAAR), and shrinkwrap where the support is not known.

D. R. Luke: Relaxed averaged alternating reflections for diffraction imaging, Inverse Problems 2005,
https://arxiv.org/abs/math/0405208
"""

from __future__ import annotations

import torch

from baselines.classical.projections import Frame, Shrinkwrap
from sipbench.problem import Estimate, Problem


def raar(
    problem: Problem,
    *,
    iterations: int = 2000,
    beta: float = 0.99,
    first: float = 0.95,
    raar: int = 0,
    er: int = 100,
    restarts: int = 10,
    box: float = 0.5,
    shrinkwrap: Shrinkwrap | None = Shrinkwrap(),  # noqa: B008
    tolerance: float = 1e-5,
) -> Estimate:
    """u <- beta / 2 (R_S R_M + 1) u + (1 - beta) P_M u with the reflections R = 2 P - 1, from random phases.

    With v = P_M u, written out:

        u <- v                          where 2 v - u is good
        u <- beta u + (1 - 2 beta) v    elsewhere

    Good is what lies in the support S, and is not negative where intensities are retrieved. S is the one that is told,
    or a centred box, from which shrinkwrap goes on. As with HIO, error reduction throws the iterates back into the
    stagnation that they were leaving, so that it comes late: after that, blocks of `raar` steps and `er` of error
    reduction, whose iterates are feasible. Cost: two Fourier transforms of the frame a step and start. Beside the paper
    and the public code: docs/notes/raar.md.

    Args:
        first: share of the steps that pass before the first error reduction.
        raar, er: steps of each in a block; no error reduction at all where `er` is 0.
        restarts: random starts run side by side; that with the smallest residual of the data is returned.
        box: side of the first box in each direction, as a share of the frame.
        shrinkwrap: how the support follows the object where it is not told; None keeps the box.
        tolerance: an image counts as converged where one more step of ER moves it by less than this part; ends nothing.
    """
    frame = Frame(problem, restarts, box)
    u, begin = frame.start(), round(first * iterations) if er else iterations
    for k in problem.steps(iterations):
        v = frame.modulus(u)
        if k < begin or (k - begin) % (raar + er) < raar:
            u = torch.where(frame.good(2 * v - u), v, beta * u + (1 - 2 * beta) * v)
        else:
            u = frame.confine(v)
        if shrinkwrap:
            shrinkwrap(frame, u, k)
        if k % 20 == 0:
            problem.show(*frame.best(u))
    return Estimate(frame.best(u)[0], converged=frame.still(u, tolerance))
