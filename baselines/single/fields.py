"""The networks and encodings of implicit representations: one an image, parameters with the images first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sipbench.problem import Rng

PRIME = 2_654_435_761  # of the spatial hash, ix xor iy PRIME


class Linear(nn.Module):
    """x W + b with W (B, n, m) and b (B, 1, m): one layer an image, x being (B, P, n)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


def uniform(rng: Rng, n: int, m: int, bound: float, dtype: torch.dtype) -> Tensor:
    return bound * (2 * rng.uniform(n, m, dtype=dtype) - 1)


class Sine(nn.Module):
    """sin(omega x)."""

    def __init__(self, omega: float) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, x: Tensor) -> Tensor:
        return (self.omega * x).sin()


def sine_network(rng: Rng, c_out: int, hidden: int, layers: int, omega: float, dtype: torch.dtype) -> nn.Sequential:
    """layers + 1 layers sin(omega (x W + b)) on two coordinates, and a linear one.

    W is uniform on +- 1/2 in the first layer and on +- sqrt(6 / n) / omega after it, so that the later arguments of
    the sines start nearly as standard normals; b has torch's default, +- 1 / sqrt(n).
    """
    widths = [2, *[hidden] * (layers + 1), c_out]
    modules: list[nn.Module] = []
    for i, (n, m) in enumerate(zip(widths, widths[1:], strict=False)):
        bound = 1 / n if i == 0 else (6 / n) ** 0.5 / omega
        modules += [Linear(uniform(rng, n, m, bound, dtype), uniform(rng, 1, m, n**-0.5, dtype)), Sine(omega)]
    return nn.Sequential(*modules[:-1])


def relu_network(rng: Rng, widths: Sequence[int], bias: float | None, dtype: torch.dtype) -> nn.Sequential:
    """Linear layers with ReLU in between, W normal of variance 2 / (n + m) (Glorot), b normal of std `bias` or none."""
    modules: list[nn.Module] = []
    for n, m in zip(widths, widths[1:], strict=False):
        W = (2 / (n + m)) ** 0.5 * rng.normal(n, m, dtype=dtype)
        modules += [Linear(W, None if bias is None else bias * rng.normal(1, m, dtype=dtype)), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class FourierFeatures(nn.Module):
    """(cos 2 pi B v, sin 2 pi B v) of coordinates v (B, P, 2), B normal of standard deviation `scale`; fixed."""

    def __init__(self, rng: Rng, features: int, scale: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.B = scale * rng.normal(2, features, dtype=dtype)

    def forward(self, v: Tensor) -> Tensor:
        phase = 2 * math.pi * (v @ self.B)
        return torch.cat([phase.cos(), phase.sin()], -1)


class HashGrid(nn.Module):
    """Features at the vertices of grids of growing resolution, interpolated at fixed coordinates v (P, 2) in [0, 1].

    A grid with more than 2^log2_T vertices shares 2^log2_T entries by a hash; with log2_T None every vertex has its
    own. -> (B, P, levels * features).
    """

    def __init__(
        self,
        rng: Rng,
        v: Tensor,
        *,
        levels: int,
        features: int,
        log2_T: int | None,
        n_min: int,
        n_max: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        growth = (n_max / n_min) ** (1 / max(1, levels - 1))
        self.resolutions = [int(n_min * growth**i + 1e-6) for i in range(levels)]
        indices, weights, entries = [], [], 0
        for n in self.resolutions:
            size = (n + 1) ** 2 if log2_T is None else min((n + 1) ** 2, 2**log2_T)
            corner = (v * n).floor().clamp(max=n - 1)
            a = v * n - corner
            i, j = corner.long().unbind(1)
            i, j = torch.stack([i, i, i + 1, i + 1], 1), torch.stack([j, j + 1, j, j + 1], 1)
            hashed = size < (n + 1) ** 2
            indices.append(entries + ((j ^ (i * PRIME)) % size if hashed else i * (n + 1) + j))
            rows, columns = torch.stack([1 - a[:, 0], a[:, 0]], 1), torch.stack([1 - a[:, 1], a[:, 1]], 1)
            weights.append((rows[:, :, None] * columns[:, None]).flatten(1))
            entries += size
        self.index, self.weight = torch.stack(indices, 1).flatten(0, 1), torch.stack(weights, 1).flatten(0, 1).to(dtype)
        self.table = nn.Parameter(uniform(rng, entries, features, 1e-4, dtype))

    def forward(self) -> Tensor:
        images, _, features = self.table.shape
        table = self.table.transpose(0, 1).flatten(1)
        mixed = F.embedding_bag(self.index, table, per_sample_weights=self.weight, mode="sum")
        return mixed.view(-1, len(self.resolutions), images, features).permute(2, 0, 1, 3).flatten(2)
