"""SelfDeblur: one untrained network for the image, another for the kernel.

D. Ren, K. Zhang, Q. Wang, Q. Hu, W. Zuo: Neural Blind Deconvolution Using Deep Priors, CVPR 2020,
https://arxiv.org/abs/1908.02197
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.losses import data_loss
from baselines.common.stopping import Stop
from baselines.single.fit import fit
from baselines.single.hourglass import Hourglass, Scale
from baselines.single.inputs import fixed_input, perturbed
from baselines.single.kernels import Kernel, completed
from baselines.single.layers import Block, Conv, Norm
from sipbench.problem import Estimate, Problem, Rng


def selfdeblur(
    problem: Problem,
    *,
    iterations: int = 5000,
    mse_iterations: int = 1000,
    lr: float = 0.01,
    lr_kernel: float = 1e-4,
    milestones: Sequence[int] = (2000, 3000, 4000),
    gamma: float = 0.5,
    sigma_z: float = 0.001,
    input_channels: int = 8,
    channels: Sequence[int] = (128,) * 5,
    skip: Sequence[int] = (16,) * 5,
    non_local: bool = True,
    kernel_size: int | None = None,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """min over theta, phi of |y - k * x|^2 / 4, then of 1 - SSIM(y, k * x), where x = G_theta(z_x) and k = G_phi(z_k).

    By Adam, whose second moments outlive the change of loss: so the first is that of images on [0, 1]. G_theta is an
    hourglass with a non-local block at each scale from the third on, G_phi a fully connected network (200, 1000, pixels
    of the kernel) whose softmax is k. Both inputs are uniform on [0, 0.1]; z_x gets fresh noise at each iteration.
    Where y is the `valid` part of k * x, the image is larger by the kernel. The last iterate is returned, as published;
    nothing undoes a common shift of x and k. A tilt map is left at zero. An iteration is one pass through both networks
    and the blur, forward and backward. Where this departs from the paper and the public code:
    docs/notes/selfdeblur.md.

    Args:
        mse_iterations: those with the squared error.
        lr, lr_kernel: of the two networks, times `gamma` at each of the milestones.
        sigma_z: the noise on z_x.
        channels, skip, non_local: the hourglass.
        kernel_size: the side of the kernel within the box that f names; null is the box.
    """
    rng, y, mse = problem.rng, problem.y, data_loss("mse")
    feed = perturbed(fixed_input("uniform", rng, input_channels, problem.shape[2:], y.dtype), sigma_z, rng)
    own = rng.child("theta").portable
    G_x = Hourglass(own, input_channels, problem.shape[1], channels=channels, skip=skip, dtype=y.dtype)
    if non_local:
        look_around(G_x, own, y.dtype)
    G_k = Kernel(problem, "mlp", kernel_size, y.dtype)
    adam = torch.optim.Adam([{"params": G_x.parameters()}, {"params": G_k.parameters(), "lr": lr_kernel}], lr=lr)
    now: dict[str, Tensor] = {}
    iteration = count()

    def image(k: int) -> Tensor:
        now["kernel"] = G_k()
        return 2 * G_x(feed()) - 1

    def misfit(x: Tensor) -> Tensor:
        y_hat = problem.f(x, completed(problem, now["kernel"]))
        return mse((y_hat - y) / 2) if next(iteration) < mse_iterations else 1 - ssim(y_hat, y)

    return fit(
        problem,
        image,
        adam,
        iterations=iterations,
        misfit=misfit,
        stop=stop,
        schedule=torch.optim.lr_scheduler.MultiStepLR(adam, list(milestones), gamma),
        theta=lambda: completed(problem, now["kernel"].detach()),
    )


class NonLocal(nn.Module):
    """x + W(g(x) <phi(x), theta(x)> / n), at first x itself: a non-local block of dot products.

    Each pixel sees the n that g and phi keep of all, the largest of each 2 x 2.
    """

    def __init__(self, rng: Rng, c: int, dtype: torch.dtype) -> None:
        super().__init__()
        inner = max(1, c // 2)
        self.g, self.theta, self.phi = (Conv(rng, c, inner, dtype=dtype) for _ in range(3))
        self.W, self.norm = Conv(rng, inner, c, dtype=dtype), Norm(rng, c, dtype=dtype)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        g, phi = (F.max_pool2d(part(x), 2).flatten(2) for part in (self.g, self.phi))
        theta = self.theta(x).flatten(2)
        seen = (g @ phi.mT) @ theta / g.shape[-1]
        return x + self.norm(self.W(seen.unflatten(2, x.shape[2:])))


def look_around(G: Hourglass, rng: Rng, dtype: torch.dtype) -> None:
    """Put a non-local block behind the strided convolution of each scale from the third on."""
    scale, depth = G.scales, 0
    while isinstance(scale, Scale):
        if depth >= 2:
            strided, plain = scale.down
            assert isinstance(strided, Block)
            scale.down = nn.Sequential(strided, NonLocal(rng, strided.norm.weight.shape[1], dtype), plain)
        scale, depth = scale.deeper, depth + 1


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """The mean SSIM of images on [-1, 1], (B,): Gaussian window of 11 x 11 and sigma 1.5, zero outside, range 1."""
    a, b = (a + 1) / 2, (b + 1) / 2
    at = torch.arange(-5, 6, dtype=a.dtype, device=a.device)
    g = torch.exp(-0.5 * (at / 1.5) ** 2)
    g = g / g.sum()

    def mean(v: Tensor) -> Tensor:
        flat = F.conv2d(v.flatten(0, 1)[:, None], g.view(1, 1, 11, 1), padding=(5, 0))
        return F.conv2d(flat, g.view(1, 1, 1, 11), padding=(0, 5)).view_as(v)

    m_a, m_b = mean(a), mean(b)
    v_a, v_b, c_ab = mean(a * a) - m_a**2, mean(b * b) - m_b**2, mean(a * b) - m_a * m_b
    C1, C2 = 0.01**2, 0.03**2
    s = (2 * m_a * m_b + C1) * (2 * c_ab + C2) / ((m_a**2 + m_b**2 + C1) * (v_a + v_b + C2))
    return s.flatten(1).mean(1)
