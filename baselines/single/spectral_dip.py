"""Deep image prior with a controlled spectral bias: convolutions of bounded norm, and a stop by blur over sharpness.

Z. Shi, P. Mettes, S. Maji, C. G. M. Snoek: On Measuring and Controlling the Spectral Bias of the Deep Image Prior,
IJCV 2022, https://arxiv.org/abs/2107.01125
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from baselines.common.layers import Conv
from baselines.common.losses import data_loss, penalty
from baselines.common.stopping import Stopper, make_stopper
from baselines.single.deep_decoder import pyramid, resized
from baselines.single.fit import fit
from sipbench.problem import Estimate, Problem, Rng

GAUSSIANS = (0.1, 0.1, 0.1, 0.5, 0.5)  # widths of the Gaussian upsampling, from the coarsest scale


class Lipschitz(nn.Module):
    """W / max(1, s / lam), s the largest singular value of W (c_out x c_in k k) of each image, held constant.

    s is exact, or by `power` iterations that go on from where they were at the step before.
    """

    def __init__(self, lam: float, power: int = 0) -> None:
        super().__init__()
        self.lam, self.power = lam, power
        self.v: Tensor | None = None

    def forward(self, W: Tensor) -> Tensor:
        s = self.norm(W.detach().flatten(2))
        return W / (s / self.lam).clamp(min=1).view(-1, 1, 1, 1, 1)

    def norm(self, W: Tensor) -> Tensor:
        gram = W @ W.mT
        if not self.power:
            return torch.linalg.eigvalsh(gram)[:, -1].clamp(min=0).sqrt()
        v = torch.ones_like(gram[:, :, :1]) if self.v is None else self.v
        for _ in range(self.power):
            v = F.normalize(gram @ v, dim=1)
        self.v = v
        return (v.mT @ gram @ v).flatten().sqrt()


class Centred(nn.Module):
    """Each channel of each image less its mean, plus a bias: a norm that leaves the scale alone."""

    def __init__(self, rng: Rng, channels: int, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(len(rng), channels, 1, 1, dtype=dtype, device=rng.device))

    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean((2, 3), keepdim=True) + self.bias


class Decoder(nn.Module):
    """G_theta: (B, c_in, h, w) -> (B, c_out, H, W) in [0, 1]: two convolutions a scale, upsampling in between.

    Args:
        ln_lambda: the bound on the norm of each 3 x 3 convolution.
        upsample: bilinear, nearest, or gaussian (zeros in between, then a Gaussian of `GAUSSIANS`).
        power: power iterations for the norms; 0 takes them exactly.
    """

    def __init__(
        self,
        rng: Rng,
        c_in: int,
        c_out: int,
        size: Sequence[int],
        *,
        channels: Sequence[int] = (128,) * 5,
        ln_lambda: float = 1.4,
        upsample: str = "bilinear",
        power: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if upsample not in ("bilinear", "nearest", "gaussian"):
            raise ValueError(f"unknown upsample {upsample!r}: choose bilinear, nearest or gaussian")
        self.sizes, self.upsample = pyramid(size, len(channels)), upsample
        if min(self.sizes[0]) < 2:
            raise ValueError(f"{len(channels)} scales are too many for {size[0]} x {size[1]}: name fewer in channels")

        def drawn(conv: Conv) -> Conv:
            conv.weight.data.mul_(math.sqrt(6))  # He's uniform distribution
            return conv

        def block(c_in: int, c_out: int) -> list[nn.Module]:
            conv = drawn(Conv(rng, c_in, c_out, 3, dtype=dtype))
            parametrize.register_parametrization(conv, "weight", Lipschitz(ln_lambda, power))
            return [conv, Centred(rng, c_out, dtype=dtype), nn.LeakyReLU()]

        widths = [c_in, channels[0], *channels]
        pairs = zip(widths, widths[1:], strict=False)
        self.scales = nn.ModuleList([nn.Sequential(*block(a, b), *block(b, b)) for a, b in pairs])
        self.head = drawn(Conv(rng, channels[-1], c_out, dtype=dtype))

    def forward(self, z: Tensor) -> Tensor:
        x = self.scales[0](z)
        for i, scale in enumerate(list(self.scales)[1:]):
            x = scale(self._up(x, i))
        return self.head(x).sigmoid()

    def _up(self, x: Tensor, i: int) -> Tensor:
        h, w = self.sizes[i + 1]
        if self.upsample == "bilinear":
            return resized(x, (h, w))
        if self.upsample == "nearest":
            return F.interpolate(x, scale_factor=2, mode="nearest")[..., :h, :w]
        taps = (torch.arange(5, dtype=x.dtype, device=x.device) - 2) / 2
        taps = (-taps.square() / (2 * GAUSSIANS[min(i, len(GAUSSIANS) - 1)] ** 2)).softmax(0)
        kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 5, 5)
        return F.conv_transpose2d(x, kernel, stride=2, padding=2, output_padding=1, groups=x.shape[1])[..., :h, :w]


class Ratio:
    """Each iterate is better than the one before, until the mean of blur / sharpness changes by less than epsilon.

    The means are over the last n iterations and over the n before them.
    """

    def __init__(self, n: int, epsilon: float) -> None:
        self.n, self.epsilon, self.k = n, epsilon, 0
        self.r: list[Tensor] = []
        self.over: Tensor | None = None

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor:
        self.k += 1
        self.r = [*self.r, blurriness(x) / sharpness(x)][-2 * self.n :]
        score = torch.full((len(x),), -float(self.k), dtype=torch.float64, device=x.device)
        self.over = torch.zeros_like(score, dtype=torch.bool) if self.over is None else self.over
        score = score.masked_fill(self.over, torch.inf)
        if self.k > 2 * self.n:
            r = torch.stack(self.r)
            self.over = self.over | ((r[: self.n].mean(0) - r[self.n :].mean(0)).abs() < self.epsilon)
        return score


def grey(x: Tensor) -> Tensor:
    """Intensities in [0, 1] of images (B, 1 or 3, H, W) or of complex ones: (B, H, W)."""
    if x.shape[1] == 2:
        return x.norm(dim=1).clamp(0, 1)
    u = (x + 1) / 2
    if x.shape[1] == 3:
        u = 0.2989 * u[:, :1] + 0.5870 * u[:, 1:2] + 0.1140 * u[:, 2:]
    return u.mean(1).clamp(0, 1)


def blurriness(x: Tensor) -> Tensor:
    """How little of its differences an image loses to a 9-tap box blur, the larger of both directions (Crete 2007)."""
    u = grey(x)[:, None]
    if min(u.shape[2:]) < 13:
        raise ValueError(f"blurriness needs images of at least 13 pixels a side, not {u.shape[2]} x {u.shape[3]}")
    core = u[..., 5:-4, 5:-4]
    lost = []
    for dim, size in ((-1, (1, 9)), (-2, (9, 1))):
        blurred = F.avg_pool2d(u, size, stride=1)
        blurred = blurred[..., 5:-4, 1:] if dim == -1 else blurred[..., 1:, 5:-4]
        sharp, soft = (v.diff(dim=dim).abs() for v in (core, blurred))
        inner = (slice(1, -1), slice(0, -1)) if dim == -1 else (slice(0, -1), slice(1, -1))
        sharp, soft = sharp[(..., *inner)].flatten(1), soft[(..., *inner)].flatten(1)
        lost.append(1 - (sharp - soft).clamp(min=0).sum(1) / sharp.sum(1))
    return torch.maximum(*lost)


def sharpness(x: Tensor, largest: int = 1000) -> Tensor:
    """The root mean square of the largest local rises of intensity, weighted by exp(-rank / 100).

    As in the public code: the rise to the largest of eight neighbours, and without the two largest of all.
    """
    u = grey(x)[:, None, 2:-1, 2:-1]
    rises = (F.max_pool2d(u, 3, 1, 1) - u).flatten(1).sort(1, descending=True).values[:, 2 : largest + 1]
    rank = torch.arange(2, 2 + rises.shape[1], dtype=x.dtype, device=x.device)
    return (rises * (-rank / 100).exp()).square().mean(1).sqrt()


def spectral_dip(
    problem: Problem,
    *,
    iterations: int = 10_000,
    lr: float = 0.001,
    loss: str = "mse",
    regulariser: str = "none",
    lam: float = 0.0,
    ln_lambda: float = 1.4,
    power: int = 0,
    input_channels: int = 32,
    channels: Sequence[int] = (128,) * 5,
    upsample: str = "bilinear",
    stopping: str = "fixed",
    n: int = 100,
    epsilon: float = 0.01,
    window: int | None = None,
    patience: int | None = None,
    alpha: float = 0.1,
    double: bool = False,
) -> Estimate:
    """min_theta loss(y - f(G_theta(z))) by Adam, each convolution W divided by max(1, |W| / ln_lambda).

    The bound keeps high frequencies from being learnt; z = (sin 2 pi u, cos 2 pi u) with u uniform on [0, 1), small
    and fixed. `stopping`: ratio returns the iterate at which the mean of blurriness / sharpness over n iterations is
    within epsilon of that over the n before; it is published, and off in the public code. An iteration costs a deep
    image prior's and a singular value of each convolution.
    """
    rng, y = problem.rng, problem.y.double() if double else problem.y
    options = {"channels": channels, "ln_lambda": ln_lambda, "upsample": upsample, "power": power, "dtype": y.dtype}
    G = Decoder(rng.child("theta").portable, input_channels, problem.shape[1], problem.shape[2:], **options)
    u = 2 * math.pi * rng.child("input").portable.uniform(input_channels // 2, *G.sizes[0], dtype=y.dtype)
    z = torch.cat([u.sin(), u.cos()], 1)
    data, R = data_loss(loss), penalty(regulariser)
    like = torch.zeros(problem.shape, dtype=y.dtype, device=problem.device)
    rule = {"window": window, "patience": patience, "alpha": alpha, "rng": rng}
    by_ratio = stopping == "ratio"
    return fit(
        problem,
        lambda k: 2 * G(z) - 1,
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=lambda x: data(problem.f(x) - y) + lam * R(x) if lam else data(problem.f(x) - y),
        stopper=Stopper(Ratio(n, epsilon), like, 1) if by_ratio else make_stopper(stopping, like, **rule),
    )
