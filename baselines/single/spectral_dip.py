"""Deep image prior with a controlled spectral bias: convolutions of bounded norm, and a stop by blur over sharpness.

Z. Shi, P. Mettes, S. Maji, C. G. M. Snoek: On Measuring and Controlling the Spectral Bias of the Deep Image Prior,
IJCV 2022, https://arxiv.org/abs/2107.01125
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from baselines.common.losses import DataLoss, Penalty
from baselines.common.stopping import Stop, Stopper
from baselines.single.deep_decoder import pyramid, resized
from baselines.single.fit import fit, objective
from baselines.single.layers import Conv
from baselines.single.ratio import Ratio
from sipbench.problem import Estimate, Problem, Rng

GAUSSIANS = (0.1, 0.1, 0.1, 0.5, 0.5)  # widths of the Gaussian upsampling, from the coarsest scale

Upsample = Literal["bilinear", "nearest", "gaussian"]


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
        upsample: Upsample = "bilinear",
        power: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
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


def spectral_dip(
    problem: Problem,
    *,
    iterations: int = 10_000,
    lr: float = 0.001,
    loss: DataLoss = "mse",
    regulariser: Penalty = "none",
    lam: float = 0.0,
    ln_lambda: float = 1.4,
    power: int = 0,
    input_channels: int = 32,
    channels: Sequence[int] = (128,) * 5,
    upsample: Upsample = "bilinear",
    ratio: bool = False,
    n: int = 100,
    epsilon: float = 0.01,
    backtrack: float = 5.0,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """min_theta loss(y - f(G_theta(z))) by Adam, each convolution W divided by max(1, |W| / ln_lambda).

    The bound keeps high frequencies from being learnt; z = (sin 2 pi u, cos 2 pi u) with u uniform on [0, 1), small
    and fixed. `ratio`, in place of `stop`, returns the iterate at which the mean of blurriness / sharpness over n
    iterations is within epsilon of that over the n before; it is published, and off in the public code. theta goes back
    where the loss rises by more than `backtrack` dB. An iteration costs a deep image prior's and a singular value of
    each convolution.
    """
    if input_channels % 2:
        raise ValueError(f"z has a sine and a cosine of each number: input_channels is even, not {input_channels}")
    if ratio and stop.rule != "fixed":
        raise ValueError(f"ratio ends the fit already: turn it off to stop by {stop.rule}")
    rng, dtype = problem.rng, problem.y.dtype
    options = {"channels": channels, "ln_lambda": ln_lambda, "upsample": upsample, "power": power, "dtype": dtype}
    G = Decoder(rng.child("theta").portable, input_channels, problem.shape[1], problem.shape[2:], **options)
    u = 2 * math.pi * rng.child("input").portable.uniform(input_channels // 2, *G.sizes[0], dtype=dtype)
    z = torch.cat([u.sin(), u.cos()], 1)
    return fit(
        problem,
        lambda k: 2 * G(z) - 1,
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam),
        stop=(lambda like, _: Stopper(Ratio(n, epsilon), like, 1)) if ratio else stop,
        backtrack=backtrack,
    )
