"""Linear systems with the forward map: what proximal steps and Gaussian conditioning are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.common.algebra import dot, each
from sipbench.operators import LinearOperator
from sipbench.operators.base import invert
from sipbench.operators.iterative import least_squares

Map = Callable[[Tensor], Tensor]


def cg(matvec: Callable[[Tensor], Tensor], b: Tensor, iterations: int, tolerance: float | None = None) -> Tensor:
    """Solve M v = b for a positive definite M, from zero; each image has its own step sizes and stops by itself.

    An image stays where it is in a direction in which M turns out not to be positive, as a network's Jacobian may.
    On a CPU every tenth step asks whether any image is still under way; a GPU would have to be waited for.
    """
    tolerance = 10 * torch.finfo(b.dtype).eps if tolerance is None else tolerance
    v, r = torch.zeros_like(b), b
    p, energy = r, dot(r, r)
    enough, tiny, on_cpu = energy * tolerance**2, torch.finfo(b.dtype).tiny, b.device.type == "cpu"
    for k in range(iterations):
        q = matvec(p)
        bend = dot(p, q)
        step = each(torch.where((energy > enough) & (bend > 0), energy / bend.clamp(min=tiny), 0.0), p)
        v, r = v + step * p, r - step * q
        now = dot(r, r)
        p, energy = r + each(now / energy.clamp(min=tiny), p) * p, torch.where(energy > enough, now, energy)
        if on_cpu and k % 10 == 9 and bool((energy <= enough).all()):
            break
    return v


class PCG:
    """Preconditioned conjugate gradients for M v = b from zero, a step at a time; each image by itself.

    Attributes:
        v: where it is.
        left: the length of the residual in the preconditioner's metric, as a part of the first, (B,).
        done: which images are within the tolerance; they stay where they are.
    """

    def __init__(self, M: Map, preconditioner: Map, b: Tensor, tolerance: float) -> None:
        self.M, self.P, self.tolerance = M, preconditioner, tolerance
        self.v, self.r = torch.zeros_like(b), b
        self.p = z = self.P(b)
        self.first = self.energy = dot(b, z)
        self.steps = torch.zeros_like(self.energy, dtype=torch.long)

    @property
    def left(self) -> Tensor:
        return (self.energy / self.first.clamp(min=torch.finfo(self.r.dtype).tiny)).sqrt()

    @property
    def done(self) -> Tensor:
        return self.left <= self.tolerance

    def step(self) -> None:
        q, tiny = self.M(self.p), torch.finfo(self.r.dtype).tiny
        a = torch.where(self.done, 0.0, self.energy / dot(self.p, q).clamp(min=tiny))
        self.steps = self.steps + ~self.done
        self.v, self.r = self.v + each(a, self.p) * self.p, self.r - each(a, q) * q
        z = self.P(self.r)
        now = dot(self.r, z)
        self.p = z + each(now / self.energy.clamp(min=tiny), self.p) * self.p
        self.energy = torch.where(self.done, self.energy, now)


def conditioning(
    f: LinearOperator, dtype: torch.dtype, iterations: int = 50
) -> Callable[[Tensor, Tensor | float, Tensor | float], Tensor]:
    """The map (r, a, b) -> A^T (a A A^T + b I)^-1 r: by the singular value decomposition if there is one, else by CG.

    With x ~ N(x0, a I) and y = A x + N(0, b I), the posterior mean is x0 + a gain(y - A x0, a, b). With a = 1 it is
    also the proximal step argmin_x |y - A x|^2 + b |x - x0|^2 = x0 + gain(y - A x0, 1, b).

    CG solves (a A^T A + b I) v = A^T r, which is the same: there no part of r lies outside the range of A, where the
    first form has nothing but b to divide by. Each step is nearer to the solution, also where they end too early.
    """
    svd = f.svd(dtype)
    if svd is None:
        return lambda r, a, b: cg(lambda v: a * f.T(f(v)) + b * v, f.T(r), iterations)
    return lambda r, a, b: svd.V(svd.s / (a * svd.s**2 + b) * svd.Ut(r))


def pseudo_inverse(f: LinearOperator, dtype: torch.dtype, cutoff: float) -> Callable[[Tensor], Tensor]:
    """A^+ with the singular values below a cutoff taken as zero, which keeps a blur's from blowing up the noise.

    Where A has no cheap singular value decomposition they are damped instead: A^T (A A^T + cutoff^2 I)^-1.
    """
    svd = f.svd(dtype)
    if svd is None:
        return (lambda y: least_squares(f, y, tolerance=1e-4, damping=cutoff**2)) if cutoff else f.pinv
    inverse = invert(svd.s, cutoff)
    if torch.equal(inverse > 0, invert(svd.s) > 0):
        return f.pinv
    return lambda y: svd.V(inverse * svd.Ut(y))
