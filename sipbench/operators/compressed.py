"""Compressed sensing: fewer random measurements than pixels, each of the whole image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sipbench.operators.base import SVD, LinearOperator, invert
from sipbench.problem import Rng

LARGEST = 2**24  # entries of one image's dense matrix: 128 MiB in double precision
ALIGNED = 16  # rows of the dense matrix begin at multiples of this many entries
RADIX = 16


class Sensing(LinearOperator):
    """y of shape (B, C, m), m = floor(ratio H W) and at least 1: each image has its own map, shared over channels."""

    def __init__(self, shape: tuple[int, ...], rng: Rng, ratio: float, size: Sequence[int] | None) -> None:
        super().__init__(shape, rng.device)
        if not 0 < ratio < 1:
            raise ValueError(f"the ratio of measurements to pixels lies between 0 and 1, not {ratio}")
        if size is not None and tuple(size) != tuple(shape[-2:]):
            raise ValueError(f"size says {tuple(size)}, but the images are {shape[-2]} x {shape[-1]}")
        self.n = shape[-2] * shape[-1]
        self.m = max(1, math.floor(ratio * self.n))

    @classmethod
    def unknown_shape(
        cls, y_shape: tuple[int, ...], *, ratio: float = 0.25, size: Sequence[int] | None = None, **options: Any
    ) -> tuple[int, ...]:
        """`size`, or a square of about m / ratio pixels."""
        side = round(math.sqrt(y_shape[-1] / ratio))
        return (*y_shape[:-1], *(size or (side, side)))

    def picture(self, y: Tensor) -> Tensor:
        """The measurements in rows of a square, each image's darkest value at 0 and its brightest at 1."""
        y = y if y.shape[1] in (1, 3) else y.mean(1, keepdim=True)
        low, high = (f((1, 2), keepdim=True) for f in (y.amin, y.amax))
        side = math.ceil(math.sqrt(self.m))
        grey = torch.nn.functional.pad((y - low) / (high - low).clamp(min=1e-12), (0, side**2 - self.m))
        return grey.unflatten(-1, (side, side))


