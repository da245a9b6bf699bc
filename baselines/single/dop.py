"""Double over-parameterisation: a deep image prior beside an over-parameterised sparse corruption.

C. You, Z. Zhu, Q. Qu, Y. Ma: Robust Recovery via Implicit Bias of Discrepant Learning Rates for Double
Over-parameterization, NeurIPS 2020, https://arxiv.org/abs/2006.08857
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from baselines.common.losses import data_loss
from baselines.common.stopping import Stop
from baselines.single.fit import fit, measured
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input, perturbed
from sipbench.problem import Estimate, Problem

PUBLISHED_SIZE = 3 * 512 * 512  # entries of the images for which lr and lr_c are published


def dop(
    problem: Problem,
    *,
    iterations: int = 150_000,
    lr: float = 1.0,
    lr_c: float = 500.0,
    init: float = 1e-5,
    input_channels: int = 32,
    sigma_z: float = 1 / 30,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (4,) * 5,
    upsample: str | Sequence[str] = "bilinear",
    ema: float = 0.0,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """min over theta, g, h of mean |f(G_theta) + g^2 - h^2 - y|^2, all by plain gradient descent from g, h = 1e-5 n.

    The squares make small corruptions grow slowly and large ones fast: the ratio of the learning rates, lr_c of g and
    h to lr of theta, takes the place of an l1 weight. lr_c goes with the number of entries. The corruption comes back
    as theta["sparse"], in units of y. An iteration costs a deep image prior's. Scales: docs/notes/dop.md.
    """
    rng, y = problem.rng, problem.y
    z = fixed_input("uniform", rng, input_channels, problem.shape[2:], y.dtype)
    theta = rng.child("theta").portable
    sizes = {"channels": channels, "skip": skip, "upsample": upsample}
    G = Hourglass(theta, input_channels, problem.shape[1], **sizes, dtype=y.dtype)
    corruption = rng.child("corruption").portable
    g, h = (nn.Parameter(init * corruption.normal_like(y)) for _ in range(2))
    groups = [
        {"params": list(G.parameters()), "lr": lr},
        {"params": [g, h], "lr": lr_c * y[0].numel() / PUBLISHED_SIZE},
    ]
    data, feed = data_loss("mse"), perturbed(z, sigma_z, rng)
    return fit(
        problem,
        lambda k: 2 * G(feed()) - 1,
        torch.optim.SGD(groups),
        iterations=iterations,
        misfit=lambda x: data(measured(problem, (problem.f(x) - y) / 2 + g.square() - h.square())),
        stop=stop,
        ema=ema,
        theta=lambda: {"sparse": 2 * (g.detach().square() - h.detach().square())},
    )
