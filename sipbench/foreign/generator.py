"""Generators made elsewhere: TorchScript and programs of torch.export, which are code, and load only when trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from sipbench.foreign.load import network


class Generator(nn.Module):
    """G(z) with the shape of its codes; what it draws on [low, high] comes out on [-1, 1]."""

    def __init__(self, inner: nn.Module, latent: Sequence[int], low: float = -1.0, high: float = 1.0) -> None:
        super().__init__()
        self.inner, self.latent = inner, tuple(latent)
        self.low, self.high = low, high

    def forward(self, z: Tensor) -> Tensor:
        return 2 * (self.inner(z) - self.low) / (self.high - self.low) - 1


def generator(
    path: str | Path, *, latent: Sequence[int], low: float = -1.0, high: float = 1.0, trusted: bool = False
) -> Generator:
    """The generator of a file.

    Args:
        latent: the shape of a code, such as [100], or [100, 1, 1] of a DCGAN.
        low, high: the range of the images that it draws.
        trusted: whether a file that is code may be loaded.
    """
    return Generator(network(path, trusted=trusted), latent, low, high)
