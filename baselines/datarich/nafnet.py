"""A U-Net of blocks without activation functions (NAFNet).

Chen, Chu, Zhang, Sun: Simple Baselines for Image Restoration, ECCV 2022, https://arxiv.org/abs/2204.04676
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from baselines.datarich.sizing import to_multiples


class NAFNet(nn.Module):
    """x = v + u(v); normalised over the channels of each pixel, so that no image feels another. Weights are named as
    the released ones. It starts as the identity. Sides may be of any length.

    Args:
        channels: of the image.
        width: channels at full resolution; they double at each of the `levels` below.
        levels: how often the sides are halved.
        blocks: blocks a level, on the way down and on the way up.
        middle: blocks at the lowest resolution.
    """

    def __init__(self, channels: int = 3, width: int = 32, levels: int = 3, blocks: int = 1, middle: int = 1) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels + 1)]
        steps = list(zip(widths, widths[1:], strict=False))
        self.intro = nn.Conv2d(channels, width, 3, padding=1)
        self.encoders = nn.ModuleList(_blocks(a, blocks) for a, _ in steps)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in steps)
        self.middle_blks = _blocks(widths[-1], middle)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b, 2 * b, 1, bias=False), nn.PixelShuffle(2)) for _, b in reversed(steps)
        )
        self.decoders = nn.ModuleList(_blocks(a, blocks) for a, _ in reversed(steps))
        self.ending = nn.Conv2d(width, channels, 3, padding=1)
        for parameter in self.ending.parameters():
            nn.init.zeros_(parameter)

    def forward(self, v: Tensor) -> Tensor:
        x, skips = self.intro(to_multiples(v, 2 ** len(self.downs))), []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.middle_blks(x)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(up(x) + skips.pop())
        h, w = v.shape[-2:]
        return v + self.ending(x)[..., :h, :w]


class NAFBlock(nn.Module):
    """x + beta g(norm(x)), then x + gamma h(norm(x)): a convolution of each channel, and a mixing of the channels.

    In the place of an activation stands the simple gate, (a, b) -> a b of the halves of the channels; in that of
    attention each channel times a linear map of all channels' means. beta and gamma start at zero.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, 2 * width, 1)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.conv3 = nn.Conv2d(width, width, 1)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.conv4 = nn.Conv2d(width, 2 * width, 1)
        self.conv5 = nn.Conv2d(width, width, 1)
        self.norm1, self.norm2 = ChannelNorm(width), ChannelNorm(width)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        v = gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.beta * self.conv3(v * self.sca(v))
        return x + self.gamma * self.conv5(gate(self.conv4(self.norm2(x))))


class ChannelNorm(nn.Module):
    """Zero mean and unit variance over the channels of each pixel, then a scale and an offset for each channel."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        d = x - x.mean(1, keepdim=True)
        unit = d / (d.square().mean(1, keepdim=True) + self.eps).sqrt()
        return self.weight.view(1, -1, 1, 1) * unit + self.bias.view(1, -1, 1, 1)


def gate(x: Tensor) -> Tensor:
    """The product of the two halves of the channels."""
    a, b = x.chunk(2, dim=1)
    return a * b


def _blocks(width: int, n: int) -> Any:
    return nn.Sequential(*(NAFBlock(width) for _ in range(n)))
