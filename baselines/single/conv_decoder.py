"""ConvDecoder: an untrained convolutional decoder for accelerated MRI.

M. Z. Darestani, R. Heckel: Accelerated MRI with Un-trained Neural Networks, IEEE TCI 2021,
https://arxiv.org/abs/2007.02471
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.algebra import dot, each, norm
from baselines.common.losses import DataLoss, Penalty
from baselines.common.stopping import Stop
from baselines.single.fit import afresh, fit, objective, weights
from baselines.single.layers import Conv, Norm
from sipbench.operators.base import LinearOperator
from sipbench.problem import Estimate, Problem, Rng


class ZeroPadded(Conv):
    """A 3 x 3 convolution with zeros around the image."""

    def __init__(self, rng: Rng, c_in: int, c_out: int, *, dtype: torch.dtype) -> None:
        super().__init__(rng, c_in, c_out, 3, dtype=dtype)
        self.pad = 0

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (1, 1, 1, 1)))


class ConvDecoder(nn.Module):
    """G_theta: (B, channels, *in_size) -> (B, c_out, H, W), not bounded, with one theta for each stream of rng.

    `layers` - 1 blocks of nearest upsampling, 3 x 3 convolution, ReLU and norm, to sizes on a geometric path from
    `in_size` to the image's, rounded up; one more block at the image's size; a 1 x 1 convolution into c_out channels.
    """

    def __init__(
        self,
        rng: Rng,
        channels: int,
        c_out: int,
        size: Sequence[int],
        *,
        in_size: Sequence[int],
        layers: int = 7,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        n = layers - 1
        growth = [(out / start) ** (1 / n) for out, start in zip(size, in_size, strict=True)]
        path = [[math.ceil(g**i * s) for g, s in zip(growth, in_size, strict=True)] for i in range(1, n)]
        self.sizes = [*path, list(size), list(size)]
        self.conv = nn.ModuleList([ZeroPadded(rng, channels, channels, dtype=dtype) for _ in range(layers)])
        self.norm = nn.ModuleList([Norm(rng, channels, dtype=dtype) for _ in range(layers)])
        self.head = Conv(rng, channels, c_out, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        for mix, scaled, size in zip(self.conv, self.norm, self.sizes, strict=True):
            x = scaled(F.relu(mix(F.interpolate(x, size, mode="nearest"))))
        return self.head(x)


def conv_decoder(
    problem: Problem,
    *,
    iterations: int = 2500,
    lr: float = 0.008,
    loss: DataLoss = "mse",
    regulariser: Penalty = "none",
    lam: float = 0.0,
    layers: int = 7,
    channels: int = 256,
    in_size: Sequence[int] | None = None,
    sigmoid: bool = True,
    data_consistency: bool = False,
    stop: Stop = Stop("loss"),
) -> Estimate:
    """min_theta loss(y - f(x)) + lam R(x) by Adam, z fixed and uniform on [0, 1].

    The weights after the step of the smallest loss are the ones that count, as published.

    For images x = 2 sigmoid(G_theta(z)) - 1. Without `sigmoid`, as published for MRI, x = s G_theta(z), where s brings
    the first output to the norm of the zero-filled image x_0 (s = 1 where f is not linear). `data_consistency` ends
    with x + f^+ (y - f(x)), as published for MRI: what was measured replaces what the network made of it. That is for
    f that select without mixing noise up. z has 8 entries along the longer side and as many along the other as its
    share of it, rounded down (8 x 4 for the published 640 x 368), unless `in_size` says otherwise. An iteration is one
    pass through G and f, forward and backward.

    How it stands to the public code: docs/notes/conv_decoder.md.
    """
    rng, f, y = problem.rng, problem.f, problem.y
    theta, size = rng.child("theta").portable, problem.shape[2:]
    in_size = in_size or [max(1, 8 * n // max(size)) for n in size]
    G = ConvDecoder(theta, channels, problem.shape[1], size, in_size=in_size, layers=layers, dtype=y.dtype)
    z = rng.child("input").portable.uniform(channels, *in_size, dtype=y.dtype)
    s = scale(f, G(z).detach(), y) if isinstance(f, LinearOperator) else 1.0

    def image() -> Tensor:
        return 2 * G(z).sigmoid() - 1 if sigmoid else s * G(z)

    estimate = fit(
        problem,
        lambda k: image(),
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam),
        stop=stop,
        theta=lambda: weights(G),
    )
    estimate = afresh(estimate, G, image)
    if not data_consistency:
        return estimate
    if not isinstance(f, LinearOperator):
        raise ValueError("data_consistency needs a linear forward map: leave it off")
    return replace(estimate, x=estimate.x + f.pinv(y - f(estimate.x)))


@torch.no_grad()
def scale(f: LinearOperator, x: Tensor, y: Tensor) -> Tensor:
    """|x_0| / |x| of each image, x_0 = f^T y <f f^T y, y> / |f f^T y|^2: the best multiple of the adjoint."""
    back = f.T(y)
    y_0 = f(back)
    step = dot(y_0, y) / dot(y_0, y_0).clamp(min=torch.finfo(y.dtype).tiny)
    return each(step.abs() * norm(back) / norm(x), x)
