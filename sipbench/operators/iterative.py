"""What a linear map can do from its forward and adjoint alone: its norm, and least squares."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sipbench.operators.base import LinearOperator


@torch.no_grad()
def lanczos_norm(A: LinearOperator, shape: tuple[int, ...], device: torch.device, iterations: int = 100) -> float:
    """The largest singular value of A over the batch: Lanczos on A^T A in double precision, from a fixed start.

    The tridiagonal matrix's largest eigenvalue needs no orthogonalisation: rounding only repeats converged values.
    """
    start = torch.Generator().manual_seed(0)
    v = torch.randn(shape, generator=start, dtype=torch.float64).to(device)
    v, before, beta = v / v.norm(), torch.zeros_like(v), 0.0
    diagonal, beside = [], []
    for _ in range(iterations):
        w = A.T(A.forward(v)) - beta * before
        alpha = float((w * v).sum())
        w = w - alpha * v
        diagonal.append(alpha)
        beta = float(w.norm())
        if beta <= 1e-12 * max(diagonal):
            break
        beside.append(beta)
        before, v = v, w / beta
    beside = torch.tensor(beside[: len(diagonal) - 1], dtype=torch.float64)
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64)) + torch.diag(beside, 1) + torch.diag(beside, -1)
    return float(torch.linalg.eigvalsh(matrix)[-1].clamp(min=0).sqrt())


@torch.no_grad()
def least_squares(
    A: LinearOperator | _Map, y: Tensor, iterations: int = 500, tolerance: float | None = None, damping: float = 0.0
) -> Tensor:
    """argmin_x |A x - y|^2 + damping |x|^2, of least norm, by conjugate gradients on the normal equations (CGLS).

    It starts from zero. Each image has its own step sizes and stops where the gradient is tolerance |A^T y|.
    """
    tolerance = 20 * torch.finfo(y.dtype).eps if tolerance is None else tolerance
    r = y.clone()
    s = A.T(r)
    x, p, energy = torch.zeros_like(s), s, _energy(s)
    enough, floor = energy * tolerance**2, torch.finfo(y.dtype).tiny
    for k in range(iterations):
        q = A.forward(p)
        bend = _energy(q) + damping * _energy(p) if damping else _energy(q)
        step = torch.where(energy > enough, energy / bend.clamp(min=floor), torch.zeros_like(energy))
        x = x + _spread(step, x) * p
        r = r - _spread(step, r) * q
        s = A.T(r) - damping * x if damping else A.T(r)
        now = _energy(s)
        p = s + _spread(now / energy.clamp(min=floor), s) * p
        energy = torch.where(energy > enough, now, energy)
        if k % 10 == 9 and bool((energy <= enough).all()):
            break
    return x


def pseudo_inverse(A: LinearOperator, y: Tensor) -> Tensor:
    """A^+ y by `least_squares`, whose derivative is not that of its steps: A^+ is linear, and its transpose (A^T)^+."""
    if torch.is_grad_enabled() and y.requires_grad:
        return _PseudoInverse.apply(y, A.forward, A.T)
    return least_squares(A, y)


class _Map(NamedTuple):
    """A linear map as its forward and its adjoint alone."""

    forward: Callable[[Tensor], Tensor]
    T: Callable[[Tensor], Tensor]


class _PseudoInverse(torch.autograd.Function):
    """A^+ y, with (A^+)^T = (A^T)^+ as the derivative."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.maps = forward, adjoint
        return least_squares(_Map(forward, adjoint), y)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        forward, adjoint = ctx.maps
        return _PseudoInverse.apply(*grad_outputs, adjoint, forward), None, None


def conjugate_gradients(H: Callable[[Tensor], Tensor], b: Tensor, x: Tensor, iterations: int) -> Tensor:
    """H x = b of each image, H symmetric and positive, by so many conjugate gradients from x.

    `least_squares` is for H = A^T A: it never squares what it measures, and stops by itself.
    """
    r = b - H(x)
    p, energy = r, _energy(r)
    for _ in range(iterations):
        q = H(p)
        step = _spread(energy / _energy(p, q).clamp(min=1e-300), x)
        x, r = x + step * p, r - step * q
        before, energy = energy, _energy(r)
        p = r + _spread(energy / before.clamp(min=1e-300), r) * p
    return x


def _energy(v: Tensor, w: Tensor | None = None) -> Tensor:
    """<v, w> of each image, or |v|^2."""
    return (v.square() if w is None else v * w).flatten(1).sum(1)


def _spread(s: Tensor, like: Tensor) -> Tensor:
    return s.view(-1, *[1] * (like.ndim - 1))
