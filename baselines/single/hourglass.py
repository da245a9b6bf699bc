"""The hourglass with skip connections of the deep image prior: one network an image, all run side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.single.layers import Block, Conv, Norm
from sipbench.problem import Rng

Downsample = Literal["stride", "average"]


class Scale(nn.Module):
    """One scale: down, the deeper scales, up, and a skip from its input to its output."""

    def __init__(
        self,
        rng: Rng,
        c_in: int,
        channels: Sequence[int],
        skip: Sequence[int],
        upsample: Sequence[str],
        *,
        kernel: int = 3,
        downsample: Downsample = "stride",
        up_1x1: bool = True,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        c, *deeper = channels
        block = partial(Block, rng, dtype=dtype)
        rest = {"kernel": kernel, "downsample": downsample, "up_1x1": up_1x1, "dtype": dtype}
        self.upsample = upsample[0]
        self.skip = block(c_in, skip[0]) if skip[0] else None
        halved = (
            block(c_in, c, kernel, stride=2) if downsample == "stride" else Pooled(rng, c_in, c, kernel, dtype=dtype)
        )
        self.down = nn.Sequential(halved, block(c, c, kernel))
        self.deeper = Scale(rng, c, deeper, skip[1:], upsample[1:], **rest) if deeper else nn.Identity()
        joined = skip[0] + (deeper[0] if deeper else c)
        self.norm = Norm(rng, joined, dtype=dtype)
        self.up = nn.Sequential(block(joined, c, 3), *([block(c, c)] if up_1x1 else []))

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        deep = F.interpolate(self.deeper(self.down(x)), scale_factor=2, mode=self.upsample)[..., :h, :w]
        joined = deep if self.skip is None else torch.cat([self.skip(x), deep], 1)
        return self.up(self.norm(joined))


class Pooled(Block):
    """A block whose convolution is followed by average pooling in place of a stride."""

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(F.avg_pool2d(self.conv(x), 2, ceil_mode=True)), 0.2)


class Hourglass(nn.Module):
    """G_theta: (B, c_in, H, W) -> (B, c_out, H, W) in [0, 1], with one theta for each stream of rng.

    Args:
        channels, skip: the widths of the scales, from the finest, and those of their skips; 0 is none.
        upsample: bilinear or nearest, for all scales or one a scale.
        kernel: the side of the kernels on the way down; on the way up it is 3.
        downsample: stride, or average pooling after the convolution.
        up_1x1: whether a 1 x 1 convolution follows on the way up.
        head: sigmoid, or none for what is not an image.
    """

    def __init__(
        self,
        rng: Rng,
        c_in: int,
        c_out: int,
        *,
        channels: Sequence[int] = (128,) * 5,
        skip: Sequence[int] = (4,) * 5,
        upsample: str | Sequence[str] = "bilinear",
        kernel: int = 3,
        downsample: Downsample = "stride",
        up_1x1: bool = True,
        head: Literal["sigmoid", "none"] = "sigmoid",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if len(channels) != len(skip):
            raise ValueError(f"channels and skip name one number a scale, not {len(channels)} and {len(skip)} numbers")
        modes = [upsample] * len(channels) if isinstance(upsample, str) else list(upsample)
        options = {"kernel": kernel, "downsample": downsample, "up_1x1": up_1x1, "dtype": dtype}
        self.scales = Scale(rng, c_in, channels, skip, modes, **options)
        self.depth, self.sigmoid = len(channels), head == "sigmoid"
        self.head = Conv(rng, channels[0], c_out, dtype=dtype)

    def forward(self, z: Tensor) -> Tensor:
        h, w = z.shape[2:]
        if min(h, w) <= 2**self.depth:
            raise ValueError(
                f"an hourglass of {self.depth} scales needs images of more than {2**self.depth} pixels a side, not "
                f"{h} x {w}: name fewer scales in channels and skip"
            )
        out = self.head(self.scales(z))
        return out.sigmoid() if self.sigmoid else out
