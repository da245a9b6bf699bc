"""Unrolled proximal gradients: a few iterations whose proximal steps are networks, trained as one.

Mardani, Sun, Vasawanala, Papyan, Monajemi, Pauly, Donoho: Neural Proximal Gradient Descent for Compressive Imaging,
NeurIPS 2018, https://arxiv.org/abs/1806.03963; unrolling goes back to Gregor, LeCun, ICML 2010.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.datarich.sizing import Norm
from baselines.datarich.unet import UNet
from sipbench.problem import Problem


def unrolled_pgd(problem: Problem, *, net: Unrolled) -> Tensor:
    """A gradient step on |A x - y|^2 / 2, then a network in the place of a proximal step:

        x = P_k(x - eta_k A^T (A x - y) / |A|^2)

    from A^T y / |A|^2. P_k and eta_k are learned; a network that was not trained is gradient descent. Cost: one A, A^T
    and P_k an iteration.
    """
    A, y = problem.linear, problem.y.to(net.eta.dtype)
    L = net.norm(problem) ** 2
    x = A.T(y) / L
    for k in problem.steps(len(net.eta)):
        x = net(x - net.eta[k] / L * A.T(A(x) - y), k)
        problem.show(x)
    return x.to(problem.y.dtype)


class Unrolled(nn.Module):
    """Proximal networks P_k, each a residual U-Net, and step sizes eta_k, which begin at 1.

    Args:
        channels: of the image.
        steps: how many iterations.
        shared: whether one network does every step; else each has its own.
        width: channels of a network at full resolution; they double at each of the `levels` below.
        blocks: residual blocks a level, on the way down and on the way up.
    """

    def __init__(
        self,
        channels: int = 3,
        steps: int = 5,
        shared: bool = False,
        width: int = 16,
        levels: int = 2,
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.norm, self.eta = Norm(), nn.Parameter(torch.ones(steps))
        self.prox = nn.ModuleList(UNet(channels, width, levels, blocks) for _ in range(1 if shared else steps))

    def forward(self, v: Tensor, k: int) -> Tensor:
        return self.prox[k % len(self.prox)](v)
