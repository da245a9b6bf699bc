"""Model-based deep learning: a network and conjugate gradients in turns (MoDL).

Aggarwal, Mani, Jacob: MoDL: Model-Based Deep Learning Architecture for Inverse Problems, IEEE TMI 2019,
https://arxiv.org/abs/1712.02862
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from baselines.common.linear import Map, cg
from baselines.datarich.dncnn import DnCNN
from baselines.datarich.sizing import Norm
from sipbench.problem import Problem


def modl(problem: Problem, *, net: Denoiser, iterations: int = 6, cg_iterations: int = 10) -> Tensor:
    """From x = A^T y, with the same network every time:

        z = D(x)
        x = argmin_x |A x - y|^2 + lam |x - z|^2 = (A^T A + lam I)^-1 (A^T y + lam z)

    by conjugate gradients from z, for A and y in units of |A|. D and lam are learned, and the gradient passes through
    the solution of the linear system by solving one more. The published network has 10 iterations.

    Args:
        iterations: how often.
        cg_iterations: of conjugate gradients, each time.
    """
    A, lam = problem.linear, net.log_lam.exp()
    L = net.norm(problem) ** 2
    y = problem.y.to(lam.dtype)
    x = A.T(y) / L
    for _ in problem.steps(iterations):
        z = net(x)
        d = A.T(y - A(z)) / L
        x = z + Solution.apply(d, lam, lambda v: A.T(A(v)) / L, cg_iterations)
        problem.show(x)
    return x.to(problem.y.dtype)


class Solution(torch.autograd.Function):
    """v = (M + lam I)^-1 b for a symmetric M by conjugate gradients. With u = (M + lam I)^-1 dv, also by them, the
    gradients are db = u and dlam = -<u, v>: they are exact where the iterations suffice, and take no memory for them.
    """

    @staticmethod
    def forward(ctx: Any, b: Tensor, lam: Tensor, M: Map, iterations: int) -> Tensor:
        ctx.solve = lambda r: cg(lambda v: M(v) + lam * v, r, iterations)
        v = ctx.solve(b)
        ctx.save_for_backward(v)
        return v

    @staticmethod
    def backward(ctx: Any, *dv: Tensor) -> tuple[Tensor, Tensor, None, None]:
        (v,) = ctx.saved_tensors
        u = ctx.solve(dv[0])
        return u, -(u * v).sum(), None, None


class Denoiser(nn.Module):
    """D, a DnCNN that all iterations share, and lam, which begins at 0.05.

    Args:
        channels: of the image.
        width: channels between; published are 64.
        depth: convolutions.
    """

    def __init__(self, channels: int = 3, width: int = 32, depth: int = 5) -> None:
        super().__init__()
        self.norm, self.log_lam = Norm(), nn.Parameter(torch.tensor(math.log(0.05)))
        self.denoiser = DnCNN(channels, width, depth)

    def forward(self, x: Tensor) -> Tensor:
        return self.denoiser(x)
