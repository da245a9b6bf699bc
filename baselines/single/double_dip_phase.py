"""Phase retrieval with double deep image priors: one network draws the magnitude of the object, another its phase.

Z. Zhuang, D. Yang, F. Hofmann, D. Barmherzig, J. Sun: Practical Phase Retrieval Using Double Deep Image Priors, 2023,
https://arxiv.org/abs/2211.00799

The paper states the parametrisation and that no support is needed; networks, loss, step sizes, restarts and stopping
are this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from baselines.common.losses import DataLoss
from baselines.common.stopping import Stop
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import Input, fixed_input, perturbed
from baselines.single.phase import SideBySide, box_size, embed, fit_magnitudes
from sipbench.problem import Estimate, Problem

Angle = Literal["circle", "tanh"]


def double_dip_phase(
    problem: Problem,
    *,
    iterations: int = 5000,
    lr: float = 0.01,
    lr_phase: float = 0.01,
    loss: DataLoss = "mse",
    angle: Angle = "circle",
    restarts: int = 5,
    box: float = 0.5,
    input: Input = "uniform",
    input_channels: int = 32,
    sigma_z: float = 0.0,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (4,) * 5,
    upsample: str | Sequence[str] = "bilinear",
    stop: Stop = Stop("wmv"),
) -> Estimate:
    """min over both thetas of mean (m - |A x|)^2 by Adam, with m the measured magnitudes and

        x = a e^{i phi},    a = sigmoid(G_1(z_1)),    e^{i phi} = (c, s) / |(c, s)| with (c, s) = G_2(z_2)

    or phi = pi tanh(G_2(z_2)). A real image is the real part of such an x. Where x is a frame of which the support is
    not told, the networks draw a box in its middle. Cost: one pass through both networks and A, forward and backward,
    an iteration and start.

    Args:
        lr, lr_phase: step sizes of the two networks.
        loss: of the magnitudes; mse, l1, huber or rmse.
        angle: circle, which has no seam where the phase wraps, or tanh.
        restarts: pairs of networks an image, fitted side by side; the pair with the smallest residual is returned.
        box: side of the box in each direction, as a share of the frame.
        stop: the stopping rule; it sees the iterates moved over shifts and phases to where they lie closest together.
    """
    starts, is_complex = SideBySide.of(problem, restarts), "phase" in problem.f.symmetries
    dtype, size = problem.y.dtype, box_size(problem, box)
    count = problem.shape[1] // 2 if is_complex else problem.shape[1]
    rngs = [starts.rng.child(name) for name in ("magnitude", "phase")]
    feeds = [perturbed(fixed_input(input, rng, input_channels, size, dtype), sigma_z, rng) for rng in rngs]
    draw = partial(Hourglass, channels=channels, skip=skip, upsample=upsample, dtype=dtype)
    magnitude = draw(rngs[0].child("theta").portable, input_channels, count)
    phase = draw(rngs[1].child("theta").portable, input_channels, count * (2 if angle == "circle" else 1), head="none")

    def G(k: int) -> Tensor:
        a, turn = magnitude(feeds[0]()), _turn(phase(feeds[1]()), angle)
        x = torch.stack([a * turn[0], a * turn[1]], 2).flatten(1, 2) if is_complex else a * turn[0]
        return embed(2 * x - 1 if getattr(problem.f, "unit", False) else x, problem)

    return fit_magnitudes(
        starts,
        G,
        torch.optim.Adam([{"params": magnitude.parameters()}, {"params": phase.parameters(), "lr": lr_phase}], lr=lr),
        iterations=iterations,
        loss=loss,
        stop=stop,
    )


def _turn(v: Tensor, angle: Angle) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the phase that a network's output stands for."""
    if angle == "tanh":
        phi = torch.pi * v.tanh()
        return phi.cos(), phi.sin()
    c, s = v.chunk(2, 1)
    length = (c.square() + s.square() + torch.finfo(v.dtype).eps).sqrt()
    return c / length, s / length
