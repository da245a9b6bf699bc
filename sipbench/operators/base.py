"""What a forward map is: f(x), batched and differentiable, element i of a batch never touching element j."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn


class Operator(nn.Module):
    """y = f(x) for images x of shape (B, C, H, W).

    Attributes:
        symmetries: the maps g with f(g x) = f(x); the metrics align over exactly those.
        per_image: the names of the buffers whose first dimension runs over the images.
    """

    linear: ClassVar[bool] = False
    symmetries: ClassVar[tuple[str, ...]] = ()
    per_image: ClassVar[tuple[str, ...]] = ()

    @property
    def valid(self) -> Tensor | None:
        """Which entries of y carry information, broadcastable to y; None says all."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def select(self, index: slice) -> Self:
        """The same map for some of its images."""
        part = copy.copy(self)
        part._buffers = {k: v[index] if k in self.per_image and v is not None else v for k, v in self._buffers.items()}
        return part


class LinearOperator(Operator):
    """A linear map A with its exact adjoint and pseudo-inverse."""

    linear: ClassVar[bool] = True

    def T(self, y: Tensor) -> Tensor:
        """The adjoint: <A x, y> = <x, A^T y>."""
        raise NotImplementedError

    def pinv(self, y: Tensor) -> Tensor:
        """The Moore-Penrose pseudo-inverse A^+ y."""
        raise NotImplementedError

    @property
    def norm(self) -> float:
        """The largest singular value, over the whole batch."""
        svd = self.svd()
        if svd is None:
            raise NotImplementedError(f"{type(self).__name__} states no norm")
        return float(svd.s.max())

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD | None:
        """The singular value decomposition as functions, where it is cheap; else None."""
        return None


@dataclass(frozen=True)
class SVD:
    """A = U diag(s) V^T as functions over a batch; s broadcasts to the spectral coordinates and may hold zeros."""

    s: Tensor
    U: Callable[[Tensor], Tensor]
    Ut: Callable[[Tensor], Tensor]
    V: Callable[[Tensor], Tensor]
    Vt: Callable[[Tensor], Tensor]


def invert(s: Tensor) -> Tensor:
    """1 / s where s is not zero to working precision, else 0."""
    floor = s.abs().max() * torch.finfo(s.dtype).eps * 10
    return torch.where(s.abs() > floor, 1 / s.clamp(min=floor), torch.zeros_like(s))
