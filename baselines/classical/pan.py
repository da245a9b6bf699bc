"""Blind deblurring from coarse to fine, with few gradients and few bright pixels where it is dark (Pan).

J. Pan, Z. Hu, Z. Su, M.-H. Yang: Deblurring Text Images via L0-Regularized Intensity and Gradient Prior, CVPR 2014.
J. Pan, D. Sun, H. Pfister, M.-H. Yang: Blind Image Deblurring Using Dark Channel Prior, CVPR 2016.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.classical import pan_kernel as kernels
from baselines.classical.pan_latent import (
    Deconvolution,
    bilateral,
    darkest,
    everywhere,
    few_gradients,
    few_pixels,
    otsu,
    total_variation,
)
from baselines.common.shifts import centred, cut
from sipbench.operators.blind import BlindBlur
from sipbench.operators.convolution import fast_length
from sipbench.problem import Estimate, Problem

Latent = Callable[[Tensor, Tensor, float, float], Tensor]
RATIO = 0.5**0.5


@dataclass(frozen=True)
class Final:
    """x of all channels from y and the last kernel: by total variation, less ringing.

    Attributes:
        lam_tv: weight of the total variation; published are 1e-4 to 1e-2.
        lam_l0: that of the number of gradients; published are 5e-4 to 2e-3.
        ring: the weight of what is taken off, 0 to 1.
    """

    lam_tv: float = 2e-3
    lam_l0: float = 5e-4
    ring: float = 1.0

    def __call__(self, problem: Problem, y: Tensor, k: Tensor) -> Tensor:
        """x of the size that f wants from all of y (on [0, 1])."""
        blur, (h, w) = _blur(problem), problem.shape[-2:]
        wide = periodic(y, max(blur.box) - 1)
        x = total_variation(wide, k, self.lam_tv)
        if self.ring:
            x = x - self.ring * bilateral(x - few_gradients(wide, Deconvolution(wide, k), self.lam_l0))
        if blur.boundary == "valid":
            x = x.roll([(n - 1) - n // 2 for n in blur.box], (-2, -1))
        return x[..., :h, :w].clamp(0, 1)


def pan_dcp(
    problem: Problem,
    *,
    lam: float = 4e-3,
    mu: float = 4e-3,
    iterations: int = 5,
    weight: float = 2.0,
    kernel_size: int | None = None,
    final: Final = Final(),
) -> Estimate:
    """min over x, k of |k * x - y|^2 + weight |k|^2 + mu |grad x|_0 + lam |D(x)|_0, D the least value of each window.

    Of the luminance on [0, 1], at scales a factor sqrt(2) apart until the kernel has about 5 pixels. At each scale in
    turn: x from y and k; k from the strong gradients of x, by conjugate gradients; then lam and mu are divided by 1.1,
    not below 1e-4, which the next scale inherits. Windows have 35 pixels at every scale. In the end all channels are
    deconvolved with the last kernel by total variation, less what a bilateral filter keeps of the difference to a
    deconvolution with few gradients: ringing.

    How it stands to the public code: docs/notes/pan.md.

    Args:
        iterations: turns at each scale.
        weight: of the kernel's squares, against a sum over pixels.
        kernel_size: the side of the kernel within the box; null is the box.
        final: the weights of the final deconvolution.
    """

    def latent(y: Tensor, k: Tensor, lam: float, mu: float) -> Tensor:
        return few_pixels(y, k, lam, mu, lam / otsu(y.square()), darkest)

    return deblurred(problem, latent, lam, mu, iterations, weight, kernel_size, final)


def pan_l0(
    problem: Problem,
    *,
    lam: float = 4e-3,
    mu: float = 4e-3,
    iterations: int = 5,
    weight: float = 2.0,
    kernel_size: int | None = None,
    final: Final = Final(),
) -> Estimate:
    """min over x, k of |k * x - y|^2 + weight |k|^2 + mu |grad x|_0 + lam |x|_0; all else as in `pan_dcp`."""

    def latent(y: Tensor, k: Tensor, lam: float, mu: float) -> Tensor:
        return few_pixels(y, k, lam, mu, y.new_full((len(y),), 2 * lam), everywhere)

    return deblurred(problem, latent, lam, mu, iterations, weight, kernel_size, final)


def deblurred(
    problem: Problem,
    latent: Latent,
    lam: float,
    mu: float,
    iterations: int,
    weight: float,
    kernel_size: int | None,
    final: Final,
) -> Estimate:
    """From coarse to fine, then the final deconvolution of all channels. lam = 0 leaves the pixels out."""
    y, blur = (problem.y + 1) / 2, _blur(problem)
    grey, side = _grey(y), _side(blur, kernel_size)
    scales = range(levels(side), -1, -1)
    k = kernels.first(len(y), _odd(side * RATIO ** scales[0]), y)
    small, wide, differences = scene(grey, RATIO ** scales[0], k.shape[-1])
    threshold = chosen = kernels.strength(small, k.shape[-1])
    for i in problem.steps(len(scales) * iterations):
        if i and i % iterations == 0:
            ratio, chosen = RATIO ** scales[i // iterations], threshold
            k = kernels.resized(k, _odd(side * ratio), 1 / RATIO)
            small, wide, differences = scene(grey, ratio, k.shape[-1])
        x = latent(wide, k, lam, mu) if lam else few_gradients(wide, Deconvolution(wide, k), mu)
        x = x[..., : small.shape[-2], : small.shape[-1]]
        sharp, chosen = kernels.strong(x, chosen), chosen / 1.1
        k = kernels.pruned(kernels.estimate(sharp, differences, k.shape[-1], weight))
        lam, mu = (max(v / 1.1, 1e-4) if v else v for v in (lam, mu))
        problem.show(_shown(x, problem))
        if i % iterations == iterations - 1:
            k = kernels.centred(k)
    if k.shape[-1] != side:
        k = kernels.resized(k, side, side / k.shape[-1])
    k = cut(k, 1 / 20)
    x, k = centred(2 * final(problem, y, k) - 1, blur.boxed(k), 1 / 20)
    left = {name: y.new_zeros(len(y), *shape) for name, shape in problem.f.theta_shapes.items()}  # pyright: ignore
    return Estimate(x, theta=left | {"kernel": k})


def levels(side: int) -> int:
    """How often a kernel can be halved in area until it has about 5 pixels a side."""
    return max(0, math.floor(math.log(5 / side) / math.log(RATIO)))


def scene(grey: Tensor, ratio: float, side: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """y at a scale, made periodic for a kernel of this side, and its gradients."""
    small = shrunk(grey, ratio)
    return small, periodic(small, side - 1), kernels.gradients(small)


def shrunk(x: Tensor, ratio: float) -> Tensor:
    """A smaller image, bilinearly with antialiasing; as it is at ratio 1."""
    size = [max(4, round(n * ratio)) for n in x.shape[-2:]]
    return x if ratio == 1 else F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)


def periodic(x: Tensor, reach: int) -> Tensor:
    """x and behind it at least `reach` samples that lead from its last row or column straight to its first."""
    for axis in (-2, -1):
        n = x.shape[axis]
        gap = fast_length(n + reach) - n
        shape = [gap if a == axis else 1 for a in range(-4, 0)]
        t = (torch.arange(1, gap + 1, dtype=x.dtype, device=x.device) / (gap + 1)).view(shape)
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, n - 1, 1)
        x = torch.cat([x, last + t * (first - last)], axis)
    return x


def _shown(x: Tensor, problem: Problem) -> Tensor:
    """A grey image of any scale as large as the unknown."""
    y = F.interpolate(2 * x - 1, problem.y.shape[-2:], mode="bilinear", align_corners=False)
    (h, w), (m, n) = problem.shape[-2:], y.shape[-2:]
    top, left = (h - m) // 2, (w - n) // 2
    y = F.pad(y, (left, w - n - left, top, h - m - top), mode="replicate")
    return y.expand(-1, problem.shape[1], -1, -1)


def _blur(problem: Problem) -> BlindBlur:
    blur = getattr(problem.f, "blur", problem.f)
    assert isinstance(blur, BlindBlur)
    return blur


def _side(blur: BlindBlur, kernel_size: int | None) -> int:
    if kernel_size is not None and not 1 <= kernel_size <= min(blur.box):
        raise ValueError(f"kernel_size is a side within the box of {blur.box}, or null, not {kernel_size}")
    side = min(blur.box) if kernel_size is None else kernel_size
    return side - 1 + side % 2


def _odd(side: float) -> int:
    n = math.ceil(side)
    return n + 1 - n % 2


def _grey(y: Tensor) -> Tensor:
    """The luminance of three channels; the mean of others."""
    weights = [0.299, 0.587, 0.114] if y.shape[1] == 3 else [1 / y.shape[1]] * y.shape[1]
    return (y * y.new_tensor(weights).view(1, -1, 1, 1)).sum(1, keepdim=True)
