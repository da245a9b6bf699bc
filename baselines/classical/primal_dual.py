"""The over-relaxed primal-dual iteration: what the total variations are minimised by.

Chambolle, Pock: A First-Order Primal-Dual Algorithm for Convex Problems with Applications to Imaging, JMIV 2011.
Condat: A Primal-Dual Splitting Method for Convex Optimization Involving Lipschitzian, Proximable and Linear Composite
Terms, JOTA 2013.
Condat, Kitahara, Contreras, Hirabayashi: Proximal Splitting Algorithms for Convex Optimization: A Tour of Recent
Advances, with New Twists, SIAM Review 2023, https://arxiv.org/abs/1912.00137
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from baselines.classical.weights import norms
from baselines.common.algebra import each, norm
from sipbench.problem import Estimate, Problem

CHECK = 10  # the objective is shown, and stopping judged, every so many iterations

Map = Callable[[Tensor], Tensor]


@dataclass
class Data:
    """The term |A x - y|^2 / 2, with x in [-1, 1] where `box` says so, and its step: from x and v = x - tau K^T u to

        argmin_z |A z - y|^2 / 2 + |z - v|^2 / (2 tau)    where A has a singular value decomposition (Chambolle-Pock)
        clip(v - tau A^T (A x - y))                       elsewhere, and with the box (Condat-Vu)

    Attributes:
        norm: |A| of each image, (B,).
        start: A^T y / |A|^2.
        smoothness: what the explicit step asks of tau, (B,): 1 / tau >= smoothness + sigma |K|^2; |A|^2 or zero.
    """

    problem: Problem
    box: bool

    def __post_init__(self) -> None:
        f, self.y = self.problem.linear, self.problem.y
        self.svd = None if self.box else f.svd(self.y.dtype)  # first: what it factorises serves each image's norm
        self.f, self.norm = f, norms(f, self.y)
        self.seen = None if self.svd is None else self.svd.Ut(self.y)
        x = f.T(self.y)
        self.start = x / each(self.norm.square(), x)
        self.smoothness = self.norm.square() if self.svd is None else torch.zeros_like(self.norm)

    def stepping(self, tau: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """The step from x and v, for a tau of each image, (B,)."""
        svd, seen = self.svd, self.seen
        if svd is None or seen is None:

            def explicit(x: Tensor, v: Tensor) -> Tensor:
                z = v - each(tau, x) * self.f.T(self.f(x) - self.y)
                return z.clamp_(-1, 1) if self.box else z

            return explicit
        s = svd.s
        gain = s / (s.square() + each(1 / tau, seen))
        return lambda x, v: v + svd.V(gain * (seen - s * svd.Vt(v)))

    def loss(self, x: Tensor) -> Tensor:
        return (self.f(x) - self.y).square().flatten(1).sum(1) / 2


def minimise(
    data: Data,
    z: Tensor,
    u: Tensor,
    *,
    K: Map,
    K_T: Map,
    bound: float,
    project: Map,
    penalty: Map,
    sigma: float,
    rho: float,
    iterations: int,
    tolerance: float,
) -> Estimate:
    """min_z |A x - y|^2 / 2 + h(K z), where z is the image x or, with one more dimension, x and companions z = (x, w):

        z' = step(z, z - tau K^T u),      u' = project(u + sigma K (2 z' - z)),      tau = 1 / (|A|^2 + sigma |K|^2)
        z, u <- z + rho (z' - z),  u + rho (u' - u)

    without |A|^2 where the data's step is implicit. For a quadratic term taken explicitly this tau admits any rho < 2:
    the iteration is a proximal point method in the metric 1 / tau - A^T A - sigma K^T K. An image is left as it is
    once |x' - x| rho <= tolerance |x|, judged every 10 iterations, and the loop ends with the last of them.

    Args:
        bound: |K|^2 or more.
        project: onto the dual ball, the proximal map of h*.
        penalty: h(K z) of each image, for the loss that is shown.
        sigma: the dual step.
    """
    stacked = z.ndim > data.start.ndim
    tau = 1 / (data.smoothness + sigma * bound)
    tau_z, step = each(tau, z), data.stepping(tau)
    relax, stopped, ran = torch.full_like(tau, rho), torch.zeros_like(tau, dtype=torch.long), 0
    for k in data.problem.steps(iterations):
        v = K_T(u).mul_(-tau_z).add_(z)
        x = z[:, 0] if stacked else z
        x_new = step(x, v[:, 0] if stacked else v)
        moved = torch.cat([x_new[:, None], v[:, 1:]], 1).sub_(z) if stacked else x_new - x
        dual = project(K(torch.add(z, moved, alpha=2)).mul_(sigma).add_(u))
        z.addcmul_(moved, each(relax, z))
        u.addcmul_(dual.sub_(u), each(relax, u))
        ran = k + 1
        if ran % CHECK == 0:
            data.problem.show(x, loss=data.loss(x) + penalty(z))
            still = rho * norm(moved[:, 0] if stacked else moved) <= tolerance * norm(x)
            stopped = torch.where(still & (relax > 0), ran, stopped)
            relax = relax.masked_fill(still, 0.0)
            if not bool((relax > 0).any()):
                break
    x = z[:, 0] if stacked else z
    x = x.clamp(-1, 1) if data.box else x
    return Estimate(x, stopped=torch.where(relax > 0, ran, stopped), converged=relax == 0)
