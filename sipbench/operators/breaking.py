"""Symmetry breaking: a map to a fundamental domain, which takes every element of an orbit to the same representative.

Where f(g x) = f(x), a network trained on pairs (y, x) is asked for all g x at once and answers with their mean. With
targets from one fundamental domain there is one answer. A good domain is connected, smallest, and represents all but a
null set: Tayal, Lai, Manekar, Zhuang, Kumar, Sun: Unlocking Inverse Problems Using Deep Learning: Breaking Symmetries
in Phase Retrieval, 2020; for far fields Manekar et al., NeurIPS 2020 workshop on deep learning and inverse problems.

    sign alone      the last coordinate is positive
    phase alone     the first coordinate is real and positive
    phases          the same of each channel, a stacked complex image
    shift           the centre of |x|^2, taken round the frame, lies in the middle
    flips           of x and its flips the one with the largest Im X_01 conj(X_00), X the Fourier transform of x
    with flips or a shift, sign and phase: X_00, the sum of x, is positive

What is not there to be decided by (a coordinate that is zero) is passed over: the last or first that is not zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sipbench.operators.symmetries import COMPLEX, FLIPS, SYMMETRIES, field, flips, turn, unstacked

HALF_WAY = 1e-6  # pixels: what lies nearer to half way between two pixels is taken to lie there


@torch.no_grad()
def break_symmetry(x: Tensor, symmetries: tuple[str, ...]) -> Tensor:
    """The representative of each x (B, C, H, W) in its orbit under the group that the symmetries span."""
    if symmetries == ("phases",):
        return break_symmetry(unstacked(x), ("phase",)).reshape_as(x)
    if strange := [name for name in symmetries if name not in SYMMETRIES]:
        raise ValueError(f"no fundamental domain is known of {', '.join(strange)}: only of {', '.join(SYMMETRIES)}")
    spatial = any(name in symmetries for name in ("shift", *FLIPS))
    best, score = x, x.new_full((len(x),), -torch.inf, dtype=torch.float64)
    for candidate in flips(x, symmetries) if spatial else ():
        moved = _centred(candidate, symmetries) if "shift" in symmetries else candidate
        now = _lean(field(moved, symmetries))
        best = torch.where((now > score).view(-1, 1, 1, 1), moved, best)
        score = torch.maximum(score, now)
    u = field(best, symmetries).flatten(1)
    if any(name in COMPLEX for name in symmetries) and "phase" in symmetries:
        return turn(best, (u.sum(1) if spatial else _first(u)).conj())
    if "sign" in symmetries:
        negative = (u.sum(1) if spatial else _first(u.flip(1))).real < 0
        return torch.where(negative.view(-1, 1, 1, 1), -best, best)
    return best


def _centred(x: Tensor, symmetries: tuple[str, ...]) -> Tensor:
    """x rolled by whole pixels so that the circular mean of the places of |x|^2 lies in the middle of the frame.

    A mean half way between two pixels, as of what is even, goes down whatever the last bits say.
    """
    weight = field(x, symmetries).abs().square().sum(1)
    by = []
    for dim in (1, 2):
        n = weight.shape[dim]
        turns = torch.exp(2j * torch.pi * torch.arange(n, device=x.device, dtype=torch.float64) / n)
        mean = (weight.sum(3 - dim) * turns).sum(1).angle() * n / (2 * torch.pi)
        by.append((n // 2 - mean - HALF_WAY).round().long().tolist())
    return torch.stack([row.roll(shift, (-2, -1)) for row, *shift in zip(x, *by, strict=True)])


def _lean(u: Tensor) -> Tensor:
    """Im X_01 conj(X_00), summed over channels, with the origin in the middle, so that a flip turns its sign, (B,)."""
    n = u.shape[-1]
    places = torch.arange(n, device=u.device, dtype=torch.float64) - (n - 1) / 2
    wave = torch.exp(-2j * torch.pi * places / n)
    return ((u.sum(2) * wave).sum(2) * u.sum((2, 3)).conj()).imag.sum(1)


def _first(u: Tensor) -> Tensor:
    """The first entry of each row that is not zero; zero where there is none."""
    return u.gather(1, (u != 0).to(torch.uint8).argmax(1, keepdim=True))[:, 0]
