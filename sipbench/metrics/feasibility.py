"""How well an estimate explains the measurement. The truth is not needed."""

from __future__ import annotations

import torch
from torch import Tensor

from sipbench.operators.base import Operator
from sipbench.problem import Estimate, Problem


def feasibility(problem: Problem, estimate: Estimate) -> tuple[Tensor, Tensor]:
    """The residual of each image, and the same in units of the noise level; (B,) and (B,).

    The noise level is what the noise model expects of y - f(x) at f(x_hat), its root mean square. NaN where nothing can
    be said: f is blind and the estimate brings no theta, or the noise is hidden or zero.
    """
    f, y = problem.f, problem.y
    if f.blind and estimate.theta is None:
        unknown = torch.full((len(y),), torch.nan, dtype=torch.float64)
        return unknown, unknown
    with torch.no_grad():
        clean = f(estimate.x, estimate.theta) if f.blind else f(estimate.x)
    found = _rms((y - clean).double(), f.valid)
    if problem.noise is None:
        return found, torch.full_like(found, torch.nan)
    level = _rms(problem.noise.rms(clean).double().expand_as(y), f.valid)
    return found, torch.where(level > 0, found / level, torch.nan)


@torch.no_grad()
def residual(f: Operator, y: Tensor, x_hat: Tensor) -> Tensor:
    """Root mean square of y - f(x_hat) of each image, (B,), in the units of y.

    The mean runs over the entries that carry information (``f.valid``), as they are: an estimate is not clipped. At the
    truth the expected value is the noise level sigma, so residual / sigma is about 1 for an estimate that fits neither
    too little nor the noise. An image none of whose entries carries information has NaN.
    """
    return _rms((y - f(x_hat)).double(), f.valid)


def _rms(r: Tensor, valid: Tensor | None) -> Tensor:
    """The root mean square of each image over the valid entries."""
    mask = torch.ones_like(r, dtype=torch.bool) if valid is None else (valid != 0).expand_as(r)
    return (r.where(mask, 0).square().flatten(1).sum(1) / mask.flatten(1).sum(1)).sqrt()
