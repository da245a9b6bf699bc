"""What a forward map is: f(x), batched and differentiable, element i of a batch never touching element j."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from sipbench.operators.iterative import lanczos_norm, pseudo_inverse

if TYPE_CHECKING:
    from sipbench.problem import Rng


class Operator(nn.Module):
    """y = f(x) for images x of shape (B, C, H, W). A complex image is two channels, real and imaginary; y is real.

    Attributes:
        shape: the shape of x.
        symmetries: the maps g with f(g x) = f(x), named as in `operators.symmetries`; metrics align over exactly those.
        margin: the border of x, down and across, that a `bounded_shift` may move out of sight: metrics leave it out.
        per_image: the names of the buffers whose first dimension runs over the images.
    """

    linear: ClassVar[bool] = False
    blind: ClassVar[bool] = False
    symmetries: tuple[str, ...] = ()
    margin: tuple[int, int] = (0, 0)
    per_image: ClassVar[tuple[str, ...]] = ()

    def __init__(self, shape: tuple[int, ...] = (), device: torch.device | str = "cpu") -> None:
        super().__init__()
        self.shape, self.device = tuple(shape), torch.device(device)
        self._casts: dict[tuple[str, torch.dtype], Tensor] = {}

    @property
    def alike(self) -> bool:
        """Whether it is the same map for every image of its batch: what it has of each of them is equal."""
        maps = [m for m in self.modules() if isinstance(m, Operator)]
        own = [part for m in maps for name in m.per_image if (part := m._buffers.get(name)) is not None]
        return all(bool((part == part[:1]).all()) for part in own)

    @property
    def valid(self) -> Tensor | None:
        """Which entries of y carry information, broadcastable to y; None says all."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def measure(self, *x: Any) -> Tensor:
        """What an instrument gives before noise: f itself, unless f stands for it (a codec made differentiable)."""
        return self(*x)

    def picture(self, y: Tensor) -> Tensor:
        """The measurement as a person would look at it: (B, 1 or 3, h, w) in [0, 1]. Images are as they are."""
        y = 2 * y.norm(dim=1, keepdim=True) - 1 if y.shape[1] == 2 else y
        return ((y + 1) / 2).clamp(0, 1)

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        """The shape of the x that belongs to a measurement of this shape; for real measurements, which have no x.

        Where y does not tell the sides of x, they are equal.
        """
        return y_shape

    def select(self, index: slice) -> Self:
        """The same map for some of its images."""
        part = copy.copy(self)
        part._buffers = {k: v[index] if k in self.per_image and v is not None else v for k, v in self._buffers.items()}
        part.shape = (len(range(*index.indices(self.shape[0]))), *self.shape[1:])
        part._casts = {}
        return part

    def cast(self, name: str, like: Tensor) -> Tensor:
        """A buffer in the precision of a tensor (complex stays complex), converted once."""
        key = (name, like.dtype)
        if key not in self._casts:
            buffer = self._buffers[name]
            assert buffer is not None
            with torch.inference_mode(False):
                self._casts[key] = buffer.to(like.dtype.to_complex() if buffer.is_complex() else like.dtype)
        return self._casts[key]

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self._casts = {}
        self.device = fn(torch.empty(0, device=self.device)).device
        return super()._apply(fn, recurse)


class BlindOperator(Operator):
    """y = f(x, theta): theta, a name -> tensor (B, ...) mapping such as {"kernel": k}, is not told to the solver.

    A solver gets it `sealed`: without what theta is drawn from. The harness draws theta from the image's own stream.

    Attributes:
        secrets: the names of the attributes that only `draw` needs.
    """

    blind: ClassVar[bool] = True
    secrets: ClassVar[tuple[str, ...]] = ()

    def sealed(self) -> Self:
        """The same map without its secrets, which can no longer draw."""
        part = copy.copy(self)
        part.__dict__ = {k: v for k, v in self.__dict__.items() if k not in self.secrets}
        inner = {k: m.sealed() if isinstance(m, BlindOperator) else m for k, m in self._modules.items()}
        part.__dict__ |= {"_modules": inner, "_casts": {}, "draw": _refuse}
        return part

    @property
    def theta_shapes(self) -> dict[str, tuple[int, ...]]:
        """What is known of theta: the shape of each part without the batch, or of the box that holds it."""
        raise NotImplementedError

    def draw(self, rng: Rng) -> dict[str, Tensor]:
        """A theta for each image, of the kind and size that the problem really uses."""
        raise NotImplementedError

    def forward(self, x: Tensor, theta: Mapping[str, Tensor]) -> Tensor:  # pyright: ignore
        raise NotImplementedError


def _refuse(rng: Rng) -> dict[str, Tensor]:
    raise RuntimeError("theta is not told: a solver estimates it")


class LinearOperator(Operator):
    """A linear map A with its exact adjoint and pseudo-inverse.

    Attributes:
        exact_pinv: whether `pinv` is the Moore-Penrose inverse; filtered back-projection, say, is only near it.
    """

    linear: ClassVar[bool] = True
    exact_pinv: ClassVar[bool] = True

    def T(self, y: Tensor) -> Tensor:
        """The adjoint: <A x, y> = <x, A^T y>."""
        raise NotImplementedError(f"{type(self).__name__} has no T: a linear map gives its adjoint, def T(self, y)")

    def pinv(self, y: Tensor) -> Tensor:
        """The Moore-Penrose pseudo-inverse A^+ y. Unless overridden: conjugate gradients, to the working precision."""
        return pseudo_inverse(self, y)

    @property
    def norm(self) -> float:
        """The largest singular value, over the whole batch."""
        svd = self.svd()
        return lanczos_norm(self, self.shape, self.device) if svd is None else float(svd.s.max())

    def svd(self, dtype: torch.dtype = torch.float32) -> SVD | None:
        """The singular value decomposition as functions, where it is cheap; else None."""
        return None


@dataclass(frozen=True)
class SVD:
    """A = U diag(s) V^T as functions over a batch; s broadcasts to the spectral coordinates and may hold zeros.

    Of three dimensions or more the first runs over the images; with fewer it is the same for all.
    """

    s: Tensor
    U: Callable[[Tensor], Tensor]
    Ut: Callable[[Tensor], Tensor]
    V: Callable[[Tensor], Tensor]
    Vt: Callable[[Tensor], Tensor]


def invert(s: Tensor, cutoff: float = 0.0) -> Tensor:
    """1 / s where s is above the cutoff and, beside the image's largest, not zero to working precision; else 0."""
    images = 1 if s.ndim > 2 else 0
    largest = s.abs().amax(tuple(range(images, s.ndim)), keepdim=True)
    floor = (largest * torch.finfo(s.dtype).eps * 10).clamp(min=cutoff)
    return torch.where(s.abs() > floor, 1 / s.clamp(min=floor), torch.zeros_like(s))
