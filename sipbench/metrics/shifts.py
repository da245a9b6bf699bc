"""The best small shift of an estimate by quarter pixels, as evaluations of blind deblurring move it.

A. Levin, Y. Weiss, F. Durand, W. Freeman: Understanding and evaluating blind deconvolution algorithms, CVPR 2009.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]
STEPS = 4  # to a pixel
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def inside(x: Tensor, margin: Pair) -> Tensor:
    """x without a margin, down and across."""
    h, w = x.shape[-2:]
    return x[..., margin[0] : h - margin[0], margin[1] : w - margin[1]]


@torch.no_grad()
def nearest_shift(x_hat: Tensor, x: Tensor, margin: Pair, reach: Pair) -> Tensor:
    """x_hat moved to where sum (x_hat(i + u) - x(i))^2 over the i within the margin is least: by quarters, to a reach.

    Between pixels x_hat is bilinear: the public `comp_upto_shift.m` leaves MATLAB's `interp2` at its default, "linear".
    That smooths a little, so a noisy estimate can gain from a fraction of a pixel. The reach lies within the margin,
    and nothing from outside the image is compared.
    """
    searched = inside(x_hat, (margin[0] - reach[0], margin[1] - reach[1]))
    errors = _errors(searched, inside(x, margin), reach)
    best = errors.flatten(1).nan_to_num(torch.inf).argmin(1)
    down, across = best // errors.shape[2], best % errors.shape[2]
    shifts = zip(x_hat, (down - STEPS * reach[0]).tolist(), (across - STEPS * reach[1]).tolist(), strict=True)
    return torch.stack([_moved(row, dy, dx) for row, dy, dx in shifts])


def _errors(a: Tensor, b: Tensor, reach: Pair) -> Tensor:
    """sum (a(i + u) - b(i))^2 - b(i)^2 for every u: (B, 8 r + 1 down, 8 r + 1 across), from -r to r by quarters.

    Where u is a fraction beyond whole pixels, a(i + u) = sum_j w_j a_j(i), the four neighbours, so that the error is
    sum_jk w_j w_k <a_j, a_k> - 2 sum_j w_j <a_j, b>: one transform and running sums give these for all whole u at once.
    """
    (h, w), (m, n) = a.shape[-2:], (2 * reach[0] + 1, 2 * reach[1] + 1)
    a, b = F.pad(a.double(), (0, 2, 0, 2)), b.double()
    near = [a[..., j : h + 1 + j, k : w + 1 + k] for j, k in CORNERS]
    with_b = torch.stack([_correlated(v, b)[:, :m, :n] for v in near])
    mutual = torch.stack([torch.stack([_windows(v * z, b)[:, :m, :n] for z in near]) for v in near])
    parts = torch.arange(STEPS, dtype=a.dtype, device=a.device) / STEPS
    sides = torch.stack([1 - parts, parts])
    weights = torch.einsum("jp,kq->jkpq", sides, sides).flatten(0, 1)
    errors = torch.einsum("jpq,kpq,jkbmn->bmpnq", weights, weights, mutual)
    errors = errors - 2 * torch.einsum("jpq,jbmn->bmpnq", weights, with_b)
    return errors.flatten(3, 4).flatten(1, 2)[:, : STEPS * (m - 1) + 1, : STEPS * (n - 1) + 1]


def _correlated(a: Tensor, b: Tensor) -> Tensor:
    """sum_i a(i + u) b(i) for the whole u from zero on, over all channels."""
    size = a.shape[-2:]
    spectrum = torch.fft.rfft2(a) * torch.fft.rfft2(b, s=size).conj()
    return torch.fft.irfft2(spectrum.sum(1), s=size)


def _windows(a: Tensor, b: Tensor) -> Tensor:
    """sum_i a(i + u) over a window of the size of b, for the whole u from zero on, over all channels."""
    h, w = b.shape[-2:]
    total = F.pad(a.sum(1).cumsum(-1).cumsum(-2), (1, 0, 1, 0))
    rows = total[:, h:] - total[:, :-h]
    return rows[..., w:] - rows[..., :-w]


def _moved(x: Tensor, down: int, across: int) -> Tensor:
    """x(i + u) with u in quarters of a pixel, bilinear; round the frame."""
    (dy, p), (dx, q) = divmod(down, STEPS), divmod(across, STEPS)
    weights = [((p if j else STEPS - p) * (q if k else STEPS - q) / STEPS**2, j, k) for j, k in CORNERS]
    return sum(w * x.roll((-dy - j, -dx - k), (-2, -1)) for w, j, k in weights if w)  # pyright: ignore
