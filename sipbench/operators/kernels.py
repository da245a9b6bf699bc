"""Blur kernels: (B, 1, k, k) in double precision, each summing to 1, its centre at the sample k // 2 of either axis."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from sipbench.operators.kernel_file import read
from sipbench.problem import Rng

Kind = Literal["gaussian", "defocus", "motion", "file"]
STEPS = 1024  # more than the longest path has


def make(kind: Kind, rng: Rng, *, size: int, sigma: float, radius: float, intensity: float, path: str | None) -> Tensor:
    """Kernels of a kind: one for each stream of rng, or a single one where all images share it."""
    if kind == "gaussian":
        return gaussian(size, sigma)
    if kind == "defocus":
        return defocus(size, radius)
    if kind == "motion":
        return motion(rng, size, intensity)
    assert kind == "file", kind
    return example() if path is None else choose(read(path), rng)


def gaussian_profile(size: int, sigma: float) -> Tensor:
    """One axis of `gaussian`: (size,)."""
    _check_size(size)
    if not (sigma > 0 and math.isfinite(sigma)):
        raise ValueError(f"a Gaussian kernel needs a positive sigma, not {sigma}")
    reach = int(4 * sigma + 0.5)
    offset = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offset.double() / sigma) ** 2)
    at = (size // 2 + offset) % (2 * size)
    at = torch.where(at < size, at, 2 * size - 1 - at)
    return torch.zeros(size, dtype=torch.float64).scatter_add_(0, at, weights / weights.sum())


def gaussian(size: int = 61, sigma: float = 3.0) -> Tensor:
    """exp(-|i|^2 / 2 sigma^2) cut off at 4 sigma, (1, 1, size, size): at 61 and 3 the DPS kernel, 25 x 25 of it used.

    As scipy.ndimage.gaussian_filter makes it of a unit sample; what does not fit into the size is mirrored back.
    """
    profile = gaussian_profile(size, sigma)
    return torch.outer(profile, profile)[None, None]


def defocus(size: int, radius: float) -> Tensor:
    """A uniform disc, each sample the part of its pixel that the disc covers: (1, 1, size, size)."""
    _check_size(size)
    if not 0 < radius <= (size - 1) // 2 + 0.5:
        raise ValueError(f"a disc of radius {radius} does not fit into a kernel of {size} x {size}")
    fine = 256
    at = torch.arange(size, dtype=torch.float64) - size // 2
    x = (torch.arange(size * fine, dtype=torch.float64) + 0.5) / fine - 0.5 - size // 2
    half_chord = (radius**2 - x**2).clamp(min=0).sqrt()
    top = torch.minimum(half_chord, at[:, None] + 0.5)
    bottom = torch.maximum(-half_chord, at[:, None] - 0.5)
    covered = (top - bottom).clamp(min=0).view(size, size, fine).mean(2)
    covered = covered + covered.T
    return (covered / covered.sum())[None, None]


def motion(rng: Rng, size: int = 61, intensity: float = 0.5) -> Tensor:
    """The path of a shaking camera, another one for each image: (B, 1, size, size).

    The path is a chain of short straight steps, Beta(1, 30) (1.1 - I) d long each, d the diagonal of the kernel and I
    the intensity, in all 0.75 d (U + I^2 U') long with uniform U, U'. Its direction drifts by a normal turn a step and
    now and then jerks: straight at I = 0, a thin curve with a kink or two at 0.5, a scribble at 1. The path lies with
    its centroid on the kernel's centre, made smaller where it would not fit, and is drawn with a round spot.
    """
    _check_size(size)
    if not 0 <= intensity <= 1:
        raise ValueError(f"the intensity of a motion kernel lies in [0, 1], not {intensity}")
    turns = rng.normal(STEPS, dtype=torch.float64).cpu()
    rest = rng.uniform(3 + 3 * STEPS, dtype=torch.float64).cpu()
    paths = [_path(turn, u, size, intensity) for turn, u in zip(turns, rest, strict=True)]
    return torch.stack([_draw(path, size) for path in paths])[:, None].to(rng.device)


def example() -> Tensor:
    """A fixed motion kernel of 17 x 17, for want of a file: (1, 1, 17, 17)."""
    return motion(Rng.of(0, "example", [0]).portable, 17, 0.5)


def choose(kernels: Tensor, rng: Rng) -> Tensor:
    """One of several kernels (N, 1, kh, kw) for each stream, drawn from it; a single one is shared."""
    if len(kernels) == 1:
        return kernels
    at = (rng.uniform(1, dtype=torch.float64)[:, 0] * len(kernels)).long()
    return kernels.to(at.device)[at]


def _path(turn: Tensor, uniform: Tensor, size: int, intensity: float) -> Tensor:
    """The corners (2, n) of a camera's path, in pixels: from standard normal turns and uniform numbers."""
    once, (step, jerk, swing) = uniform[:3], uniform[3:].view(3, STEPS)
    diagonal = math.hypot(size, size)
    length = 0.75 * diagonal * (once[0] + intensity**2 * once[1]).clamp(min=1e-6)
    steps = (1 - (1 - step) ** (1 / 30)) * (1.1 - intensity) * diagonal
    turns = math.pi / 6 * intensity * turn
    turns = turns + torch.where(jerk < 0.1 * intensity, 2 * math.pi * intensity * (swing - 0.5), 0.0)
    heading = 2 * math.pi * once[2] + turns.cumsum(0)
    steps = torch.minimum(steps, (length - steps.cumsum(0) + steps).clamp(min=0))
    used = int((steps > 0).sum())
    corners = torch.stack([heading.sin(), heading.cos()])[:, :used] * steps[:used]
    return torch.cat([corners.new_zeros(2, 1), corners.cumsum(1)], 1)


def _draw(path: Tensor, size: int) -> Tensor:
    """The kernel (size, size) that a spot leaves when it moves evenly along the path."""
    spot = max(0.5, 0.01 * math.hypot(size, size))
    dots, weights = _dots(path)
    dots = dots - (dots * weights).sum(1, keepdim=True)
    room = max((size - 1) // 2 - 2 * spot, 0.0)
    dots = dots * min(1.0, room / max(float(dots.abs().max()), 1e-12))
    at = torch.arange(size, dtype=torch.float64)[:, None] - size // 2
    rows, columns = (torch.exp(-0.5 * ((at - axis) / spot) ** 2) for axis in dots)
    kernel = (rows * weights) @ columns.T
    return kernel / kernel.sum()


def _dots(path: Tensor, spacing: float = 0.25) -> tuple[Tensor, Tensor]:
    """Points (2, n) along a path, no further apart than the spacing, and the part of its length each stands for."""
    start, end = path[:, :-1], path[:, 1:]
    lengths = (end - start).norm(dim=0)
    counts = (lengths / spacing).ceil().long().clamp(min=1)
    of = torch.repeat_interleave(torch.arange(len(counts)), counts)
    within = torch.arange(len(of)) - (counts.cumsum(0) - counts)[of]
    share = (within + 0.5) / counts[of]
    weights = (lengths / counts)[of]
    return start[:, of] + share * (end - start)[:, of], weights / weights.sum()


def _check_size(size: int) -> None:
    if size < 1 or int(size) != size:
        raise ValueError(f"the size of a kernel is a positive whole number, not {size}")
