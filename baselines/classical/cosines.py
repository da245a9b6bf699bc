"""The cosine transform of images, whose borders are mirrors, and the power spectrum of natural images in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cosines:
    """The orthonormal transform of type II of every channel, as a matrix for the rows and one for the columns.

    Its frequency k on a side of n pixels is k / 2 cycles an image.
    """

    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, like: Tensor) -> Self:
        """For images like this one."""
        return cls(*(_matrix(n, like) for n in like.shape[-2:]))

    def __call__(self, x: Tensor) -> Tensor:
        return self.rows @ x @ self.columns.T

    def back(self, z: Tensor) -> Tensor:
        return self.rows.T @ z @ self.columns

    def filtered(self, x: Tensor, gain: Tensor) -> Tensor:
        """x with its transform multiplied by a gain."""
        return self.back(gain * self(x))

    def power(self, std: float, exponent: float, corner: float) -> Tensor:
        """s(k) ~ 1 / (|k|^2 + corner^2)^(exponent/2), k in cycles an image, which averages to std^2; (h, w)."""
        k = [torch.arange(len(D), dtype=torch.float64, device=D.device) / 2 for D in (self.rows, self.columns)]
        s = (k[0][:, None].square() + k[1].square() + corner**2) ** (-exponent / 2)
        return (s * std**2 / s.mean()).to(self.rows.dtype)


def _matrix(n: int, like: Tensor) -> Tensor:
    """Row k is cos(pi k (i + 1/2) / n), normalised."""
    i = torch.arange(n, dtype=torch.float64, device=like.device)
    D = torch.cos(torch.pi / n * i[:, None] * (i + 0.5)) * math.sqrt(2 / n)
    D[0] *= math.sqrt(0.5)
    return D.to(like.dtype)
