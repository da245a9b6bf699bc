"""A network from a sinogram to an image: filter, back-projection and post-processing, all learned (iRadonMap).

He, Wang, Ma: Radon Inversion via Deep Learning, IEEE TMI 2020, https://arxiv.org/abs/1808.03015
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.datarich.sizing import Sized
from baselines.datarich.unet import UNet


class IRadonMap(nn.Module):
    """x = u(sum_k w_k(i, j) (F y_k)(s_k(i, j))): u is a residual U-Net, F a matrix that all views share.

    The weight w_k of each pixel in each view is learned. Where a pixel falls, s_k, is that of parallel beams whose
    views lie evenly over half a turn, rounded to a detector as wide as a pixel: presumed of the shape of y alone.
    It has D^2 + V H W parameters for V views and D detectors before those of u.

    Args:
        channels: of the image.
        width: channels of the U-Net at full resolution; they double at each of the `levels` below.
        levels: how often it halves the sides.
        blocks: residual blocks a level, on the way down and on the way up.
    """

    def __init__(self, channels: int = 1, width: int = 16, levels: int = 3, blocks: int = 1) -> None:
        super().__init__()
        self.inverse, self.unet = BackProjection(), UNet(channels, width, levels, blocks)

    def forward(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.unet(self.inverse(y, shape))


class BackProjection(Sized):
    """F begins as the identity, and each pixel as the mean over the views of what it falls on."""

    filter: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__(parameters=["filter", "weight"])

    def size(self, y: Tensor, shape: tuple[int, ...]) -> None:
        views, detectors = y.shape[-2:]
        pixels = shape[-2] * shape[-1]
        self.fill(
            filter=torch.eye(detectors, device=y.device),
            weight=torch.full((views, pixels), 1 / views, device=y.device),
        )

    def forward(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        views, detectors = y.shape[-2:]
        falls = sinusoids(views, detectors, shape[-2], shape[-1], y.device)
        seen = (y @ self.filter.T).flatten(0, 1)[:, torch.arange(views, device=y.device)[:, None], falls]
        return (self.weight * seen).sum(1).view(shape)


def sinusoids(views: int, detectors: int, h: int, w: int, device: torch.device) -> Tensor:
    """The detector that each pixel falls on in each view, (V, H W)."""
    angle = torch.pi / views * torch.arange(views, dtype=torch.float64, device=device)[:, None, None]
    i, j = (torch.arange(n, dtype=torch.float64, device=device) - (n - 1) / 2 for n in (h, w))
    s = j * angle.cos() - i[:, None] * angle.sin() + (detectors - 1) / 2
    return s.round().long().clamp(0, detectors - 1).flatten(1)
