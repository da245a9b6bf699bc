"""Two small quadratic programs of constrained optimisation, one of each an image, with nothing but batched products."""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 4  # coordinates of which every choice is tried


def within_box(C: Tensor, b: Tensor, low: Tensor, sweeps: int = 30) -> Tensor:
    """argmin over low <= lam <= 1 of lam C lam / 2 - b lam: C (..., m, m) positive semidefinite, b (..., m), low (m,).

    By coordinates, each in closed form given the others: with one coordinate exact at once. With more that would take
    thousands of sweeps where constraints are nearly parallel under H; up to FEW of them every choice of those that lie
    at a bound is tried, which is exact again.
    """
    m = b.shape[-1]
    diagonal = C.diagonal(dim1=-2, dim2=-1).clamp(min=torch.finfo(C.dtype).tiny)
    lam = torch.zeros_like(b)
    for i in list(range(m)) * (sweeps if m > 1 else 1):
        slope = b[..., i] - (C[..., i, :] * lam).sum(-1) + C[..., i, i] * lam[..., i]
        found = torch.maximum(slope / diagonal[..., i], low[i]).clamp(max=1)[..., None]
        lam = torch.cat([lam[..., :i], found, lam[..., i + 1 :]], -1)
    return _best(C, b, low, lam) if 1 < m <= FEW else lam


def _best(C: Tensor, b: Tensor, low: Tensor, lam: Tensor) -> Tensor:
    """The least of lam and of the minima with each coordinate at its least, at one, or free; those in the box again."""
    where = torch.cartesian_prod(*[torch.arange(3, device=b.device)] * b.shape[-1])
    free, fixed = where == 2, torch.where(where == 0, low, (where == 1).to(b))
    C, b = C[..., None, :, :], b[..., None, :]
    rounding = 4 * torch.finfo(C.dtype).eps * C.diagonal(dim1=-2, dim2=-1)
    M = C * (free[:, :, None] & free[:, None, :]) + torch.diag_embed(torch.where(free, rounding, 1.0))
    right = torch.where(free, b - (C @ fixed[..., None])[..., 0], fixed)
    found = torch.linalg.solve_ex(M, right[..., None])[0][..., 0].nan_to_num(0.0)
    found = torch.cat([torch.maximum(found, low).clamp(max=1), lam[..., None, :]], -2)
    least = (found * ((C @ found[..., None])[..., 0] / 2 - b)).sum(-1).argmin(-1)
    return found.gather(-2, least[..., None, None].expand(*least.shape, 1, found.shape[-1]))[..., 0, :]


def onto_simplex(w: Tensor) -> Tensor:
    """The nearest point of {w >= 0, sum w = 1}, over the last dimension."""
    u = w.sort(-1, descending=True).values
    excess = (u.cumsum(-1) - 1) / torch.arange(1, w.shape[-1] + 1, dtype=w.dtype, device=w.device)
    last = (u > excess).sum(-1, keepdim=True) - 1
    return (w - excess.gather(-1, last)).clamp(min=0)


def least_combination(Q: Tensor, n: int, iterations: int = 300) -> Tensor:
    """argmin of w Q w over w = (s, lam), s of n entries on the simplex, lam >= 0; Q (B, N, N) is a Gram matrix.

    With gradients of an objective and of active constraints as rows of J and Q = J J^T, J^T w is the smallest vector
    that a convex combination of the first leaves when multiples of the others are added. Projected gradients with
    Nesterov's momentum, begun anew where they turn uphill; the constraints' rows are scaled to the objective's size.
    """
    size = Q.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt()
    first, others = size[:, :n].mean(1, keepdim=True), size[:, n:]
    scale = torch.cat([torch.ones_like(size[:, :n]), torch.where(others > 0, first / others, 0.0)], 1)
    Q = scale[:, :, None] * Q * scale[:, None, :]
    step = 1 / torch.linalg.matrix_norm(Q, float("inf"), keepdim=True)[..., 0].clamp(min=torch.finfo(Q.dtype).tiny)
    w = torch.cat([torch.full_like(size[:, :n], 1 / n), torch.zeros_like(others)], 1)
    z, age = w, torch.ones_like(step)
    for k in range(iterations):
        v = z - step * (Q @ z[..., None])[..., 0]
        new = torch.cat([onto_simplex(v[:, :n]), v[:, n:].clamp(min=0)], 1)
        if k % 10 == 9 and torch.equal(new, w) and torch.equal(z, w):  # to the bit: nothing would ever change again
            break
        uphill = ((z - new) * (new - w)).sum(1, keepdim=True) > 0
        later = ((1 + (1 + 4 * age**2).sqrt()) / 2).masked_fill(uphill, 1.0)
        z = new + ((age - 1) / later).masked_fill(uphill, 0.0) * (new - w)
        w, age = new, later
    return scale * w
