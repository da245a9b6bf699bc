"""Double deep image priors for blind deblurring with a kernel of unknown size and substantial noise.

Z. Zhuang, T. Li, H. Wang, J. Sun: Blind Image Deblurring with Unknown Kernel Size and Substantial Noise, IJCV 2024,
https://arxiv.org/abs/2208.09483
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.common.losses import data_loss, penalty
from baselines.common.shifts import centred
from baselines.common.stopping import make_stopper
from baselines.single.fit import fit
from baselines.single.hourglass import Hourglass
from baselines.single.inputs import fixed_input, perturbed
from baselines.single.kernels import Kernel, completed
from sipbench.problem import Estimate, Problem


def double_dip(
    problem: Problem,
    *,
    iterations: int = 5000,
    lr: float = 0.003,
    lr_kernel: float = 0.1,
    loss: str = "mse",
    delta: float = 0.1,
    regulariser: str = "l1_l2",
    lam: float = 4e-4,
    sigma_z: float = 0.001,
    input_channels: int = 8,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (0, 16, 16, 16, 16),
    kernel: str = "free",
    kernel_size: int | None = None,
    threshold: float = 0.05,
    stopping: str = "wmv",
    window: int = 100,
    patience: int = 1000,
    alpha: float = 0.1,
    double: bool = False,
) -> Estimate:
    """min over theta, phi of loss(y - k * x) + lam |grad x|_1 / |grad x|_2, with x = G_theta(z_x), k = G_phi.

    The kernel is over-specified, half as large as y where its size is unknown, and so is the image, of which y is the
    `valid` part. (x, k) is then free up to a bounded shift: in each iterate the centroid of the kernel, without its
    entries below `threshold` times the largest, is moved to the middle and the image the opposite way. These pairs are
    what `stopping` judges and what is returned. A tilt map is left at zero.

    The authors' code is not public. Published are the model, the over-specification, the regulariser and early
    stopping. Here G_theta is SelfDeblur's without its non-local blocks and its finest skip, which lets the noise of z_x
    through, and the kernel the softmax of free logits from N(0, 1): the fully connected network now and then kept a
    kernel as wide as its box. These are this project's choices, and so is how they are trained.

    Args:
        lr, lr_kernel: step sizes of Adam for the two networks.
        loss: mse, l1, huber (beyond `delta`) or rmse.
        regulariser, lam: none, tv or l1_l2 of the image, and its weight: with mse and an image on [-1, 1], 4 times
            that of an l1_l2 on [0, 1] (divided by the root of the number of gradients) and twice that of a mean tv.
        sigma_z: the noise on z_x.
        channels, skip: the hourglass.
        kernel: mlp, siren or free: what makes the logits of the kernel.
        kernel_size: the side of the kernel within the box that f names; null is the box.
        stopping: fixed, wmv, emv or self_validation, with `window`, `patience` and `alpha`.
        double: work in float64, so that an image's result does not depend on its batch.
    """
    rng, y = problem.rng, problem.y.double() if double else problem.y
    f, data, R = problem.f, data_loss(loss, delta), penalty(regulariser)
    feed = perturbed(fixed_input("uniform", rng, input_channels, problem.shape[2:], y.dtype), sigma_z, rng)
    own = rng.child("theta").portable
    G_x = Hourglass(own, input_channels, problem.shape[1], channels=channels, skip=skip, dtype=y.dtype)
    G_k = Kernel(problem, kernel, kernel_size, y.dtype)
    like = y.new_zeros(problem.shape)
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
        torch.optim.Adam([{"params": G_x.parameters()}, {"params": G_k.parameters(), "lr": lr_kernel}], lr=lr),
        iterations=iterations,
        misfit=misfit,
        stopper=make_stopper(stopping, like, window=window, patience=patience, alpha=alpha, rng=rng),
        theta=lambda: {name: part.to(problem.y) for name, part in completed(problem, now["kernel"]).items()},
    )
