"""Algebra image by image: the first dimension runs over the images, and none feels another."""

from __future__ import annotations

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each image, (B,)."""
    return (a * b).flatten(1).sum(1)


def norm(a: Tensor) -> Tensor:
    """The Euclidean norm of each image, (B,)."""
    return a.flatten(1).norm(dim=1)


def each(values: Tensor, like: Tensor) -> Tensor:
    """One value an image, (B,), shaped to multiply images like this one."""
    return values.view(-1, *[1] * (like.ndim - 1))


def where(images: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """The new one of the images that are marked, (B,), the old one of the others."""
    return torch.where(each(images, new), new, old)
