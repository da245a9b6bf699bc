"""A variational autoencoder with one code an image: the generator that codes are looked for in.

Kingma, Welling: Auto-Encoding Variational Bayes, ICLR 2014, https://arxiv.org/abs/1312.6114
"""

from __future__ import annotations

from torch import Tensor, nn


class VAE(nn.Module):
    """G: R^k -> image, with the encoder that it was trained beside. Each image is by itself: nothing is normalised.

    G is a chain of `stages`, G = G_L o ... o G_1: a linear map to a small picture, then for each doubling of the side a
    residual block and a transposed convolution. Any side will do; one with many factors of two makes a small network.

    Args:
        size: the side of the images.
        channels: theirs.
        code: k, the numbers in a code.
        width: channels at full resolution; they double with each halving, up to `widest`.

    Attributes:
        latent: the shape of a code.
        depth: the number of stages.
    """

    def __init__(self, size: int = 64, channels: int = 3, code: int = 128, width: int = 32, widest: int = 96) -> None:
        super().__init__()
        side, widths = size, [width]
        while side % 2 == 0 and side > 4:
            side, widths = side // 2, [*widths, min(widest, 2 * widths[-1])]
        top, pairs = widths[-1], list(zip(widths, widths[1:], strict=False))
        down = [m for a, b in pairs for m in (nn.SiLU(), nn.Conv2d(a, b, 3, 2, 1))]
        self.latent = (code,)
        self.encoder = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), *down, nn.SiLU(), nn.Flatten(), nn.Linear(top * side**2, 2 * code)
        )
        grow = [nn.Sequential(Residual(b), nn.SiLU(), nn.ConvTranspose2d(b, a, 4, 2, 1)) for a, b in reversed(pairs)]
        first = nn.Sequential(nn.Linear(code, top * side**2), nn.Unflatten(1, (top, side, side)))
        last = nn.Sequential(nn.SiLU(), _conv(width, channels))
        self.stages = nn.ModuleList([first, *grow, last])

    @property
    def depth(self) -> int:
        return len(self.stages)

    def forward(self, h: Tensor, begin: int = 0, end: int | None = None) -> Tensor:
        """The image of a code; or what the stages from `begin` on, up to before `end`, make of what they are given."""
        for stage in self.stages[begin:end]:
            h = stage(h)
        return h

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the logarithm of the variance of each number of the code, given the image."""
        mean, logvar = self.encoder(x).chunk(2, 1)
        return mean, logvar.clamp(-20, 10)


class Residual(nn.Module):
    """x + conv(silu(conv(silu(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.SiLU(), _conv(width, width), nn.SiLU(), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _conv(a: int, b: int) -> nn.Conv2d:
    return nn.Conv2d(a, b, 3, padding=1)
