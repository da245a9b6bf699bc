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

from baselines.common.layers import Conv, Norm
from baselines.common.losses import data_loss, penalty
from baselines.common.stopping import make_stopper
from baselines.single.fit import fit
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
        in_size: Sequence[int] = (8, 4),
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
        for conv, norm, size in zip(self.conv, self.norm, self.sizes, strict=True):
            x = norm(F.relu(conv(F.interpolate(x, size, mode="nearest"))))
        return self.head(x)


def conv_decoder(
    problem: Problem,
    *,
    iterations: int = 2500,
    lr: float = 0.008,
    loss: str = "mse",
    regulariser: str = "none",
    lam: float = 0.0,
    layers: int = 7,
    channels: int = 256,
    in_size: Sequence[int] = (8, 4),
    sigmoid: bool = True,
    data_consistency: bool = False,
    stopping: str = "loss",
    window: int | None = None,
    patience: int | None = None,
    alpha: float = 0.1,
    double: bool = False,
) -> Estimate:
    """min_theta loss(y - f(x)) + lam R(x) by Adam, z fixed and uniform on [0, 1].

    For images x = 2 sigmoid(G_theta(z)) - 1, the public library's default. Without `sigmoid`, as published for MRI,
    x = s G_theta(z), where s brings the first output to the norm of the zero-filled image. For any linear f that is
    the best multiple of the adjoint, x_0 = f^T y <f f^T y, y> / |f f^T y|^2, which for a masked Fourier transform is
    f^T y; where f is not linear, s = 1. (The public code scales y by 1 / s instead: the same up to the unit of the
    loss, which Adam does not feel.)

    `data_consistency` ends with x + f^+ (y - f(x)): what was measured replaces what the network made of it, as
    published for MRI. It is for f that select without mixing noise up: masks, with or without a Fourier transform.
    With several coils the published network has two channels a coil; here the operator knows the sensitivities and x
    is one image.
    """
    rng, f, y = problem.rng, problem.f, problem.y.double() if double else problem.y
    size = problem.shape[2:]
    theta = rng.child("theta").portable
    G = ConvDecoder(theta, channels, problem.shape[1], size, in_size=in_size, layers=layers, dtype=y.dtype)
    z = rng.child("input").portable.uniform(channels, *in_size, dtype=y.dtype)
    s = scale(f, G(z).detach(), y) if isinstance(f, LinearOperator) else 1.0
    data, R = data_loss(loss), penalty(regulariser)
    like = torch.zeros(problem.shape, dtype=y.dtype, device=problem.device)
    patience = iterations if patience is None and stopping == "loss" else patience
    estimate = fit(
        problem,
        lambda k: 2 * G(z).sigmoid() - 1 if sigmoid else s * G(z),
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=lambda x: data(f(x) - y) + lam * R(x) if lam else data(f(x) - y),
        stopper=make_stopper(stopping, like, window=window, patience=patience, alpha=alpha, rng=rng),
    )
    if not data_consistency:
        return estimate
    if not isinstance(f, LinearOperator):
        raise ValueError("data_consistency needs a linear forward map: leave it off")
    return replace(estimate, x=estimate.x + f.pinv(problem.y - f(estimate.x)))


@torch.no_grad()
def scale(f: LinearOperator, x: Tensor, y: Tensor) -> Tensor:
    """|x_0| / |x| of each image, with the zero-filled image x_0."""
    x_0 = f.T(y)
    y_0 = f(x_0)
    step = (y_0 * y).flatten(1).sum(1) / y_0.square().flatten(1).sum(1)
    return (step.abs() * x_0.flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
