"""The physics of deepinv as operators, and operators as physics of deepinv.

Tachella et al.: DeepInverse: A Python package for solving imaging inverse problems with deep learning, JOSS 2025,
https://arxiv.org/abs/2505.20160
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from sipbench import configs
from sipbench.errors import UserError
from sipbench.operators.base import LinearOperator, Operator
from sipbench.problem import Problem, Rng

LACKS = "needs the package deepinv: pip install 'sipbench[deepinv]'"
DTYPES = {"torch.float": torch.float, "torch.double": torch.double, "torch.cfloat": torch.cfloat}  # in a YAML, as text
OFF = 1e-4  # between <A x, y> and <x, A^T y>, of the product of their norms: beyond, it is no adjoint


class Physics(Operator):
    """y = A(u) of a deepinv physics, u = low + (high - low) (x + 1) / 2 in the units of the physics; no noise.

    What it draws, it draws for each image from that image's stream: a physics that takes `rng`, and the parameters
    that a generator makes. A complex image is two channels here, real and imaginary, and so is a complex y.

    Args:
        physics: its class as `_target_`, and the options of that; `img_size` and `rng` are given to one that asks.
        generator: of deepinv.physics.generator, what draws its parameters for each image.
        shared: one draw for all images, always the same.
        complex: whether it is given complex images.
        range: the low and the high end of the images that it is given.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        physics: Mapping[str, Any],
        generator: Mapping[str, Any] | None = None,
        shared: bool = False,
        complex: bool = False,
        range: Sequence[float] = (0.0, 1.0),
    ) -> None:
        super().__init__(shape, rng.device)
        self.complex, (self.low, self.high) = complex, range
        seeds = [int(key[:7], 16) + 1 for key in rng.child("physics").keys]
        drawn = generator is not None or "rng" in _parameters(physics)
        if shared or not drawn:
            self._parts = [_made(physics, generator, self._image, 1)]
        else:
            self._parts = [_made(physics, generator, self._image, seed) for seed in seeds]
            self.per_image = ("seeds",)  # pyright: ignore[reportAttributeAccessIssue]
        self.register_buffer("seeds", torch.tensor(seeds, device=rng.device))
        self._parts = [part.to(rng.device) for part in self._parts]
        self._precise: dict[torch.dtype, list[Any]] = {torch.float32: self._parts}
        self.title = str(physics["_target_"])
        self.single, self.complex_y = False, False
        with torch.no_grad():
            try:
                self.select(slice(0, 1))._try()
            except RuntimeError:  # it mixes precisions: doubles are handed to it as singles
                self.single = True
            try:
                self.complex_y = self.select(slice(0, 1))._try().is_complex()
            except (TypeError, AssertionError, RuntimeError, IndexError) as error:
                raise ValueError(f"{self.title}: {_line(error)}") from error

    @property
    def _image(self) -> tuple[int, ...]:
        """The shape of an image as deepinv has it."""
        return (self.shape[1] // 2, *self.shape[2:]) if self.complex else self.shape[1:]

    @classmethod
    def unknown_shape(cls, y_shape: tuple[int, ...], **options: Any) -> tuple[int, ...]:
        size = (options.get("physics") or {}).get("img_size")
        return (y_shape[0], *size) if size else y_shape

    def _try(self) -> Tensor:
        """One measurement of a dark image, in double precision."""
        dark = torch.zeros(1, *self.shape[1:], dtype=torch.float64, device=self.device)
        y = self._each(lambda part, v: part.A(v), self._into(dark))
        if not isinstance(y, Tensor):
            raise ValueError(f"{self.title} measures {type(y).__name__}; y is one tensor here")
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self._out(self._each(lambda part, v: part.A(v), self._into(self._units(x))))

    def _units(self, x: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * (x + 1) / 2

    def _each(self, use: Callable[[Any, Tensor], Tensor], v: Tensor) -> Tensor:
        """What the physics make of a batch; each of several has its own image."""
        if self.single and v.dtype in (torch.float64, torch.complex128):
            low = torch.complex64 if v.is_complex() else torch.float32
            found = self._each(use, v.to(low))
            return found.to(torch.complex128 if found.is_complex() else torch.float64)
        parts = self._parts_in(v.real.dtype)
        if len(parts) == 1:
            return use(parts[0], v)
        return torch.cat([use(part, one) for part, one in zip(parts, v.split(1), strict=True)])

    def _parts_in(self, dtype: torch.dtype) -> list[Any]:
        """The physics in a precision; deepinv makes them in float32."""
        if dtype not in self._precise:

            def cast(t: Tensor) -> Tensor:
                return t.to(dtype.to_complex() if t.is_complex() else dtype if t.is_floating_point() else t.dtype)

            self._precise[dtype] = [copy.deepcopy(part)._apply(cast) for part in self._parts]
        return self._precise[dtype]

    def _into(self, x: Tensor) -> Tensor:
        """As deepinv takes it: of two channels a complex one."""
        return torch.complex(*x.chunk(2, dim=1)) if self.complex else x

    def _out(self, y: Tensor) -> Tensor:
        """As it is had here: of a complex channel two."""
        return torch.cat([y.real, y.imag], dim=1) if y.is_complex() else y

    def select(self, index: slice) -> Self:
        part = super().select(index)
        if self.per_image:
            part._parts = self._parts[index]
            part._precise = {dtype: parts[index] for dtype, parts in self._precise.items()}
        return part

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        at = self.device
        self._parts = [part.to(at) for part in self._parts]
        self._precise = {torch.float32: self._parts}
        return self


class LinearPhysics(Physics, LinearOperator):
    """y = A x of a linear deepinv physics, with its adjoint, which is tried once; A^+ by conjugate gradients.

    Args:
        physics, generator, shared, complex: as of `Physics`.
    """

    linear = True
    exact_pinv = False  # by iterations, as many as are allowed

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        physics: Mapping[str, Any],
        generator: Mapping[str, Any] | None = None,
        shared: bool = False,
        complex: bool = False,
    ) -> None:
        super().__init__(shape, rng, physics=physics, generator=generator, shared=shared, complex=complex)
        if not isinstance(self._parts[0], _deepinv().physics.LinearPhysics):
            raise ValueError(f"{self.title} is not linear: degradation=deepinv_nonlinear takes it")
        with torch.no_grad():
            try:
                off = self._apart()
            except RuntimeError:  # as above, of its adjoint
                self.single = True
                off = self._apart()
        if off > OFF:
            raise ValueError(f"the A_adjoint of {self.title} is not the adjoint of its A: they are {off:.1g} apart")

    def _apart(self) -> float:
        """How far <A x, z> and <x, A^T z> are apart for one image, beside |A x| |z|."""
        one, draw = self.select(slice(0, 1)), torch.Generator().manual_seed(0)
        x = torch.randn(1, *self.shape[1:], dtype=torch.float64, generator=draw).to(self.device)
        y = one(x)
        z = torch.randn(y.shape, dtype=torch.float64, generator=draw).to(self.device)
        return float(((y * z).sum() - (x * one.T(z)).sum()).abs() / (y.norm() * z.norm()).clamp(min=1e-30))

    def _units(self, x: Tensor) -> Tensor:
        return x

    def T(self, y: Tensor) -> Tensor:
        v = torch.complex(*y.chunk(2, dim=1)) if self.complex_y else y
        x = self._each(lambda part, one: part.A_adjoint(one), v)
        return self._out(x) if self.complex else x.real


def _deepinv() -> Any:
    try:
        import deepinv
    except ImportError as error:
        raise UserError(f"this {LACKS}") from error
    return deepinv


def _parameters(node: Mapping[str, Any]) -> Mapping[str, inspect.Parameter]:
    """What the class of a physics takes."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise ValueError(f"physics names its class, as in {{_target_: deepinv.physics.Downsampling}}, not {node!r}")
    for name in ("noise_model", "sensor_model"):
        if name in node:
            raise ValueError(f"{name} is no part of f here: noise is said by degradation.noise, or noise=NAME")
    _deepinv()
    return inspect.signature(configs.locate(node["_target_"])).parameters


def _made(node: Mapping[str, Any], generator: Mapping[str, Any] | None, image: tuple[int, ...], seed: int) -> Any:
    """The physics, drawn with this seed alone."""
    takes, more = _parameters(node), {}
    if "img_size" in takes and "img_size" not in node:
        more["img_size"] = image
    if "rng" in takes:
        more["rng"] = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        torch.manual_seed(seed)  # for one that asks for no generator
        try:
            made = configs.assembled(node, DTYPES, **more)
            if generator is not None:
                made.update(**configs.assembled(generator).step(batch_size=1, seed=seed))
        except (TypeError, AssertionError, RuntimeError, AttributeError, IndexError) as error:
            raise ValueError(f"{node['_target_']}: {_line(error)}") from error
    for warning in said:
        if "are ignored" in str(warning.message):
            raise ValueError(f"{node['_target_']}: {warning.message}")
    if not isinstance(made, _deepinv().physics.Physics):
        raise ValueError(f"{node['_target_']} is no physics of deepinv")
    return made


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def to_deepinv(given: Problem | Operator, *, norm: float = 1.0, noise_model: Any = None) -> Any:
    """A problem, or its forward map, as a physics of deepinv on images in [-1, 1].

    A linear one is a LinearPhysics with the exact adjoint and pseudo-inverse; one whose singular value decomposition is
    cheap a DecomposablePhysics; any other a Physics. The noise of a problem that is told comes along.

    Args:
        norm: what f is divided by; f.norm makes its largest singular value 1.
        noise_model: a noise of deepinv in place of the problem's.
    """
    kinds = _deepinv().physics
    f = given.f if isinstance(given, Problem) else given
    if f.blind:
        raise UserError("a blind forward map leaves a part of it open; deepinv has no word for that")
    if noise_model is None:
        noise_model = _noise(kinds, given, norm) if isinstance(given, Problem) else kinds.ZeroNoise()
    size = tuple(f.shape[1:])
    if not isinstance(f, LinearOperator):
        return kinds.Physics(A=lambda x, **_: f(x) / norm, noise_model=noise_model)
    svd = f.svd()
    if svd is not None:
        whole = svd.s.expand_as(svd.Vt(torch.zeros(f.shape, device=f.device)))  # deepinv compares it entry by entry
        s = (whole if f.per_image else whole[:1]) / norm
        found: Any = kinds.DecomposablePhysics(
            svd.U, svd.Vt, size, svd.Ut, svd.V, s, device=f.device, noise_model=noise_model
        )
    else:
        found = kinds.LinearPhysics(
            A=lambda x, **_: f(x) / norm,
            A_adjoint=lambda y, **_: f.T(y) / norm,
            img_size=size,
            noise_model=noise_model,
            device=f.device,
        )
    found.A_dagger = lambda y, **_: f.pinv(y * norm)
    return found


def _noise(kinds: Any, problem: Problem, norm: float) -> Any:
    """Gaussian noise in deepinv's word, none where it is not told, and any other as it is, from the images' streams."""
    told = problem.noise
    if told is None:
        return kinds.ZeroNoise()
    if told.sigma is not None:
        return kinds.GaussianNoise(told.sigma / norm)
    streams = problem.rng.child("deepinv")
    return kinds.NoiseModel(lambda y: told(y * norm, streams) / norm)
