"""Looking through hot air: a random warp, then a blur, neither told to the solver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sipbench.operators.base import BlindOperator
from sipbench.operators.blind import BlindBlur
from sipbench.problem import Rng

CHUNK = 50  # patches drawn at a time


class Turbulence(BlindOperator):
    """f(x, {"tilt": t, "kernel": k}) = k * warp(x, t): the turbulence of BlindDPS and DMPlug.

    t (B, 2, H, W) is in pixels, to the right and down: warp(x, t)(i) = x(i + t(i)), bilinear, zero outside the image.
    k (B, 1, kh, kw) acts as in `BlindBlur`: true convolution, the image zero outside.
    """

    secrets = ("patches", "patch", "strength", "limit")

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        size: int = 64,
        sigma: float = 3.0,
        patches: int = 500,
        patch: int = 64,
        strength: Sequence[float] = (0.1, 0.4),
        limit: float = 2.5,
    ) -> None:
        super().__init__(shape, rng.device)
        h, w = shape[-2:]
        if min(h, w) < 4:
            raise ValueError(f"a warp needs an image of at least 4 x 4, not {h} x {w}")
        if patches < 1 or patch < 2 or limit < 0 or len(strength) != 2 or strength[0] > strength[1]:
            raise ValueError(
                "a tilt map needs at least one patch of at least 2 pixels, a strength [low, high] and a limit of 0 or "
                f"more, not {patches} patches of {patch}, strength {strength}, limit {limit}"
            )
        self.patches, self.strength, self.limit = patches, strength, limit
        self.patch = min(patch, min(h, w) // 2)
        self.blur = BlindBlur(shape, rng, kernel="gaussian", size=size, sigma=sigma, boundary="zero")
        rows, columns = (torch.linspace(-1, 1, n, dtype=torch.float64) for n in (h, w))
        identity = torch.stack([columns.expand(h, w), rows[:, None].expand(h, w)], -1)
        self.register_buffer("identity", identity.to(rng.device), persistent=False)

    @property
    def theta_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"tilt": (2, *self.shape[-2:]), **self.blur.theta_shapes}

    def draw(self, rng: Rng) -> dict[str, Tensor]:
        """The published maps: `patches` squares of smoothed noise at random places, added up and cut off at the limit.

        A square, `patch` pixels wide but no more than half the image's shorter side, is standard normal noise for
        either direction, smoothed by a 7 x 7 Gaussian of sigma 1 and scaled by a number drawn evenly from `strength`.
        Its place is drawn evenly from all where it fits. (The published code leaves out the last row and column.)
        """
        own = rng.child("tilt")
        h, w = self.shape[-2:]
        places = own.uniform(self.patches, 3, dtype=torch.float64).cpu()
        tilt = torch.zeros(len(rng), 2, h, w, dtype=torch.float64)
        for first in range(0, self.patches, CHUNK):
            count = min(CHUNK, self.patches - first)
            noise = smooth(own.normal(count, 2, self.patch, self.patch, dtype=torch.float64).cpu())
            for image, place, squares in zip(tilt, places[:, first : first + count], noise, strict=True):
                self._add(image, place, squares)
        return {"tilt": tilt.clamp(-self.limit, self.limit).to(rng.device), **self.blur.draw(rng)}

    def forward(self, x: Tensor, theta: Mapping[str, Tensor]) -> Tensor:
        return self.blur(self.warp(x, theta["tilt"].to(x.dtype)), theta)

    def warp(self, x: Tensor, tilt: Tensor) -> Tensor:
        """x(i + t(i)): pixel j of n lies at 2 j / (n - 1) - 1, as `align_corners` has it."""
        h, w = self.shape[-2:]
        if tilt.shape[1:] != (2, h, w):
            raise ValueError(f"a tilt map is (B, 2, {h}, {w}), not {tuple(tilt.shape)}")
        moved = torch.stack([tilt[:, 0] * (2 / (w - 1)), tilt[:, 1] * (2 / (h - 1))], -1)
        grid = self.cast("identity", x) + moved
        return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=True)

    def _add(self, tilt: Tensor, places: Tensor, squares: Tensor) -> None:
        """Add squares (n, 2, p, p) to one map, by three uniform numbers each: row, column and strength."""
        h, w = self.shape[-2:]
        low, high = self.strength
        for (row, column, strength), square in zip(places.tolist(), squares, strict=True):
            top, left = int(row * (h - self.patch + 1)), int(column * (w - self.patch + 1))
            tilt[:, top : top + self.patch, left : left + self.patch] += (low + (high - low) * strength) * square


def smooth(noise: Tensor) -> Tensor:
    """Convolution of the last two axes with the 7 x 7 Gaussian of sigma 1, zero outside."""
    weights = torch.exp(-0.5 * torch.arange(-3, 4, dtype=torch.float64) ** 2)
    weights = (weights / weights.sum()).tolist()
    n = noise.shape[-1]
    for axis in (-2, -1):
        wide = F.pad(noise, (0, 0, 3, 3) if axis == -2 else (3, 3))
        noise = torch.zeros_like(noise)
        for j, weight in enumerate(weights):
            noise += weight * wide.narrow(axis, j, n)
    return noise
