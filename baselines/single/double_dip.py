"""Double deep image priors for blind deblurring with a kernel of unknown size and substantial noise.

Z. Zhuang, T. Li, H. Wang, J. Sun: Blind Image Deblurring with Unknown Kernel Size and Substantial Noise, IJCV 2024,
https://arxiv.org/abs/2208.09483
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.common.losses import DataLoss, Penalty, data_loss, penalty
from baselines.common.shifts import centred
from baselines.common.stopping import Stop
from baselines.single.fit import fit
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input, perturbed
from baselines.single.kernels import Kernel, Net, completed
from sipbench.problem import Estimate, Problem


def double_dip(
    problem: Problem,
    *,
    iterations: int = 5000,
    lr: float = 0.003,
    lr_kernel: float | None = None,
    loss: DataLoss = "mse",
    delta: float = 0.1,
    regulariser: Penalty = "l1_l2",
    lam: float = 4e-4,
    sigma_z: float = 0.001,
    input_channels: int = 8,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (0, 16, 16, 16, 16),
    kernel: Net = "free",
    kernel_size: int | None = None,
    threshold: float = 0.05,
    stop: Stop = Stop("wmv"),
) -> Estimate:
    """min over theta, phi of loss(y - k * x) + lam |grad x|_1 / |grad x|_2, with x = G_theta(z_x), k = G_phi.

    The kernel is over-specified, half as large as y where its size is unknown, and so is the image, of which y is the
    `valid` part. (x, k) is then free up to a bounded shift: in each iterate the centroid of the kernel, without its
    entries below `threshold` times the largest, is moved to the middle and the image the opposite way. These pairs are
    what `stop` judges and what is returned. A tilt map is left at zero. An iteration is one pass through both networks
    and the blur, forward and backward. What is published, and what is this project's: docs/notes/double_dip.md.

    Args:
        lr, lr_kernel: step sizes of Adam for the two networks; null is 0.1 for free logits and 1e-4 for a network's.
        loss: mse, l1, huber (beyond `delta`) or rmse.
        regulariser, lam: none, tv or l1_l2 of the image, and its weight.
        sigma_z: the noise on z_x.
        channels, skip: the hourglass.
        kernel: mlp, siren or free: what makes the logits of the kernel.
        kernel_size: the side of the kernel within the box that f names; null is the box.
    """
    rng, f, y = problem.rng, problem.f, problem.y
    data, R = data_loss(loss, delta), penalty(regulariser)
    feed = perturbed(fixed_input("uniform", rng, input_channels, problem.shape[2:], y.dtype), sigma_z, rng)
    own = rng.child("theta").portable
    G_x = Hourglass(own, input_channels, problem.shape[1], channels=channels, skip=skip, dtype=y.dtype)
    G_k = Kernel(problem, kernel, kernel_size, y.dtype)
    rate = (0.1 if kernel == "free" else 1e-4) if lr_kernel is None else lr_kernel
    now: dict[str, Tensor] = {}

    def iterate(_: int) -> Tensor:
        now["x"], k = 2 * G_x(feed()) - 1, G_k()
        now["y"] = f(now["x"], completed(problem, k))
        x, now["kernel"] = centred(now["x"].detach(), k.detach(), threshold)
        return x

    def misfit(_: Tensor) -> Tensor:
        r = data(now["y"] - y)
        return r + lam * R(now["x"]) if lam else r

    return fit(
        problem,
        iterate,
        torch.optim.Adam([{"params": G_x.parameters()}, {"params": G_k.parameters(), "lr": rate}], lr=lr),
        iterations=iterations,
        misfit=misfit,
        stop=stop,
        theta=lambda: completed(problem, now["kernel"]),
    )
