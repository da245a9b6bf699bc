"""Super-resolution as the deep image prior and its followers measure it: by a Lanczos filter of two lobes."""

from __future__ import annotations

import torch
from torch import Tensor

from sipbench.operators.sampling import Downsampling
from sipbench.problem import Rng


def lanczos_matrix(n: int, factor: int) -> Tensor:
    """The (n / factor, n) matrix of downsampling by Lanczos-2, float64.

    Output sample i sits at u_i = (i + 1/2) factor - 1/2, half way between two pixels (phase 1/2). Its 4 factor weights
    are sinc(t) sinc(t / 2) with t = (j - u_i) / factor, normalised to sum 1; outside the image the edge is repeated.
    """
    first = torch.arange(n // factor)[:, None] * factor - 3 * factor // 2
    taps = torch.arange(4 * factor)
    t = (taps + 0.5 - 2 * factor).double() / factor
    weights = torch.sinc(t) * torch.sinc(t / 2)
    at = (first + taps).clamp(0, n - 1)
    return torch.zeros(n // factor, n, dtype=torch.float64).scatter_add_(
        1, at, (weights / weights.sum()).expand(at.shape)
    )


class LanczosDownsampling(Downsampling):
    """Super-resolution by the filter of `lanczos_matrix`, whose phase of 1/2 wants an even factor."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, factor: int = 4) -> None:
        if factor < 2 or factor % 2:
            raise ValueError(f"Lanczos downsampling of phase 1/2 is by an even factor, not {factor}")
        super().__init__(shape, rng, factor, lambda n: lanczos_matrix(n, factor))
