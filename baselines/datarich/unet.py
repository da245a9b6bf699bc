"""A residual U-Net.

Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015,
https://arxiv.org/abs/1505.04597; in the residual form of Jin, McCann, Froustey, Unser: Deep Convolutional Neural
Network for Inverse Problems in Imaging, IEEE TIP 2017, https://arxiv.org/abs/1611.03679
"""

from __future__ import annotations

from torch import Tensor, nn

from baselines.datarich.sizing import to_multiples


class UNet(nn.Module):
    """x = v + u(v), without normalisation over the batch; it starts as the identity. Sides may be of any length.

    Args:
        channels: of the image.
        width: channels at full resolution; they double at each of the `levels` below.
        blocks: residual blocks a level, on the way down and on the way up.
    """

    def __init__(self, channels: int = 3, width: int = 32, levels: int = 3, blocks: int = 1) -> None:
        super().__init__()
        widths = [width * 2**i for i in range(levels + 1)]
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList(_blocks(w, blocks) for w in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(widths, widths[1:], strict=False))
        self.middle = _blocks(widths[-1], blocks)
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in zip(widths, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(_blocks(w, blocks) for w in widths[:-1])
        self.tail = nn.Conv2d(width, channels, 3, padding=1)
        for parameter in self.tail.parameters():
            nn.init.zeros_(parameter)

    def forward(self, v: Tensor) -> Tensor:
        x, skips = self.head(to_multiples(v, 2 ** len(self.shrink))), []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            x = block(x)
            skips.append(x)
            x = shrink(x)
        x = self.middle(x)
        for block, grow in zip(reversed(self.up), reversed(self.grow), strict=True):  # pyright: ignore
            x = block(grow(x) + skips.pop())
        h, w = v.shape[-2:]
        return v + self.tail(x)[..., :h, :w]


class _Residual(nn.Module):
    """x + conv(silu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _blocks(width: int, n: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width) for _ in range(n)))
