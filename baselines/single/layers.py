"""Layers with one set of parameters an image, so that one network an image can be run side by side.

Every parameter has the images as its first dimension. Convolutions are grouped, one group an image; the batch norm of a
batch of one normalises each channel of each image. So no image can feel another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sipbench.problem import Rng


def reflect(x: Tensor, pad: int) -> Tensor:
    """Reflection padding by concatenation, whose gradient adds up in a fixed order on every device."""
    x = torch.cat([x[..., 1 : pad + 1].flip(-1), x, x[..., -pad - 1 : -1].flip(-1)], -1)
    return torch.cat([x[..., 1 : pad + 1, :].flip(-2), x, x[..., -pad - 1 : -1, :].flip(-2)], -2)


def _spare(x: Tensor) -> int:
    """How many empty channels make a grouped convolution on a CPU two to four times as fast: up to a multiple of 16."""
    blocked = x.device.type == "cpu" and x.dtype == torch.float32 and len(x) > 1 and x.shape[1] > 16
    return -x.shape[1] % 16 if blocked else 0


class Conv(nn.Module):
    """A convolution with reflection padding; weights and biases uniform on +- 1 / sqrt(fan in), torch's default."""

    def __init__(self, rng: Rng, c_in: int, c_out: int, k: int = 1, stride: int = 1, *, dtype: torch.dtype) -> None:
        super().__init__()
        bound = (c_in * k * k) ** -0.5
        self.weight = nn.Parameter(bound * (2 * rng.uniform(c_out, c_in, k, k, dtype=dtype) - 1))
        self.bias = nn.Parameter(bound * (2 * rng.uniform(c_out, dtype=dtype) - 1))
        self.pad, self.stride = k // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        x, weight = (reflect(x, self.pad) if self.pad else x), self.weight
        if spare := _spare(x):
            x, weight = F.pad(x, (0, 0, 0, 0, 0, spare)), F.pad(weight, (0, 0, 0, 0, 0, spare))
        folded = x.reshape(1, -1, *x.shape[2:])
        out = F.conv2d(folded, weight.flatten(0, 1), self.bias.flatten(), self.stride, groups=len(x))
        return out.view(len(x), -1, *out.shape[2:])


class Norm(nn.Module):
    """Batch norm of a batch of one, in training mode always: each channel of each image by itself."""

    def __init__(self, rng: Rng, channels: int, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(len(rng), channels, dtype=dtype, device=rng.device))
        self.bias = nn.Parameter(torch.zeros_like(self.weight))

    def forward(self, x: Tensor) -> Tensor:
        folded = x.reshape(1, -1, *x.shape[2:])
        return F.batch_norm(folded, None, None, self.weight.flatten(), self.bias.flatten(), training=True).view_as(x)


class Block(nn.Module):
    """Convolution, norm, leaky ReLU."""

    def __init__(self, rng: Rng, c_in: int, c_out: int, k: int = 1, stride: int = 1, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv = Conv(rng, c_in, c_out, k, stride, dtype=dtype)
        self.norm = Norm(rng, c_out, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x)), 0.2, inplace=True)
