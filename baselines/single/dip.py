"""Deep image prior, with early stopping.

D. Ulyanov, A. Vedaldi, V. Lempitsky: Deep Image Prior, CVPR 2018.
H. Wang, T. Li, Z. Zhuang, T. Chen, H. Liang, J. Sun: Early Stopping for Deep Image Prior, TMLR 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from baselines.common.stopping import make_stopper
from baselines.single.hourglass import Hourglass
from sipbench.problem import Estimate, Problem


def dip(
    problem: Problem,
    *,
    iterations: int = 5000,
    lr: float = 0.01,
    sigma_z: float = 1 / 30,
    input_channels: int = 32,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (4,) * 5,
    upsample: str = "bilinear",
    ema: float = 0.0,
    stopping: str = "wmv",
    window: int = 100,
    patience: int = 1000,
    alpha: float = 0.1,
    double: bool = False,
) -> Estimate:
    """min_theta |y - f(G_theta(z + sigma_z n))|^2 by Adam from random theta; z is fixed, n drawn at each iteration.

    G is an hourglass with one theta an image, z is uniform on [0, 0.1]. The rule `stopping` looks at the outputs
    x^k = G_theta(z + sigma_z n) and chooses the iterate to return: the output itself, or with `ema` = 0.99 the
    moving average of the outputs up to it (published for denoising). Adam makes rounding grow without end; `double`
    works in float64, so that an image's result does not depend on its batch.
    """
    rng, y = problem.rng, problem.y.double() if double else problem.y
    dtype = y.dtype
    _, c, h, w = problem.shape
    z = 0.1 * rng.child("input").portable.uniform(input_channels, h, w, dtype=dtype)
    G = Hourglass(
        rng.child("theta").portable, input_channels, c, channels=channels, skip=skip, upsample=upsample, dtype=dtype
    )
    n = rng.child("perturbation")
    adam = torch.optim.Adam(G.parameters(), lr=lr)
    x_mean = torch.zeros(problem.shape, dtype=dtype, device=problem.device)
    stopper = make_stopper(stopping, x_mean, window=window, patience=patience, alpha=alpha)

    for k in problem.steps(iterations):
        x_hat = 2 * G(z + sigma_z * n.normal_like(z)) - 1
        loss = (problem.f(x_hat) - y).square().flatten(1).mean(1)
        adam.zero_grad()
        loss.sum().backward()
        adam.step()

        x_hat = x_hat.detach()
        x_mean = x_mean.lerp(x_hat, 1 - ema) if k else x_hat
        problem.show(x_mean, loss=loss.detach())
        stopper.update(k, x_hat, x_mean)
        if k % 20 == 0 and stopper.done:
            break
    return Estimate(stopper.best.to(problem.y), stopped=stopper.stopped)
