"""The stop of a controlled spectral bias: blurriness over sharpness, measured on the iterates alone.

Z. Shi, P. Mettes, S. Maji, C. G. M. Snoek: On Measuring and Controlling the Spectral Bias of the Deep Image Prior,
IJCV 2022, https://arxiv.org/abs/2107.01125
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Ratio:
    """Each iterate is better than the one before, until the mean of blur / sharpness changes by less than epsilon.

    The means are over the last n iterations and over the n before them.
    """

    def __init__(self, n: int, epsilon: float) -> None:
        self.n, self.epsilon, self.k = n, epsilon, 0
        self.r: list[Tensor] = []
        self.over: Tensor | None = None

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor:
        self.k += 1
        self.r = [*self.r, blurriness(x) / sharpness(x)][-2 * self.n :]
        score = torch.full((len(x),), -float(self.k), dtype=torch.float64, device=x.device)
        self.over = torch.zeros_like(score, dtype=torch.bool) if self.over is None else self.over
        score = score.masked_fill(self.over, torch.inf)
        if self.k > 2 * self.n:
            r = torch.stack(self.r)
            self.over = self.over | ((r[: self.n].mean(0) - r[self.n :].mean(0)).abs() < self.epsilon)
        return score


def grey(x: Tensor) -> Tensor:
    """Intensities in [0, 1] of images (B, 1 or 3, H, W) or of complex ones: (B, H, W)."""
    if x.shape[1] == 2:
        return x.norm(dim=1).clamp(0, 1)
    u = (x + 1) / 2
    if x.shape[1] == 3:
        u = 0.2989 * u[:, :1] + 0.5870 * u[:, 1:2] + 0.1140 * u[:, 2:]
    return u.mean(1).clamp(0, 1)


def blurriness(x: Tensor) -> Tensor:
    """How little of its differences an image loses to a 9-tap box blur, the larger of both directions (Crete 2007)."""
    u = grey(x)[:, None]
    if min(u.shape[2:]) < 13:
        raise ValueError(f"blurriness needs images of at least 13 pixels a side, not {u.shape[2]} x {u.shape[3]}")
    core = u[..., 5:-4, 5:-4]
    lost = []
    for dim, size in ((-1, (1, 9)), (-2, (9, 1))):
        blurred = F.avg_pool2d(u, size, stride=1)
        blurred = blurred[..., 5:-4, 1:] if dim == -1 else blurred[..., 1:, 5:-4]
        sharp, soft = (v.diff(dim=dim).abs() for v in (core, blurred))
        inner = (slice(1, -1), slice(0, -1)) if dim == -1 else (slice(0, -1), slice(1, -1))
        sharp, soft = sharp[(..., *inner)].flatten(1), soft[(..., *inner)].flatten(1)
        lost.append(1 - (sharp - soft).clamp(min=0).sum(1) / sharp.sum(1))
    return torch.maximum(*lost)


def sharpness(x: Tensor, largest: int = 1000) -> Tensor:
    """The root mean square of the largest local rises of intensity, weighted by exp(-rank / 100).

    As in the public code: the rise to the largest of eight neighbours, and without the two largest of all.
    """
    u = grey(x)[:, None, 2:-1, 2:-1]
    rises = (F.max_pool2d(u, 3, 1, 1) - u).flatten(1).sort(1, descending=True).values[:, 2 : largest + 1]
    rank = torch.arange(2, 2 + rises.shape[1], dtype=x.dtype, device=x.device)
    return (rises * (-rank / 100).exp()).square().mean(1).sqrt()
