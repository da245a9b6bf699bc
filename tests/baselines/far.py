"""Far-field problems with known answers: crystals of 64 pixels in a frame of 192, in double precision."""

import torch.nn.functional as F

from sipbench.datasets.crystals import Crystals
from sipbench.operators.phase_diffraction import DiffractionPattern
from sipbench.problem import Problem, Rng


def crystal(index, *, phase=3.0, size=64, frame=192):
    """A crystal with a sharp edge, which lies within size x size pixels of a frame: (1, 2, frame, frame)."""
    x = Crystals("validation", 2 * size, phase).load([index]).double()
    x = x[..., size // 2 : -size // 2, size // 2 : -size // 2]
    x = x * (x.norm(dim=1, keepdim=True) >= 0.5)
    pad = (frame - size) // 2
    return F.pad(x, (pad, pad, pad, pad))


def pose(x, *, support=None, starts=1, seed=0, f=None):
    """The pattern of each crystal, once for each of so many streams. `support` may be "exact"."""
    x = x.repeat_interleave(starts, 0)
    rng = Rng.of(seed, "far", range(len(x)))
    if f is None:
        support = (x.norm(dim=1, keepdim=True) > 0) if support == "exact" else support
        f = DiffractionPattern(tuple(x.shape), rng, support=support)
    return Problem(f(x), f, None, tuple(x.shape), None, rng.child("solver")), x


def residual(problem, x):
    """| |F x| - m | / |m| of each image."""
    m, field = problem.y.sqrt(), problem.f.lift(x).abs()
    return (field - m).flatten(1).norm(dim=1) / m.flatten(1).norm(dim=1)
