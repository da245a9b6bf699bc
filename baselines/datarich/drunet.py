"""The denoiser of DPIR: a residual U-Net that is told the noise level (DRUNet).

Zhang, Li, Zuo, Zhang, Van Gool, Timofte: Plug-and-Play Image Restoration with Deep Denoiser Prior, IEEE TPAMI 2022,
https://arxiv.org/abs/2008.13751
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.algebra import each

MULTIPLE = 16  # of a side, as in the public code; it is halved three times


class DRUNet(nn.Module):
    """x = u(v, sigma) on intensities, [0, 1], with sigma as one more channel; no biases, no normalisation.

    The architecture and the names of its weights are those of the released networks drunet_color and drunet_gray, which
    have the defaults. Images are continued to a multiple of sixteen pixels a side.

    Args:
        channels: of the image.
        widths: channels at each of the four resolutions.
        blocks: residual blocks at each, on the way down, in the middle and on the way up.
    """

    def __init__(
        self, channels: int = 3, widths: tuple[int, int, int, int] = (64, 128, 256, 512), blocks: int = 4
    ) -> None:
        super().__init__()
        a, b, c, d = widths
        self.m_head = _conv(channels + 1, a)
        self.m_down1 = nn.Sequential(*_blocks(a, blocks), nn.Conv2d(a, b, 2, stride=2, bias=False))
        self.m_down2 = nn.Sequential(*_blocks(b, blocks), nn.Conv2d(b, c, 2, stride=2, bias=False))
        self.m_down3 = nn.Sequential(*_blocks(c, blocks), nn.Conv2d(c, d, 2, stride=2, bias=False))
        self.m_body = nn.Sequential(*_blocks(d, blocks))
        self.m_up3 = nn.Sequential(nn.ConvTranspose2d(d, c, 2, stride=2, bias=False), *_blocks(c, blocks))
        self.m_up2 = nn.Sequential(nn.ConvTranspose2d(c, b, 2, stride=2, bias=False), *_blocks(b, blocks))
        self.m_up1 = nn.Sequential(nn.ConvTranspose2d(b, a, 2, stride=2, bias=False), *_blocks(a, blocks))
        self.m_tail = _conv(a, channels)
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.2 / weight[0].numel() ** 0.5)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The image, of x on [-1, 1] with noise of standard deviation sigma, (B,)."""
        h, w = x.shape[-2:]
        v = torch.cat([(x + 1) / 2, each(sigma.to(x) / 2, x).expand(-1, 1, h, w)], 1)
        v = F.pad(v, (0, -w % MULTIPLE, 0, -h % MULTIPLE), mode="replicate")
        x1 = self.m_head(v)
        x2 = self.m_down1(x1)
        x3 = self.m_down2(x2)
        x4 = self.m_down3(x3)
        u = self.m_up3(self.m_body(x4) + x4)
        u = self.m_up1(self.m_up2(u + x3) + x2)
        return 2 * self.m_tail(u + x1)[..., :h, :w] - 1


class _Residual(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.res = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.res(x)


def _conv(before: int, after: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, padding=1, bias=False)


def _blocks(width: int, n: int) -> list[nn.Module]:
    return [_Residual(width) for _ in range(n)]
