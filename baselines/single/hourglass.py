"""The hourglass with skip connections of the deep image prior: one network an image, all run side by side.

Every parameter has the images as its first dimension. Convolutions are grouped, one group an image; the batch norm of a
batch of one normalises each channel of each image. So no image can feel another.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sipbench.problem import Rng


def reflect(x: Tensor, pad: int) -> Tensor:
    """Reflection padding by concatenation, whose gradient adds up in a fixed order on every device."""
    x = torch.cat([x[..., 1 : pad + 1].flip(-1), x, x[..., -pad - 1 : -1].flip(-1)], -1)
    return torch.cat([x[..., 1 : pad + 1, :].flip(-2), x, x[..., -pad - 1 : -1, :].flip(-2)], -2)


class Conv(nn.Module):
    """A convolution with reflection padding; weights and biases uniform on +- 1 / sqrt(fan in), torch's default."""

    def __init__(self, rng: Rng, c_in: int, c_out: int, k: int = 1, stride: int = 1, *, dtype: torch.dtype) -> None:
        super().__init__()
        bound = (c_in * k * k) ** -0.5
        self.weight = nn.Parameter(bound * (2 * rng.uniform(c_out, c_in, k, k, dtype=dtype) - 1))
        self.bias = nn.Parameter(bound * (2 * rng.uniform(c_out, dtype=dtype) - 1))
        self.pad, self.stride = k // 2, stride

    def forward(self, x: Tensor) -> Tensor:
        x = reflect(x, self.pad) if self.pad else x
        folded = x.reshape(1, -1, *x.shape[2:])
        out = F.conv2d(folded, self.weight.flatten(0, 1), self.bias.flatten(), self.stride, groups=len(x))
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


class Scale(nn.Module):
    """One scale: down, the deeper scales, up, and a skip from its input to its output."""

    def __init__(
        self, rng: Rng, c_in: int, channels: Sequence[int], skip: Sequence[int], upsample: str, *, dtype: torch.dtype
    ) -> None:
        super().__init__()
        c, *deeper = channels
        self.upsample = upsample
        self.skip = Block(rng, c_in, skip[0], dtype=dtype) if skip[0] else None
        self.down = nn.Sequential(Block(rng, c_in, c, 3, stride=2, dtype=dtype), Block(rng, c, c, 3, dtype=dtype))
        self.deeper = Scale(rng, c, deeper, skip[1:], upsample, dtype=dtype) if deeper else nn.Identity()
        joined = skip[0] + (deeper[0] if deeper else c)
        self.norm = Norm(rng, joined, dtype=dtype)
        self.up = nn.Sequential(Block(rng, joined, c, 3, dtype=dtype), Block(rng, c, c, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        deep = F.interpolate(self.deeper(self.down(x)), scale_factor=2, mode=self.upsample)[..., :h, :w]
        joined = deep if self.skip is None else torch.cat([self.skip(x), deep], 1)
        return self.up(self.norm(joined))


class Hourglass(nn.Module):
    """G_theta: (B, c_in, H, W) -> (B, c_out, H, W) in [0, 1], with one theta for each stream of rng."""

    def __init__(
        self,
        rng: Rng,
        c_in: int,
        c_out: int,
        *,
        channels: Sequence[int] = (128,) * 5,
        skip: Sequence[int] = (4,) * 5,
        upsample: str = "bilinear",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if len(channels) != len(skip):
            raise ValueError(f"channels and skip name one number a scale, not {len(channels)} and {len(skip)} numbers")
        self.scales = Scale(rng, c_in, channels, skip, upsample, dtype=dtype)
        self.depth = len(channels)
        self.head = Conv(rng, channels[0], c_out, dtype=dtype)

    def forward(self, z: Tensor) -> Tensor:
        h, w = z.shape[2:]
        if min(h, w) <= 2**self.depth:
            raise ValueError(
                f"an hourglass of {self.depth} scales needs images of more than {2**self.depth} pixels a side, not "
                f"{h} x {w}: name fewer scales in channels and skip"
            )
        return self.head(self.scales(z)).sigmoid()
