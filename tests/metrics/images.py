"""Pairs of an image and a noisy estimate of it, with edges, flat parts and texture."""

import torch
from torch import Tensor


def pair(b: int = 3, c: int = 3, h: int = 33, w: int = 47, noise: float = 0.2) -> tuple[Tensor, Tensor]:
    """An estimate and the truth. Each image is worse than the one before; some values leave [-1, 1]."""
    g = torch.Generator().manual_seed(b * h + w)
    rows, columns = torch.linspace(-1, 1, h)[:, None], torch.linspace(-1, 1, w)
    disc = (rows**2 + columns**2 < 0.5).float()
    wave = torch.sin(12 * rows + torch.rand(b, c, 1, 1, generator=g) * 20 * columns)
    x = (1.4 * disc - 0.7 + 0.4 * wave * (columns > 0)).clamp(-1, 1)
    level = noise * torch.arange(1, b + 1).view(b, 1, 1, 1)
    return x + level * torch.randn(x.shape, generator=g), x
