"""Kernels from a blurred image and the strong gradients of a sharp one, and how they pass from scale to scale."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.classical.pan_latent import otf
from baselines.common.algebra import dot, each
from baselines.common.differences import differences
from baselines.common.shifts import moved, off_centre

ROUNDS = 20  # of conjugate gradients


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Forward differences (B, 1, h-1, w-1), downwards and to the right, without those across the border."""
    down, right = differences(x)
    return down[..., :-1], right[..., :-1, :]


def strength(x: Tensor, side: int) -> Tensor:
    """The largest threshold of the squared gradient that leaves max(20 side, 10) pixels in each of four orientations.

    (B,); 0 where there is none. Orientations are 45 degrees wide, modulo 180.
    """
    down, right = (g.flatten(1) for g in gradients(x))
    squares, n = down.square() + right.square(), max(20 * side, 10)
    quarter = (torch.atan2(down, right).remainder(math.pi) // (math.pi / 4)).clamp(max=3)
    if n > squares.shape[1]:
        return squares.new_zeros(len(x))
    bins = torch.stack([torch.where(quarter == i, squares, 0.0) for i in range(4)], 1)
    return bins.topk(n, dim=2).values[..., -1].amin(1)


def strong(x: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients whose square is at least a threshold (B,); that is lowered by 0.81 until something is left."""
    down, right = gradients(x)
    squares = down.square() + right.square()
    largest = squares.flatten(1).amax(1)
    steps = (torch.log(largest.clamp(min=1e-30) / threshold.clamp(min=1e-30)) / math.log(0.81)).ceil().clamp(min=0)
    kept = squares >= each(torch.where(threshold > largest, threshold * 0.81**steps, threshold), squares)
    return down * kept, right * kept


def estimate(x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor], side: int, weight: float) -> Tensor:
    """min_k sum over both differences |k * x - y|^2 + weight |k|^2 on the torus, by conjugate gradients from a flat k.

    (B, 1, side, side); 20 iterations, or until an image's residual is below 1e-5. What is below a twentieth of the
    largest entry becomes 0, and the sum 1.
    """
    size = x[0].shape[-2:]
    X, Y = (torch.fft.rfft2(torch.cat(pair, 1)) for pair in (x, y))
    power = X.abs().square().sum(1, keepdim=True)

    def window(v: Tensor) -> Tensor:
        whole = torch.fft.irfft2(v, s=size).roll((side // 2, side // 2), (-2, -1))
        return whole[..., :side, :side]

    def A(k: Tensor) -> Tensor:
        return window(power * otf(k, size)) + weight * k

    k = torch.full((len(x[0]), 1, side, side), 1 / side**2, dtype=x[0].dtype, device=x[0].device)
    r = window((X.conj() * Y).sum(1, keepdim=True)) - A(k)
    p, rho = r, dot(r, r)
    for _ in range(ROUNDS):
        going = rho.sqrt() > 1e-5
        Ap = A(p)
        step = each(torch.where(going, rho / dot(p, Ap), 0.0), p)
        k, r = k + step * p, r - step * Ap
        new = dot(r, r)
        p, rho = r + each(torch.where(going, new / rho, 0.0), p) * p, new
    k = torch.where(k < k.amax((-2, -1), keepdim=True) / 20, 0.0, k)
    return normalised(k)


def pruned(k: Tensor, mass: float = 0.1) -> Tensor:
    """Kernels without the connected parts (8 neighbours) that hold less than this; the heaviest one always stays."""
    parts, n = _parts(k > 0), k[0].numel()
    held = torch.zeros(len(k), n + 1, dtype=k.dtype, device=k.device).scatter_add_(1, parts.flatten(1), k.flatten(1))
    keep = (held >= mass) | (held >= held.amax(1, keepdim=True))
    return normalised(k * keep.gather(1, parts.flatten(1)).view_as(k))


def normalised(k: Tensor) -> Tensor:
    """Kernels without negative entries and of sum 1; a flat one where there is nothing."""
    k = k.clamp(min=0)
    total = k.sum((-2, -1), keepdim=True)
    return torch.where(total > 0, k / total.clamp(min=1e-30), 1 / k[0].numel())


def centred(k: Tensor) -> Tensor:
    """Kernels with their centroid in the middle, to a whole pixel."""
    return normalised(moved(k, -off_centre(k), edge=False))


def first(n: int, side: int, like: Tensor) -> Tensor:
    """Two neighbouring pixels of 1/2 in the middle; one pixel of 1 where there is no room for two."""
    k = torch.zeros(n, 1, side, side, dtype=like.dtype, device=like.device)
    c = side // 2
    k[..., c, c - 1 : c + 1] = 0.5
    return normalised(k) if side > 1 else torch.ones_like(k)


def resized(k: Tensor, side: int, scale: float) -> Tensor:
    """Kernels drawn larger by a factor about their middle, bilinearly, on side x side pixels."""
    there = (torch.arange(side, dtype=k.dtype, device=k.device) - side // 2) / scale + k.shape[-1] // 2
    at = torch.arange(k.shape[-1], dtype=k.dtype, device=k.device)
    M = (1 - (there[:, None] - at).abs()).clamp(min=0)
    return normalised(M @ k @ M.T)


def _parts(mask: Tensor) -> Tensor:
    """Labels of the connected parts of masks (B, 1, h, w): the largest index within each, counted from 1; outside 0."""
    labels = torch.arange(1, mask[0].numel() + 1, device=mask.device).view(1, *mask.shape[1:]) * mask
    while True:
        spread = F.max_pool2d(labels.double(), 3, 1, 1).long() * mask
        if torch.equal(spread, labels):
            return labels
        labels = spread
