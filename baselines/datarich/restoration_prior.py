"""A restoration network as a prior (DRP, the deep restoration prior).

Hu, Delbracio, Milanfar, Kamilov: A Restoration Network as an Implicit Prior, ICLR 2024,
https://arxiv.org/abs/2310.01391
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.common.algebra import each
from baselines.common.linear import cg
from baselines.datarich.denoisers import norms
from sipbench.operators import BicubicDownsampling
from sipbench.problem import Problem


@torch.no_grad()
def restoration_prior(
    problem: Problem,
    *,
    net: nn.Module,
    factor: int = 4,
    iterations: int = 30,
    gamma: float = 10.0,
    tau: float = 0.1,
    epsilon: float = 0.0,
    inner: int = 30,
) -> Tensor:
    """A network R that restores images from s = H x, H bicubic reduction by `factor`, in place of a denoiser:

        z = x - gamma tau (x - R(H x))
        x = argmin_x (|H (x - z)|^2 + epsilon |x - z|^2 + gamma |A x - y|^2) / 2

    with A, y and H divided by the norms of A and H. It ends at A^T (A x - y) + tau (H^T H + epsilon) (x - R(H x)) = 0.
    For R(s) = E[x | s = H x + noise] and epsilon = 0, as published, that is a stationary point of |A x - y|^2 / 2 less
    a multiple of tau log p(s) at s = H x: the proximal step is measured by what R is given. An epsilon keeps x near z
    also where H sees little, which a mask or a noisy blur needs. The step is solved by conjugate gradients from z. R is
    the network after H^+, as in `unet`. It starts from A^T y / |A|^2. Cost: one network evaluation and `inner` uses of
    A and H an iteration. More: docs/notes/pnp.md.

    Args:
        net: it restores an image from H^+ s.
        factor: by which H reduces a side.
        iterations: number of iterations.
        gamma: step size.
        tau: weight of the prior.
        epsilon: weight of what H does not see.
        inner: most conjugate gradients an iteration.
    """
    y, f, weight = problem.y, problem.linear, next(net.parameters())
    H = BicubicDownsampling(problem.shape, problem.rng, factor=factor)
    x = f.T(y)
    L = each(norms(problem).square(), x)
    x, seen = x / L, H.norm**2

    def R(x: Tensor) -> Tensor:
        return net(H.pinv(H(x)).to(weight.dtype)).to(x.dtype)

    def system(v: Tensor) -> Tensor:
        return H.T(H(v)) / seen + epsilon * v + gamma * f.T(f(v)) / L

    for _ in problem.steps(iterations):
        z = x - gamma * tau * (x - R(x))
        x = z + cg(system, gamma * f.T(y - f(z)) / L, inner)
        problem.show(x)
    return x
