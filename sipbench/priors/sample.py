"""Unconditional samples of a prior: to look at what it knows."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from sipbench.priors.base import Prior


@torch.no_grad()
def ddim(prior: Prior, z: Tensor, *, steps: int = 100, clip: bool = True) -> Tensor:
    """Deterministic sampling (DDIM, eta = 0): x_s = alpha_s x_hat + sigma_s (x_t - alpha_t x_hat) / sigma_t."""
    times = prior.times(steps)
    x_t = prior.scales(times[0])[1] * z
    for t, s in pairwise(times):
        alpha_t, sigma_t = prior.scales(t)
        alpha_s, sigma_s = prior.scales(s)
        x_hat = prior.denoise(x_t, t)
        x_hat = x_hat.clamp(-1, 1) if clip else x_hat
        x_t = alpha_s * x_hat + sigma_s / sigma_t * (x_t - alpha_t * x_hat)
    return x_t
