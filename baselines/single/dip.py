"""Deep image prior, with early stopping.

D. Ulyanov, A. Vedaldi, V. Lempitsky: Deep Image Prior, CVPR 2018, https://arxiv.org/abs/1711.10925
H. Wang, T. Li, Z. Zhuang, T. Chen, H. Liang, J. Sun: Early Stopping for Deep Image Prior, TMLR 2023,
https://arxiv.org/abs/2112.06074
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from baselines.common.losses import DataLoss, Penalty
from baselines.common.stopping import Stop
from baselines.single.fit import afresh, fit, objective, weights
from baselines.single.hourglass import Downsample, Hourglass
from baselines.single.inputs import Input, fixed_input, perturbed
from sipbench.problem import Estimate, Problem


def dip(
    problem: Problem,
    *,
    iterations: int = 5000,
    lr: float = 0.01,
    loss: DataLoss = "mse",
    delta: float = 0.1,
    regulariser: Penalty = "none",
    lam: float = 0.0,
    input: Input = "uniform",
    input_channels: int = 32,
    sigma_z: float = 1 / 30,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (4,) * 5,
    upsample: str | Sequence[str] = "bilinear",
    kernel: int = 3,
    downsample: Downsample = "stride",
    up_1x1: bool = True,
    ema: float = 0.0,
    clean_z: bool = False,
    backtrack: float = 0.0,
    bypass_f: bool = False,
    stop: Stop = Stop("wmv"),
) -> Estimate:
    """min_theta loss(y - f(G_theta(z + sigma_z n))) + lam R(G_theta) by Adam from random theta; n is drawn each time.

    G is an hourglass with one theta an image, z is uniform on [0, 0.1]. The rule `stop` looks at the outputs
    x^k = G_theta(z + sigma_z n) and chooses the iterate to return: the output itself, or with `ema` = 0.99 the
    moving average of the outputs up to it (published for denoising), or with `clean_z` G_theta(z) of its theta
    (published for inpainting). An iteration is one pass through G and f, forward and backward. Adam makes rounding
    grow: in float64 an image's result does not depend on its batch. Beside the public code: docs/notes/dip.md.

    Args:
        loss: mse, l1, huber (beyond `delta`) or rmse.
        regulariser, lam: none, tv or l1_l2 of the image, and its weight: with mse and an image on [-1, 1], 4 times
            that of an l1_l2 on [0, 1] and twice that of a mean tv.
        input: uniform, normal (of 0.1) or meshgrid, with `input_channels` channels.
        channels, skip, upsample, kernel, downsample, up_1x1: the hourglass.
        backtrack: theta goes back where the loss rises by more than so many dB; published is 5, 0 is never.
        bypass_f: x is compared with y itself, as published for JPEG, where y is an image with artefacts.
        stop: the stopping rule.
    """
    if bypass_f and problem.y.shape != tuple(problem.shape):
        raise ValueError(f"bypass_f compares x with y: they have one shape, not {problem.shape} and {problem.y.shape}")
    rng, dtype = problem.rng, problem.y.dtype
    z = fixed_input(input, rng, input_channels, problem.shape[2:], dtype)
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
        dtype=dtype,
    )
    feed = perturbed(z, sigma_z, rng)
    estimate = fit(
        problem,
        lambda k: 2 * G(feed()) - 1,
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam, delta, bypass_f=bypass_f),
        stop=stop,
        ema=ema,
        backtrack=backtrack,
        theta=lambda: weights(G) if clean_z else {},
    )
    return afresh(estimate, G, lambda: 2 * G(z) - 1) if clean_z else estimate
