"""Magnetic resonance imaging: Cartesian k-space of complex images, of which some columns are measured."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from sipbench.operators.base import SVD, LinearOperator
from sipbench.operators.centred import centring, exchanged, to_complex, to_exchanged, to_real
from sipbench.operators.iterative import least_squares
from sipbench.problem import Rng


def random_columns(width: int, acceleration: float, low: int, rng: Rng) -> Tensor:
    """Each column with probability (W / acceleration - low) / (W - low), besides the `low` in the middle; (B, W)."""
    chance = (width / acceleration - low) / (width - low)
    drawn = rng.uniform(width, dtype=torch.float64) < chance
    return (drawn | _middle(width, low, drawn.device)).double()


def equispaced_columns(width: int, acceleration: float, low: int, rng: Rng) -> Tensor:
    """Columns round(offset + k a) below W - 1, besides the `low` in the middle; (B, W).

    a = acceleration (low - W) / (low acceleration - W) makes the share of all columns about 1 / acceleration; the
    offset is a random whole number below round(a). This is the EquispacedMaskFractionFunc of fastMRI.
    """
    step = acceleration * (low - width) / (low * acceleration - width)
    offset = (rng.uniform(1, dtype=torch.float64) * round(step)).floor()
    place = offset + step * torch.arange(width, dtype=torch.float64, device=offset.device)
    inside = place < width - 1
    column = place.round().long().clamp(max=width - 1)
    drawn = torch.zeros(len(place), width, device=place.device).scatter_add_(1, column, inside.float()) > 0
    return (drawn | _middle(width, low, drawn.device)).double()


def _middle(width: int, low: int, device: torch.device) -> Tensor:
    start = (width - low + 1) // 2
    column = torch.arange(width, device=device)
    return (column >= start) & (column < start + low)


Mask = Literal["random", "equispaced"]
COLUMNS = {"random": random_columns, "equispaced": equispaced_columns}


def column_mask(width: int, mask: Mask, acceleration: float, centre_fraction: float, rng: Rng) -> Tensor:
    """Which columns of each image are measured, (B, W) of 0 and 1; round(W centre_fraction) of them are the middle."""
    if not acceleration > 1:
        raise ValueError(f"the acceleration is a number above 1, not {acceleration}")
    if not 0 < centre_fraction < 1:
        raise ValueError(f"the centre fraction lies in (0, 1), not {centre_fraction}")
    low = round(width * centre_fraction)
    if low < 1 or low * acceleration >= width:
        raise ValueError(
            f"of {width} columns a centre fraction of {centre_fraction} takes {low}, which must be at least one and "
            f"fewer than the {width / acceleration:.4g} that an acceleration of {acceleration} leaves"
        )
    return COLUMNS[mask](width, acceleration, low, rng)


def coil_maps(coils: int, h: int, w: int, rng: Rng) -> Tensor:
    """Sensitivities S_c of coils around the object with sum_c |S_c|^2 = 1, (B, coils, h, w) complex128.

    In the plane z = u + i v, the image spanning [-1, 1]^2, coil c is a line current at p_c and its field is
    1 / (z - p_c), normalised over the coils. The currents stand round a ring, turned by a random angle, at distances
    drawn from 1.5 to 1.8: smooth everywhere, since no corner of the image is farther out than 1.42.
    """
    turn, away = rng.uniform(1, dtype=torch.float64), rng.uniform(coils, dtype=torch.float64)
    angle = 2 * torch.pi * (turn + torch.arange(coils, dtype=torch.float64, device=turn.device) / coils)
    place = torch.polar(1.5 + 0.3 * away, angle)[..., None, None]
    v, u = ((torch.arange(n, dtype=torch.float64, device=turn.device) * 2 + 1) / n - 1 for n in (h, w))
    field = 1 / (torch.complex(u.expand(h, w), v[:, None].expand(h, w)) - place)
    return field / field.abs().square().sum(1, keepdim=True).sqrt()


class CartesianMRI(LinearOperator):
    """What one coil and many share: k-space is centred and orthonormal, and each image has its mask of columns."""

    per_image = ("mask", "kept")
    mask: Tensor

    def __init__(
        self, shape: tuple[int, ...], rng: Rng, mask: Mask, acceleration: float, centre_fraction: float
    ) -> None:
        super().__init__(shape, rng.device)
        b, c, h, w = shape
        if c != 2:
            raise ValueError(f"MRI takes complex images of 2 channels, real and imaginary, not {c} channels")
        columns = column_mask(w, mask, acceleration, centre_fraction, rng).view(b, 1, 1, w)
        before, after = (phases.to(rng.device) for phases in centring(h, w))
        self.register_buffer("mask", columns, persistent=False)
        self.register_buffer("before", before, persistent=False)
        self.register_buffer("after", after, persistent=False)
        self.register_buffer("kept", columns * after, persistent=False)

    @property
    def valid(self) -> Tensor:
        """The measured columns, (B, 1, 1, W)."""
        return self.mask

    def picture(self, y: Tensor) -> Tensor:
        """log(1 + 1000 |y| / max |y|) / log(1001), the root of the sum of squares over the coils, (B, 1, H, W)."""
        size = y.square().sum(1, keepdim=True).sqrt()
        peak = size.flatten(1).amax(1).clamp(min=torch.finfo(y.dtype).tiny).view(-1, 1, 1, 1)
        return (1000 * size / peak).log1p() / torch.tensor(1001.0).log().item()

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        return (y_shape[0], 2, *y_shape[-2:])


class MRI(CartesianMRI):
    """One coil: y = M F x with the centred orthonormal Fourier transform F and a mask M of columns per image.

    x and y are (B, 2, H, W), real and imaginary; y is zero where nothing is measured. SVD exact (s is the mask, U the
    identity, V = F^H), hence the pseudo-inverse is the adjoint: the zero-filled image.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        mask: Mask = "random",
        acceleration: float = 4,
        centre_fraction: float = 0.08,
    ) -> None:
        super().__init__(shape, rng, mask, acceleration, centre_fraction)

    def forward(self, x: Tensor) -> Tensor:
        return self._fourier(x, "kept")

    def T(self, y: Tensor) -> Tensor:
        return self._back(y, "kept")

    def pinv(self, y: Tensor) -> Tensor:
        return self.T(y)

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """s is the mask, U the identity, V the inverse Fourier transform."""

        def same(z: Tensor) -> Tensor:
            return z

        def right(z: Tensor) -> Tensor:
            return self._back(z, "after")

        def right_t(x: Tensor) -> Tensor:
            return self._fourier(x, "after")

        return SVD(self.mask.to(dtype), same, same, right, right_t)

    def _fourier(self, x: Tensor, after: str) -> Tensor:
        z = to_complex(x).mul_(self.cast("before", x))
        return to_real(torch.fft.fft2(z, norm="ortho") * self.cast(after, x))

    def _back(self, y: Tensor, after: str) -> Tensor:
        z = exchanged(y) * self.cast(after, y)
        return to_exchanged(torch.fft.fft2(z, norm="ortho").mul_(self.cast("before", y)))


