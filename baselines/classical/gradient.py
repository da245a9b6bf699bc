"""Finite differences of images and their exact adjoints: what total variation is made of.

Differences look forward and there is none across the border, so that the gradient of an image is zero on its last row
and column (Neumann). A field u has the shape (B, n, C, H, W), its components first.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SQUARED_NORM = 8.0  # |gradient|^2 is below it, for any size
SECOND_ORDER = (17 + math.sqrt(33)) / 2  # and that of (x, w) -> (gradient x - w, symmetrised w)


def gradient(x: Tensor) -> Tensor:
    """The two forward differences of x (B, C, H, W), along the columns and along the rows: (B, 2, C, H, W)."""
    u = x.new_zeros(len(x), 2, *x.shape[1:])
    torch.sub(x[..., 1:, :], x[..., :-1, :], out=u[:, 0, ..., :-1, :])
    torch.sub(x[..., 1:], x[..., :-1], out=u[:, 1, ..., :-1])
    return u


def gradient_T(u: Tensor) -> Tensor:
    """The adjoint of `gradient`, which is minus the divergence: (B, 2, C, H, W) to (B, C, H, W)."""
    down, right = u[:, 0, ..., :-1, :], u[:, 1, ..., :-1]
    x = torch.zeros_like(u[:, 0])
    x[..., 1:, :] += down
    x[..., :-1, :] -= down
    x[..., 1:] += right
    x[..., :-1] -= right
    return x


def symmetrised(w: Tensor) -> Tensor:
    """The symmetrised derivative of a field w of differences, (B, 2, C, H, W) to (B, 3, C, H, W):

        d_h w_h,   d_w w_w,   (d_w w_h + d_h w_w) / sqrt 2

    The first two look backward, where both differences exist, and the last one forward, so that each stands where its
    terms meet. Its Euclidean norm is the Frobenius norm of the symmetric matrix, and the gradient of a plane has none.
    """
    e = w.new_zeros(len(w), 3, *w.shape[2:])
    torch.sub(w[:, 0, ..., 1:-1, :], w[:, 0, ..., :-2, :], out=e[:, 0, ..., 1:-1, :])
    torch.sub(w[:, 1, ..., 1:-1], w[:, 1, ..., :-2], out=e[:, 1, ..., 1:-1])
    across = w[:, 0, ..., :-1, 1:] - w[:, 0, ..., :-1, :-1] + w[:, 1, ..., 1:, :-1] - w[:, 1, ..., :-1, :-1]
    torch.mul(across, math.sqrt(0.5), out=e[:, 2, ..., :-1, :-1])
    return e


def symmetrised_T(e: Tensor) -> Tensor:
    """The adjoint of `symmetrised`: (B, 3, C, H, W) to (B, 2, C, H, W)."""
    w = e.new_zeros(len(e), 2, *e.shape[2:])
    down, right = e[:, 0, ..., 1:-1, :], e[:, 1, ..., 1:-1]
    w[:, 0, ..., 1:-1, :] += down
    w[:, 0, ..., :-2, :] -= down
    w[:, 1, ..., 1:-1] += right
    w[:, 1, ..., :-2] -= right
    across = math.sqrt(0.5) * e[:, 2, ..., :-1, :-1]
    w[:, 0, ..., :-1, 1:] += across
    w[:, 0, ..., :-1, :-1] -= across
    w[:, 1, ..., 1:, :-1] += across
    w[:, 1, ..., :-1, :-1] -= across
    return w
