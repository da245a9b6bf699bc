"""Far-field phase retrieval end to end: a network predicts the lost phases, and the image follows.

Manekar, Tayal, Zhuang, Lai, Kumar, Sun: Breaking symmetries for far-field phase retrieval end to end, NeurIPS 2020
workshop on deep learning and inverse problems; Zhang, Wan, Zhuang, Sun: What's wrong with end-to-end learning for phase
retrieval?, https://arxiv.org/abs/2403.15448
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from baselines.common.phase import far_field, magnitudes
from baselines.datarich.unet import UNet
from sipbench.problem import Problem


def far_field_net(problem: Problem, *, net: nn.Module, predicts: Literal["phases", "image"] = "phases") -> Tensor:
    """x = F^-1 (m Omega) with phases Omega = u / |u|, or x = u itself, where u = net(log m) and m = |F x|.

    The origin of F is the middle of the frame: there lies what the breaking of shifts has centred, and phases vary
    slowly. Whether the targets are broken is a matter of training: `sipbench train net method=far_field target=...`.
    """
    f, m = far_field(problem), magnitudes(problem)
    u = net(_loudness(m))
    if predicts == "phases":
        omega = u / u.abs().clamp(min=torch.finfo(m.dtype).tiny)
        u = torch.fft.ifft2(torch.fft.ifftshift(m * omega, dim=(-2, -1)), norm="ortho")
        u = torch.fft.fftshift(u, dim=(-2, -1))
    return f.crop(u if "phase" in f.symmetries else u.real)


def _loudness(m: Tensor) -> Tensor:
    """log(1 + 1000 m / max m) / log(1001) of each image."""
    peak = m.flatten(1).amax(1).clamp(min=torch.finfo(m.dtype).tiny).view(-1, 1, 1, 1)
    return (1000 * m / peak).log1p() / torch.tensor(1001.0, dtype=m.dtype).log()


class FieldNet(nn.Module):
    """A U-Net from magnitudes (B, F, H, W) to a complex field, which begins as the magnitudes and a constant.

    Args:
        channels: of the image: two are one complex field, else each is a field of its own.
    """

    def __init__(self, channels: int = 2, width: int = 16, levels: int = 3, blocks: int = 1) -> None:
        super().__init__()
        self.body = UNet(channels if channels == 2 else 2 * channels, width, levels, blocks)

    def forward(self, v: Tensor) -> Tensor:
        weight = next(self.parameters())
        u = self.body(torch.cat([v, torch.zeros_like(v)], 1).to(weight.dtype)).to(v.dtype)
        return torch.complex(*u.chunk(2, 1))
