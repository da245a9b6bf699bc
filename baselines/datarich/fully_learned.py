"""Fully learned reconstruction: the forward map is not told, and its inverse is learned with the rest.

After Zhu, Liu, Cauley, Rosen, Rosen: Image Reconstruction by Domain-Transform Manifold Learning, Nature 2018,
https://doi.org/10.1038/nature25988
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from baselines.datarich.sizing import Sized, normal
from baselines.datarich.unet import UNet
from sipbench.problem import Problem


def fully_learned(problem: Problem, *, net: nn.Module) -> Tensor:
    """x = net(y): one evaluation of a network that makes an image of a measurement of any shape."""
    y = problem.y
    return net(y.to(next(net.parameters()).dtype), problem.shape).to(y.dtype)


class FullyLearned(nn.Module):
    """x = u(U V y): a linear map of all of y to all of the image, and a residual U-Net after it.

    The linear map has rank r, so that it has r (m + n) parameters for m measurements and n values of an image, where a
    dense one has m n: for few-view tomography at 64 pixels and r = 64, 0.6 million and not 22. The best map of rank r
    gives the r directions of the images that y tells most about, and the U-Net the rest.

    Args:
        channels: of the image.
        rank: of the linear map.
        width: channels of the U-Net at full resolution; they double at each of the `levels` below.
        levels: how often it halves the sides.
        blocks: residual blocks a level, on the way down and on the way up.
    """

    def __init__(self, channels: int = 3, rank: int = 64, width: int = 16, levels: int = 2, blocks: int = 1) -> None:
        super().__init__()
        self.inverse, self.unet = LowRank(rank), UNet(channels, width, levels, blocks)

    def forward(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        return self.unet(self.inverse(y, shape))


class LowRank(Sized):
    """U V y, with y in units of the root mean square of the first measurements."""

    U: Tensor
    V: Tensor
    scale: Tensor

    def __init__(self, rank: int) -> None:
        super().__init__(parameters=["U", "V"], buffers=["scale"])
        self.rank = rank

    def size(self, y: Tensor, shape: tuple[int, ...]) -> None:
        m, n = y[0].numel(), math.prod(shape[1:])
        rms = y.float().square().mean().sqrt()
        self.fill(
            V=normal(self.rank, m, std=m**-0.5, like=y),
            U=normal(n, self.rank, std=0.1 * self.rank**-0.5, like=y),
            scale=1 / rms.clamp(min=torch.finfo(torch.float32).tiny),
        )

    def forward(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        code = (self.scale * y).flatten(1) @ self.V.T
        return (code @ self.U.T).view(-1, *shape[1:])
