"""Learned proximal networks: a denoiser that is the proximal step of some function, exactly.

Fang, Buchanan, Sulam: What's in a Prior? Learned Proximal Networks for Inverse Problems, ICLR 2024,
https://arxiv.org/abs/2310.14344
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.algebra import each


class LPN(nn.Module):
    """The gradient of a convex function psi of the image, so a proximal step (Gribonval, Nikolova 2020): D = grad psi,

        y_0 = W_0 v + b_0,   y_k = P_k phi(y_{k-1}) + W_k v + b_k,
        psi(v) = sum_k c_k sum_pixels phi(y_k) + alpha |v|^2,

    on intensities, [0, 1], v being the image and a map of sigma at the resolution of y_k: halved at every second k. The
    weights P and c are not negative and phi is convex and grows, so psi is convex in v, and in the image for any sigma.

    As published but for three things. All layers are summed, over all pixels, so that images may have any size.
    phi(t) = softplus(t)^2 / 2, where the published softplus makes the gradient nearly constant by pieces. The
    weights are softplus of free ones; published are clipped ones.

    Args:
        channels: of the image.
        width: channels of y.
        halvings: how often the resolution is halved.
        beta: sharpness of the softplus.
        alpha: half the strong convexity of psi.
    """

    def __init__(
        self, channels: int = 3, width: int = 64, halvings: int = 3, beta: float = 10.0, alpha: float = 1e-6
    ) -> None:
        super().__init__()
        self.beta, self.alpha = beta, alpha
        n = 2 * halvings + 1
        self.skip = nn.ModuleList(nn.Conv2d(channels + 1, width, 3, padding=1) for _ in range(n))
        self.core = nn.ParameterList(nn.init.normal_(torch.empty(width, width, 3, 3)) for _ in range(n - 1))
        self.sum = nn.ParameterList(torch.full((width, 1, 1), -0.75) for _ in range(n))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The proximal step, of x on [-1, 1] with noise of standard deviation sigma, (B,)."""
        learning = torch.is_grad_enabled()
        with torch.enable_grad():
            v = (x + 1) / 2
            v = v if v.requires_grad else v.requires_grad_()
            (D,) = torch.autograd.grad(self.psi(v, sigma.to(x) / 2).sum(), v, create_graph=learning)
        return 2 * D - 1

    def psi(self, v: Tensor, sigma: Tensor) -> Tensor:
        """The convex function of images on [0, 1] with noise of these levels, (B,)."""
        fed = torch.cat([v, each(sigma, v).expand(-1, 1, *v.shape[-2:])], 1)
        y = self.skip[0](fed)
        total = self.alpha * v.square().flatten(1).sum(1)
        for k, weight in enumerate(self.sum):
            if k:
                stride = 1 + k % 2
                fed = F.avg_pool2d(fed, 2, ceil_mode=True) if stride == 2 else fed
                core = self.core[k - 1]
                P = F.softplus(core) / core[0].numel()
                y = F.conv2d(self._phi(y), P, stride=stride, padding=1) + self.skip[k](fed)
            total = total + (F.softplus(weight) * self._phi(y)).flatten(1).sum(1)
        return total

    def _phi(self, t: Tensor) -> Tensor:
        return F.softplus(t, self.beta).square() / 2
