"""Error reduction (ER): alternating projections, Gerchberg and Saxton's algorithm with a support.

J. R. Fienup: Phase retrieval algorithms: a comparison, Applied Optics 1982.
"""

from __future__ import annotations

from baselines.classical.projections import Frame
from sipbench.problem import Estimate, Problem


def er(
    problem: Problem, *, iterations: int = 2000, restarts: int = 10, box: float = 0.5, tolerance: float = 1e-5
) -> Estimate:
    """u <- P_S P_M u from random phases: the residual | |F u| - m | never grows, and soon hardly falls.

    P_M gives the field the measured magnitudes, P_S is zero outside of the support (told, or a centred box of this
    share of the frame in each direction) and where intensities would be negative. `restarts` random starts run side by
    side; that with the smallest residual of the data is returned. It counts as converged where one more step moves it
    by less than a part `tolerance`, which ends nothing. Cost: two Fourier transforms of the frame a step and start.
    """
    frame = Frame(problem, restarts, box)
    u = frame.start()
    for k in problem.steps(iterations):
        u = frame.confine(frame.modulus(u))
        if k % 20 == 0:
            problem.show(*frame.best(u))
    return Estimate(frame.best(u)[0], converged=frame.still(u, tolerance))
