"""Phase retrieval from far-field patterns: y = |F x| or |F x|^2, the phase of the Fourier transform lost."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as nnf
from torch import Tensor

from sipbench.operators.base import Operator
from sipbench.operators.centred import carrier
from sipbench.problem import Rng

Measure = Literal["magnitude", "intensity"]


class PhaseRetrieval(Operator):
    """y = |A x| or y = |A x|^2 with a linear A, which `lift` and its adjoint `lower` give to those who need it.

    Where A x = 0 the gradient of |A x| is taken as 0, which lies in its subdifferential.
    """

    def __init__(self, shape: tuple[int, ...], device: torch.device, measure: Measure) -> None:
        super().__init__(shape, device)
        self.intensity = {"magnitude": False, "intensity": True}[measure]

    def lift(self, x: Tensor) -> Tensor:
        """The field A x whose phase is lost, of the shape of y."""
        raise NotImplementedError

    def lower(self, z: Tensor) -> Tensor:
        """The adjoint of A over the real numbers: Re <A x, z> = <x, lower(z)>, an image of the shape of x."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        return self._measure(self.lift(x))

    def picture(self, y: Tensor) -> Tensor:
        """log(1 + 1000 m / max m) / log(1001) of the magnitudes m, averaged over channels unless there are 1 or 3."""
        y = y.clamp(min=0).sqrt() if self.intensity else y.clamp(min=0)
        y = y if y.shape[1] in (1, 3) else y.mean(1, keepdim=True)
        peak = y.flatten(1).amax(1).clamp(min=torch.finfo(y.dtype).tiny).view(-1, 1, 1, 1)
        return (1000 * y / peak).log1p() / torch.tensor(1001.0).log().item()

    def _measure(self, z: Tensor) -> Tensor:
        if not self.intensity:
            return z.abs()
        return z.real.square() + z.imag.square() if z.is_complex() else z.square()


class FarField(PhaseRetrieval):
    """A x = fftshift(fft2(embed(x))), orthonormal, on a frame that holds the object.

    Algorithms that work on the whole frame find there `frame`, its size; `support`, the mask of where the object may
    lie, or None where it is not known; `embed`, from x to the frame; and `crop`, back.
    """

    per_image: ClassVar[tuple[str, ...]] = ("support",)
    support: Tensor | None

    def __init__(self, shape: tuple[int, ...], device: torch.device, measure: Measure, frame: tuple[int, int]) -> None:
        super().__init__(shape, device, measure)
        self.frame = frame
        self.register_buffer("carrier", carrier(*frame).to(device), persistent=False)

    def embed(self, x: Tensor) -> Tensor:
        """The object in its frame."""
        raise NotImplementedError

    def crop(self, u: Tensor) -> Tensor:
        """The x with embed(x) = u; what lies outside the support is left out."""
        raise NotImplementedError

    def lift(self, x: Tensor) -> Tensor:
        return torch.fft.fft2(self.embed(x) * self.cast("carrier", x), norm="ortho")

    def _return(self, z: Tensor) -> Tensor:
        """The inverse and adjoint of fftshift(fft2(u))."""
        return torch.fft.ifft2(z, norm="ortho").mul_(self.cast("carrier", z.real).conj())


class FourierMagnitude(FarField):
    """Far-field magnitudes of each channel of a real image: y = |F P x|, zero frequency in the middle.

    P pads by p = int(oversample / 8 * size) zeros on each side, as DPS does: 256 pixels become 384 at oversample 2;
    y is (B, C, H + 2 p_h, W + 2 p_w). `domain` is signed (the image in [-1, 1] as it is: DPS) or unit (mapped to
    [0, 1] first: DAPS), where A is affine and `lower` the adjoint of its linear part; padding is zero in the domain.
    Each channel could be negated or turned by itself; declared are the symmetries of the image as a whole.
    """

    symmetries = ("sign", "flip")

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        oversample: float = 2.0,
        domain: Literal["signed", "unit"] = "signed",
        measure: Measure = "magnitude",
    ) -> None:
        b, _, h, w = shape
        if not oversample >= 0:
            raise ValueError(f"oversample is zero or positive, not {oversample}")
        self.pad = (_padding(h, oversample), _padding(w, oversample))
        super().__init__(shape, rng.device, measure, (h + 2 * self.pad[0], w + 2 * self.pad[1]))
        self.unit = {"signed": False, "unit": True}[domain]
        self.symmetries = (
            *(() if self.unit else ("sign",)),
            "flip",
            *(() if any(self.pad) else ("shift",)),
        )
        inside = self._pad(torch.ones(1, 1, h, w, dtype=torch.float64, device=rng.device))
        self.register_buffer("support", inside.expand(b, -1, -1, -1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        half = torch.fft.rfft2(self._in_domain(x), s=self.frame, norm="ortho")
        return _both_halves(self._measure(half), self.frame[1])

    def embed(self, x: Tensor) -> Tensor:
        """The image in its domain, framed by zeros."""
        return self._pad(self._in_domain(x))

    def crop(self, u: Tensor) -> Tensor:
        x = self._inside(u)
        return 2 * x - 1 if self.unit else x

    def lower(self, z: Tensor) -> Tensor:
        x = self._inside(self._return(z).real)
        return x / 2 if self.unit else x

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], *, oversample: float = 2.0, **options: Any) -> tuple[int, ...]:
        return (*y_shape[:-2], _unpadded(y_shape[-2], oversample), _unpadded(y_shape[-1], oversample))

    def _in_domain(self, x: Tensor) -> Tensor:
        return (x + 1) / 2 if self.unit else x

    def _pad(self, x: Tensor) -> Tensor:
        top, left = self.pad
        return nnf.pad(x, (left, left, top, top))

    def _inside(self, u: Tensor) -> Tensor:
        (top, left), (h, w) = self.pad, self.shape[-2:]
        return u[..., top : top + h, left : left + w]


def _padding(size: int, oversample: float) -> int:
    return int(oversample / 8 * size)


def _unpadded(frame: int, oversample: float) -> int:
    for size in range(1, frame + 1):
        if size + 2 * _padding(size, oversample) == frame:
            return size
    raise ValueError(f"no image padded at oversample {oversample} has {frame} pixels on a side")


def _both_halves(half: Tensor, width: int) -> Tensor:
    """All frequencies from the non-negative ones of the rows, zero in the middle: the value at -k is the value at k."""
    n = half.shape[-2]
    rows = half.roll(n // 2, -2)
    left = rows[..., 1 : width // 2 + 1].flip(-2, -1).roll(1 - n % 2, -2)
    return torch.cat([left, rows[..., : (width + 1) // 2]], -1)
