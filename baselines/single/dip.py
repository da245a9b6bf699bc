"""Deep image prior, with early stopping.

D. Ulyanov, A. Vedaldi, V. Lempitsky: Deep Image Prior, CVPR 2018, https://arxiv.org/abs/1711.10925
H. Wang, T. Li, Z. Zhuang, T. Chen, H. Liang, J. Sun: Early Stopping for Deep Image Prior, TMLR 2023,
https://arxiv.org/abs/2112.06074
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from baselines.common.losses import data_loss, penalty
from baselines.common.stopping import make_stopper
from baselines.single.fit import fit
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input, perturbed
from sipbench.problem import Estimate, Problem


def dip(
    problem: Problem,
    *,
    iterations: int = 5000,
    lr: float = 0.01,
    loss: str = "mse",
    delta: float = 0.1,
    regulariser: str = "none",
    lam: float = 0.0,
    input: str = "uniform",
    input_channels: int = 32,
    sigma_z: float = 1 / 30,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (4,) * 5,
    upsample: str | Sequence[str] = "bilinear",
    kernel: int = 3,
    downsample: str = "stride",
    up_1x1: bool = True,
    ema: float = 0.0,
    stopping: str = "wmv",
    window: int | None = None,
    patience: int | None = None,
    alpha: float = 0.1,
    epochs: float = 1.0,
    double: bool = False,
) -> Estimate:
    """min_theta loss(y - f(G_theta(z + sigma_z n))) + lam R(G_theta) by Adam from random theta; n is drawn each time.

    G is an hourglass with one theta an image, z is uniform on [0, 0.1]. The rule `stopping` looks at the outputs
    x^k = G_theta(z + sigma_z n) and chooses the iterate to return: the output itself, or with `ema` = 0.99 the
    moving average of the outputs up to it (published for denoising). Adam makes rounding grow without end; `double`
    works in float64, so that an image's result does not depend on its batch.

    Args:
        loss: mse, l1, huber (beyond `delta`) or rmse.
        regulariser, lam: none, tv or l1_l2 of the image, and its weight: with mse and an image on [-1, 1], 4 times
            that of an l1_l2 on [0, 1] and twice that of a mean tv.
        input: uniform, normal (of 0.1) or meshgrid, with `input_channels` channels.
        channels, skip, upsample, kernel, downsample, up_1x1: the hourglass.
        stopping: fixed, wmv, emv, self_validation or loss, with `window`, `patience`, `alpha` and `epochs`.
    """
    rng, y = problem.rng, problem.y.double() if double else problem.y
    z = fixed_input(input, rng, input_channels, problem.shape[2:], y.dtype)
    G = Hourglass(
        rng.child("theta").portable,
        input_channels,
        problem.shape[1],
        channels=channels,
        skip=skip,
        upsample=upsample,
        kernel=kernel,
        downsample=downsample,
        up_1x1=up_1x1,
        dtype=y.dtype,
    )
    data, R, feed = data_loss(loss, delta), penalty(regulariser), perturbed(z, sigma_z, rng)
    like = torch.zeros(problem.shape, dtype=y.dtype, device=problem.device)
    rule = {"window": window, "patience": patience, "alpha": alpha, "epochs": epochs, "rng": rng}

    return fit(
        problem,
        lambda k: 2 * G(feed()) - 1,
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=lambda x: data(problem.f(x) - y) + lam * R(x) if lam else data(problem.f(x) - y),
        stopper=make_stopper(stopping, like, **rule),
        ema=ema,
    )
