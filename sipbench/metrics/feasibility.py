"""How well an estimate explains the measurement. The truth is not needed."""

from __future__ import annotations

import torch
from torch import Tensor

from sipbench.operators.base import Operator


@torch.no_grad()
def residual(f: Operator, y: Tensor, x_hat: Tensor) -> Tensor:
    """Root mean square of y - f(x_hat) of each image, (B,), in the units of y.

    The mean runs over the entries that carry information (``f.valid``), as they are: an estimate is not clipped. At the
    truth the expected value is the noise level sigma, so residual / sigma is about 1 for an estimate that fits neither
    too little nor the noise. An image none of whose entries carries information has NaN.
    """
    r = (y - f(x_hat)).abs().double()
    valid = torch.ones_like(r, dtype=torch.bool) if f.valid is None else (f.valid != 0).expand_as(r)
    total = r.where(valid, 0).square().flatten(1).sum(1)
    return (total / valid.flatten(1).sum(1)).sqrt()
