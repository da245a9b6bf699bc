"""Coherent diffraction imaging: far-field intensities of a complex object, on a detector with a beamstop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sipbench.operators.centred import to_complex, to_real
from sipbench.operators.phase import FarField, Measure
from sipbench.problem import Rng


class DiffractionPattern(FarField):
    """Coherent diffraction imaging: y = D |F x|^2 (or D |F x|) of a complex object on its full frame, (B, 1, H, W).

    x is (B, 2, H, W). For the pattern to determine it, the object fills at most half of the frame in each direction; no
    zeros are added. D is the detector: with a `beamstop` the pixels nearer to the middle than this radius measure
    nothing. The Fourier transform is orthonormal: the intensities of the whole pattern sum to |x|^2.

    With a known `support` S (the fraction of the frame that a centred box around the object takes in each direction, or
    a mask (H, W) or (B, 1, H, W)) F x is F S x: what lies outside is not looked at. Then only the phase is ambiguous,
    and the conjugate flip where it maps S to itself; without, shifts and the conjugate flip are.
    """

    symmetries = ("phase", "shift", "conjugate_flip")

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        measure: Measure = "intensity",
        beamstop: float = 0.0,
        support: float | Tensor | None = None,
    ) -> None:
        b, c, h, w = shape
        if c != 2:
            raise ValueError(f"a diffracting object has 2 channels, real and imaginary, not {c}")
        if not 0 <= beamstop < min(h, w) / 2:
            raise ValueError(f"the beamstop's radius lies in [0, {min(h, w) / 2:g}) pixels, not {beamstop}")
        super().__init__(shape, rng.device, measure, (h, w))
        known = None if support is None else _support(support, (b, 1, h, w)).to(rng.device)
        self.register_buffer("support", known, persistent=False)
        self.register_buffer(
            "detector", _detector(h, w, beamstop).to(rng.device) if beamstop else None, persistent=False
        )
        if known is not None and not known.all():  # one that holds the whole frame says nothing
            flips = torch.equal(known, known.flip(-2, -1))
            self.symmetries = ("phase", "conjugate_flip") if flips else ("phase",)

    @property
    def valid(self) -> Tensor | None:
        """The pixels beside the beamstop, (1, 1, H, W), or None where there is none."""
        return self._buffers["detector"]

    def forward(self, x: Tensor) -> Tensor:
        y = self._measure(self.lift(x))
        return y if self.valid is None else y * self.cast("detector", x)

    def embed(self, x: Tensor) -> Tensor:
        """The complex object, (B, 1, H, W), zero outside its support."""
        u = to_complex(x)
        return u if self.support is None else u * self.cast("support", x)

    def crop(self, u: Tensor) -> Tensor:
        return to_real(u if self.support is None else u * self.cast("support", u.real))

    def lower(self, z: Tensor) -> Tensor:
        return self.crop(self._return(z))

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        return (y_shape[0], 2, *y_shape[-2:])


def _detector(h: int, w: int, radius: float) -> Tensor:
    """One where a pixel is at least this far from the zero frequency, (1, 1, h, w)."""
    y, x = (torch.arange(n, dtype=torch.float64) - n // 2 for n in (h, w))
    return (torch.hypot(y[:, None], x) >= radius).double()[None, None]


def _support(given: float | Tensor, shape: tuple[int, ...]) -> Tensor:
    """A mask for each image; a fraction is a centred box that the 180-degree turn maps to itself."""
    if isinstance(given, Tensor):
        if (
            given.ndim < 2
            or given.shape[-2:] != shape[-2:]
            or given.ndim == 4
            and given.shape not in (shape, (1, *shape[1:]))
        ):
            raise ValueError(f"the support is a mask {shape[-2:]} or {shape}, not {tuple(given.shape)}")
        return (given != 0).double().expand(shape)
    if not 0 < given <= 1:
        raise ValueError(f"the support's share of the frame lies in (0, 1], not {given}")
    mask = torch.zeros(shape, dtype=torch.float64)
    top, left = (int((n - given * n) / 2) for n in shape[-2:])
    mask[..., top : shape[-2] - top, left : shape[-1] - left] = 1
    return mask
