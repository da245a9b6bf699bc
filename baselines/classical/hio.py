"""Hybrid input-output with error reduction (HIO+ER), and shrinkwrap where the support is not known.

J. R. Fienup: Phase retrieval algorithms: a comparison, Applied Optics 1982.
S. Marchesini et al.: X-ray image reconstruction from a diffraction pattern alone, Phys. Rev. B 2003,
https://arxiv.org/abs/physics/0306174
"""

from __future__ import annotations

import torch

from baselines.classical.projections import Frame, Shrinkwrap
from sipbench.problem import Estimate, Problem


def hio_er(
    problem: Problem,
    *,
    iterations: int = 2000,
    beta: float = 0.5,
    first: float = 0.75,
    hio: int = 20,
    er: int = 20,
    restarts: int = 10,
    box: float = 0.5,
    shrinkwrap: Shrinkwrap | None = Shrinkwrap(),  # noqa: B008
    twin: int | None = None,
    tolerance: float = 1e-5,
) -> Estimate:
    """HIO at length, then blocks of `hio` steps of it and `er` of error reduction, from random phases. With v = P_M u,

        HIO:   u <- v where v is good, u - beta v elsewhere
        ER:    u <- v where v is good, 0 elsewhere

    Good is what lies in the support S, and is not negative where intensities are retrieved. The u in u - beta v is the
    iterate before, not the P_M u before; iterates of HIO are not feasible, so that a block ends with ER. HIO leaves a
    stagnation slowly and ER throws it back: so the first ER comes late, and after it, near the solution, short blocks
    converge the fastest. S is the one that is told, or a centred box, from which shrinkwrap goes on every so many
    steps. Cost: two Fourier transforms of the frame a step and start.

    Args:
        first: share of the steps that pass before the first ER.
        hio, er: steps of each in a block; no ER at all where `er` is 0.
        restarts: random starts run side by side; that with the smallest residual of the data is returned.
        box: side of the first box in each direction, as a share of the frame.
        shrinkwrap: how the support follows the object where it is not told; None keeps the box.
        twin: step at which all but one quadrant is set to zero, which tells an object from its turned twin.
        tolerance: an image counts as converged where one more step of ER moves it by less than this part; ends nothing.
    """
    frame = Frame(problem, restarts, box)
    u, begin = frame.start(), round(first * iterations) if er else iterations
    for k in problem.steps(iterations):
        v = frame.modulus(u)
        hybrid = k < begin or (k - begin) % (hio + er) < hio
        u = torch.where(frame.good(v), v, u - beta * v if hybrid else 0)
        if k == twin:
            u = frame.quadrant(u)
        if shrinkwrap:
            shrinkwrap(frame, u, k)
        if k % 20 == 0:
            problem.show(*frame.best(u))
    return Estimate(frame.best(u)[0], converged=frame.still(u, tolerance))