class MultiCoilMRI(CartesianMRI):
    """Several coils: y_c = M F S_c x with smooth maps S_c, sum_c |S_c|^2 = 1, drawn for each image.

    x is (B, 2, H, W); y is (B, 2 coils, H, W): real and imaginary part of the first coil, of the second, and so on; all
    coils share the image's mask. No SVD. With smooth maps the singular values fall to zero without a gap, and the
    least-squares image is noise; `pinv` is CG-SENSE, ten steps of conjugate gradients from zero, and not exact.
    """

    per_image = ("mask", "kept", "maps")
    exact_pinv = False
    steps = 10
    maps: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        coils: int = 8,
        mask: Mask = "equispaced",
        acceleration: float = 4,
        centre_fraction: float = 0.08,
    ) -> None:
        super().__init__(shape, rng, mask, acceleration, centre_fraction)
        if coils < 1:
            raise ValueError(f"MRI needs at least one coil, not {coils}")
        h, w = shape[-2:]
        self.register_buffer("maps", coil_maps(coils, h, w, rng), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        z = to_complex(x).mul_(self.cast("before", x)) * self.cast("maps", x)
        return to_real(torch.fft.fft2(z, norm="ortho") * self.cast("kept", x))

    def T(self, y: Tensor) -> Tensor:
        z = torch.fft.fft2(exchanged(y) * self.cast("kept", y), norm="ortho") * self.cast("maps", y)
        return to_exchanged(z.sum(1, keepdim=True).mul_(self.cast("before", y)))

    def pinv(self, y: Tensor) -> Tensor:
        return least_squares(self, y, iterations=self.steps)
