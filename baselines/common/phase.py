"""What solvers of phase retrieval share: measured magnitudes, and how well an image explains them.

The channels of a real image are retrieved each by itself, those of a complex one together.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sipbench.operators.phase import FarField, PhaseRetrieval
from sipbench.problem import Problem


def phase_map(problem: Problem) -> PhaseRetrieval:
    """The forward map, seen as |A x| or |A x|^2."""
    assert isinstance(problem.f, PhaseRetrieval)
    return problem.f


def far_field(problem: Problem) -> FarField:
    """The forward map, seen as a Fourier transform on a frame."""
    assert isinstance(problem.f, FarField)
    return problem.f


def magnitudes(problem: Problem) -> Tensor:
    """The measured |A x|, of the shape of y. What noise made negative is zero."""
    y = problem.y.clamp(min=0)
    return y.sqrt() if phase_map(problem).intensity else y


def parts(problem: Problem) -> int:
    """How many independent problems an image is: one a channel, one in all for a complex image."""
    return 1 if "phase" in problem.f.symmetries else problem.shape[1]


def residual(f: PhaseRetrieval, x: Tensor, m: Tensor, count: int) -> Tensor:
    """| |A x| - m | / |m| over what was measured, (B, count): one number for each independent problem."""
    r = f.lift(x).abs() - m
    r = r if f.valid is None else r * f.valid.to(r.dtype)
    each = [v.unflatten(1, (count, -1)).flatten(2).norm(dim=2) for v in (r, m)]
    return each[0] / each[1].clamp(min=torch.finfo(m.dtype).tiny)


def overall(residuals: Tensor) -> Tensor:
    """The residual of each image from those of its independent problems (B, count), which weigh alike."""
    return residuals.square().mean(1).sqrt()


def agree(x: Tensor, symmetries: tuple[str, ...]) -> Tensor:
    """Channels retrieved one by one, each moved over the symmetries so that it correlates most with the first one.

    A measurement that leaves the sign or the turn of each channel open leaves these to be chosen: as the channels of
    a picture look alike, the choice that makes them look alike is the likely one.
    """
    if "phase" in symmetries or x.shape[1] == 1:
        return x
    candidates = [x, x.flip(-2, -1)] if "flip" in symmetries else [x]
    candidates += [-c for c in candidates] if "sign" in symmetries else []
    stack = torch.stack(candidates, 2)
    centred = stack - stack.mean((-2, -1), keepdim=True)
    likeness = (centred * centred[:, :1, :1]).sum((-2, -1))
    best = likeness.argmax(2)[..., None, None, None].expand(-1, -1, 1, *x.shape[-2:])
    moved = stack.gather(2, best)[:, :, 0]
    return torch.cat([x[:, :1], moved[:, 1:]], 1)
