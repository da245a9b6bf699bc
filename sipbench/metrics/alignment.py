"""What a measurement cannot tell apart is no error: an estimate is moved over the symmetries before it is compared."""

from __future__ import annotations

import torch
from torch import Tensor

from sipbench.metrics.fidelity import psnr
from sipbench.metrics.shifts import Pair, inside, nearest_shift
from sipbench.operators.symmetries import COMPLEX, PAIRED, STACKED, SYMMETRIES, field, flips, turn, unstacked

FARTHEST = 10  # pixels: published evaluations of blind deblurring shift by 5, and by 10 where that is too few


@torch.no_grad()
def align(x_hat: Tensor, x: Tensor, symmetries: tuple[str, ...], margin: Pair = (0, 0)) -> Tensor:
    """argmin |g x_hat - x|^2 of each image over the group that the symmetries span; x_hat itself where there are none.

    A bounded shift goes by quarter pixels, up to the margin, and is judged on what lies within the margin.

    All g keep the length, so the minimum is where Re <x, g x_hat> is largest: all circular shifts at once by the
    cross-correlation, the best phase (or sign) of each in closed form, the flips one by one. Nothing is scaled.
    """
    if not symmetries:
        return x_hat
    _check(x_hat, x, symmetries)
    if "bounded_shift" in symmetries:
        return nearest_shift(x_hat, x, margin, margin)
    if "phases" in symmetries:
        return align(unstacked(x_hat), unstacked(x), ("phase",)).reshape_as(x)
    best, score = x_hat, x.new_full((len(x),), -torch.inf, dtype=torch.float64)
    for candidate in flips(x_hat, symmetries):
        moved, now = _move(candidate, x, symmetries)
        best = torch.where((now > score).view(-1, 1, 1, 1), moved, best)
        score = torch.maximum(score, now)
    return best


@torch.no_grad()
def psnr_aligned(x_hat: Tensor, x: Tensor) -> Tensor:
    """PSNR at the best shift of each image by quarter pixels, up to FARTHEST, without a border, (B,).

    It forgives what blind deblurring may leave open although y tells it. The border is a sixteenth of a side: 15 of
    the 255 pixels of Levin's images, as published. In a smaller image the border is as far as a shift goes.
    """
    margin = (x.shape[-2] // 16, x.shape[-1] // 16)
    reach = (min(margin[0], FARTHEST), min(margin[1], FARTHEST))
    return psnr(inside(nearest_shift(x_hat, x, margin, reach), margin), inside(x, margin))


def error_ratio(x_hat: Tensor, x: Tensor, best: Tensor) -> Tensor:
    """|x_hat - x|^2 / |best - x|^2, (B,), of intensities, both at their best shifts and without a border as above.

    `best` is a deblurring with the true kernel: Levin et al., CVPR 2009. (SelfDeblur's public code divides spectral
    norms of the difference images instead of sums of squares: its ratios are other numbers.)
    """
    return 10 ** ((psnr_aligned(best, x) - psnr_aligned(x_hat, x)) / 10)


def ratio_below(limit: float, x_hat: Tensor, x: Tensor, best: Tensor) -> Tensor:
    """1 where the error ratio is below a limit, else 0: its mean is the share of images that were deblurred."""
    return (error_ratio(x_hat, x, best) < limit).double()


def relative_error(x_hat: Tensor, x: Tensor, symmetries: tuple[str, ...] = ()) -> Tensor:
    """|g x_hat - x| / |x| of each image at the best g, (B,), in double precision."""
    error = align(x_hat, x, symmetries).double() - x.double()
    return error.flatten(1).norm(dim=1) / x.double().flatten(1).norm(dim=1)


def relative_error_db(x_hat: Tensor, x: Tensor) -> Tensor:
    """20 log10 of the relative error: -20 dB is a tenth. On this scale a start that fails does not hide the others."""
    return 20 * relative_error(x_hat, x).log10()


def point_error(x_hat: Tensor, x: Tensor) -> Tensor:
    """1000 times the mean over channels of min_s |s x_hat - x|^2 / n, s = 1 or -1: each channel is a point, a row of n.

    A point of C^n is two rows, real and imaginary parts: it was aligned over phases before, and n is counted once.
    """
    a, b = x_hat.double().flatten(2), x.double().flatten(2)
    nearest = torch.minimum((a - b).square().sum(2), (a + b).square().sum(2))
    n = a.shape[2] // (2 if x.shape[2] == 2 else 1)
    return 1000 * nearest.mean(1) / n


def success(x_hat: Tensor, x: Tensor) -> Tensor:
    """1 where the relative error is below 0.1, else 0: whether a start of a phase retrieval found the object."""
    return (relative_error(x_hat, x) < 0.1).double()


def _move(x_hat: Tensor, x: Tensor, symmetries: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """x_hat under the best shift and phase (or sign), and its inner product with x."""
    products = _products(x_hat, x, symmetries)
    phased, signed = "phase" in symmetries, "sign" in symmetries
    value = products.abs() if phased else products.real.abs() if signed else products.real
    score, place = value.flatten(1).max(1)
    product = products.flatten(1).gather(1, place[:, None])[:, 0]
    if "shift" in symmetries:
        down, right = (place // x.shape[-1]).tolist(), (place % x.shape[-1]).tolist()
        x_hat = torch.stack([row.roll(by, (-2, -1)) for row, *by in zip(x_hat, down, right, strict=True)])
    if phased:
        return turn(x_hat, product), score
    negated = (product.real < 0) & signed
    return torch.where(negated.view(-1, 1, 1, 1), -x_hat, x_hat), score


def _products(x_hat: Tensor, x: Tensor, symmetries: tuple[str, ...]) -> Tensor:
    """<shifted x_hat, x> = sum conj(x_hat) x for every circular shift (B, h, w), or for none (B, 1, 1); complex.

    The imaginary part is nothing to go by unless the images are complex: then it says how far the phases are apart.
    """
    a, b = field(x_hat, symmetries), field(x, symmetries)
    if "shift" not in symmetries:
        return (a.conj() * b).sum((1, 2, 3)).view(-1, 1, 1)
    return torch.fft.ifft2((torch.fft.fft2(a).conj() * torch.fft.fft2(b)).sum(1))


def _check(x_hat: Tensor, x: Tensor, symmetries: tuple[str, ...]) -> None:
    if x_hat.shape != x.shape or x.ndim != 4:
        raise ValueError(f"expected two (B, C, H, W) of one shape, not {tuple(x_hat.shape)} and {tuple(x.shape)}")
    known = SYMMETRIES | PAIRED | STACKED
    if strange := [name for name in symmetries if name not in known]:
        raise ValueError(f"unknown symmetries {', '.join(strange)}: choose from {', '.join(known)}")
    if len(symmetries) > 1 and (alone := [name for name in symmetries if name not in SYMMETRIES]):
        raise ValueError(f"{alone[0]} is aligned by itself, with no other symmetry")
    if x.shape[1] != 2 and (needy := [name for name in symmetries if name in COMPLEX]):
        raise ValueError(f"{', '.join(needy)} is for complex images of 2 channels, not {x.shape[1]}")