class GaussianSensing(Sensing):
    """A x = M x, M of m rows with entries from N(0, 1 / m). SVD and A^+ exact, computed once when first asked for.

    The dense matrix of an image holds 2^24 entries at most: 64 x 64 at any ratio, 128 x 128 up to a sixteenth.
    """

    per_image = ("matrix", "u", "s", "vt")
    matrix: Tensor
    u: Tensor | None
    s: Tensor | None
    vt: Tensor | None

    def __init__(
        self, shape: tuple[int, ...], rng: Rng, *, ratio: float = 0.25, size: Sequence[int] | None = None
    ) -> None:
        super().__init__(shape, rng, ratio, size)
        if self.m * self.n > LARGEST:
            raise ValueError(
                f"a dense {self.m} x {self.n} matrix is too large (more than {LARGEST} entries an image): "
                "take degradation=cs_hadamard, smaller images or a smaller ratio"
            )
        matrix = rng.normal(self.m, self.n, dtype=torch.float64) / math.sqrt(self.m)
        self.register_buffer("matrix", _aligned(matrix), persistent=False)
        for name in ("u", "s", "vt"):
            self.register_buffer(name, None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return _times(_aligned(x.flatten(-2)), self.cast("matrix", x).mT)

    def T(self, y: Tensor) -> Tensor:
        return self._image(_times(y, self.cast("matrix", y)))

    def pinv(self, y: Tensor) -> Tensor:
        svd = self.svd(y.dtype)
        return svd.V(invert(svd.s) * svd.Ut(y))

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """Dense, of each image's matrix; s is (B, 1, m), the spectral coordinates (B, C, m)."""
        self._factorise()
        assert self.s is not None
        return SVD(
            self.s.to(dtype),
            lambda z: _times(z, self.cast("u", z).mT),
            lambda y: _times(y, self.cast("u", y)),
            lambda z: self._image(_times(z, self.cast("vt", z))),
            lambda x: _times(_aligned(x.flatten(-2)), self.cast("vt", x).mT),
        )

    @torch.inference_mode(False)
    @torch.no_grad()
    def _factorise(self) -> None:
        """M^T = Q R and R^T = U S W^T, so that M = U S (Q W)^T; the second is of the small side alone."""
        if self.u is not None:
            return
        parts = []
        for matrix in self.matrix[..., : self.n].double():
            q, r = torch.linalg.qr(matrix.T)
            u, s, wt = torch.linalg.svd(r.T)
            parts.append((u, s[None], _aligned(wt @ q.T)))
        self.u, self.s, self.vt = (torch.stack(part) for part in zip(*parts, strict=True))

    def _image(self, flat: Tensor) -> Tensor:
        return flat[..., : self.n].unflatten(-1, self.shape[-2:])


class HadamardSensing(Sensing):
    """A x = P H D x: random signs D, the orthonormal Walsh-Hadamard transform H, and m random rows P of it.

    All in natural (Sylvester) order, over the pixels row by row: their number is a power of two. A A^T = 1, so
    A^+ = A^T; SVD exact: s = 1, U = 1, V = A^T. No matrix is built: H is a product of transforms of 16 points.
    """

    per_image = ("signs", "rows")
    signs: Tensor
    rows: Tensor

    def __init__(
        self, shape: tuple[int, ...], rng: Rng, *, ratio: float = 0.25, size: Sequence[int] | None = None
    ) -> None:
        super().__init__(shape, rng, ratio, size)
        if self.n & (self.n - 1):
            raise ValueError(
                f"the Hadamard transform needs a power of two of pixels, not {shape[-2]} x {shape[-1]} = {self.n}: "
                "take 64 x 64, 128 x 128 or 256 x 256"
            )
        signs = 2.0 * (rng.uniform(1, self.n, dtype=torch.float64) < 0.5) - 1
        rows = rng.permutation(self.n)[:, : self.m].sort(dim=1).values
        self.register_buffer("signs", signs, persistent=False)
        self.register_buffer("rows", rows[:, None], persistent=False)
        for radix in set(self._radices()):
            self.register_buffer(f"h{radix}", hadamard(radix).to(rng.device), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        z = self._transform(x.flatten(-2) * self.cast("signs", x))
        return z.gather(-1, self.rows.expand(len(z), z.shape[1], -1))

    def T(self, y: Tensor) -> Tensor:
        z = y.new_zeros(*y.shape[:-1], self.n).scatter(-1, self.rows.expand(len(y), y.shape[1], -1), y)
        return (self._transform(z) * self.cast("signs", y)).unflatten(-1, self.shape[-2:])

    def pinv(self, y: Tensor) -> Tensor:
        return self.T(y)

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD:
        """The spectral coordinates are the measurements."""

        def same(y: Tensor) -> Tensor:
            return y

        return SVD(torch.ones(1, dtype=dtype, device=self.device), same, same, self.T, self)

    def _radices(self) -> list[int]:
        """Powers of two, at most 16 each, whose product is n."""
        bits = self.n.bit_length() - 1
        return [RADIX] * (bits // 4) + [2 ** (bits % 4)] * (bits % 4 > 0)

    def _transform(self, x: Tensor) -> Tensor:
        """H x along the last dimension. Each pass transforms the leading digit of the index and puts it last."""
        v = x.reshape(-1, self.n)
        for r in self._radices():
            v = (v.view(-1, r, self.n // r).mT @ self.cast(f"h{r}", x)).view(-1, self.n)
        return v.view(x.shape)


def hadamard(n: int) -> Tensor:
    """The orthonormal Hadamard matrix of a power of two, in Sylvester's order."""
    h = torch.ones(1, 1, dtype=torch.float64)
    while len(h) < n:
        h = torch.kron(torch.tensor([[1, 1], [1, -1]], dtype=torch.float64), h)
    return h / math.sqrt(n)


def _aligned(a: Tensor) -> Tensor:
    """Zeros added to the last dimension, so that an image's numbers begin alike in memory wherever it stands.

    Where they begin decides in what order they are summed, and so the last bit.
    """
    extra = -a.shape[-1] % ALIGNED
    return torch.nn.functional.pad(a, (0, extra)) if extra else a


def _times(a: Tensor, b: Tensor) -> Tensor:
    """a_i b_i for each image; on the CPU one after the other, since rounding may depend on how many there are.

    A single one stands for all, as it does wherever tensors broadcast.
    """
    if a.device.type != "cpu":
        return a @ b
    n = max(len(a), len(b))
    return torch.stack([p @ q for p, q in zip(a.expand(n, -1, -1), b.expand(n, -1, -1), strict=True)])
