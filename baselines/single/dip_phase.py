"""Deep image prior for phase retrieval: one network draws the object, its real and imaginary part or the real image.

D. Ulyanov, A. Vedaldi, V. Lempitsky: Deep Image Prior, CVPR 2018, https://arxiv.org/abs/1711.10925
Z. Zhuang, D. Yang, F. Hofmann, D. Barmherzig, J. Sun: Practical Phase Retrieval Using Double Deep Image Priors, 2023,
https://arxiv.org/abs/2211.00799, where it is what two networks are compared with.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from baselines.common.losses import DataLoss
from baselines.common.stopping import Stop
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import Input, fixed_input, perturbed
from baselines.single.phase import SideBySide, box_size, embed, fit_magnitudes
from sipbench.problem import Estimate, Problem


def dip_phase(
    problem: Problem,
    *,
    iterations: int = 5000,
    lr: float = 0.01,
    loss: DataLoss = "mse",
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
    """min_theta mean (m - |A x|)^2 by Adam, with m the measured magnitudes; x = 2 G_theta(z) - 1 in all its channels.

    Where x is a frame of which the support is not told, the network draws a box in its middle. Cost: one pass through
    network and A, forward and backward, an iteration and start.

    Args:
        loss: of the magnitudes; mse, l1, huber or rmse.
        restarts: networks an image, fitted side by side; the one with the smallest residual of the data is returned.
        box: side of the box in each direction, as a share of the frame.
        stop: the stopping rule; it sees the iterates moved over shifts and phases to where they lie closest together.
    """
    starts, dtype = SideBySide.of(problem, restarts), problem.y.dtype
    z = fixed_input(input, starts.rng, input_channels, box_size(problem, box), dtype)
    G = Hourglass(
        starts.rng.child("theta").portable,
        input_channels,
        problem.shape[1],
        channels=channels,
        skip=skip,
        upsample=upsample,
        dtype=dtype,
    )
    feed = perturbed(z, sigma_z, starts.rng)
    return fit_magnitudes(
        starts,
        lambda k: embed(2 * G(feed()) - 1, problem),
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        loss=loss,
        stop=stop,
    )
