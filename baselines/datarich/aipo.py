"""Amortised inverse problem optimisation: from the encoder's code, with a prior that comes in little by little.

Liu, Yang, Zhang, Lei: Optimization for Amortized Inverse Problems, ICML 2023, https://arxiv.org/abs/2210.13983
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from baselines.common.algebra import each
from baselines.common.inverse import first_image
from baselines.datarich.denoisers import norms
from baselines.datarich.generators import descend, drawn, energy, misfit, precision
from sipbench.problem import Problem


def aipo(
    problem: Problem,
    *,
    generator: nn.Module,
    rounds: int = 10,
    iterations: int = 20,
    lr: float = 0.05,
    lam: float = 0.001,
    start: Literal["pinv", "adjoint"] = "pinv",
    cutoff: float = 0.03,
) -> Tensor:
    """z_k = argmin_z mean_i (y - f(G(z)))_i^2 + lam_k |z|^2   from z_{k-1},   lam_k = 0 ... lam in even steps,

    each by some steps of Adam; z_0 = E(A^+ y), or E(A^T y / |A|^2), with G's encoder E. Each round starts near its
    solution, which is that of the round before, so that the whole ends in a better minimum than from anywhere with lam
    at once. Cost: one evaluation of G an iteration, with one backward pass. More: docs/notes/csgm.md.

    Args:
        generator: G, with its encoder.
        rounds: number of weights.
        iterations, lr: of Adam in each round.
        lam: the last weight of |z|^2.
        start: what is encoded.
        cutoff: singular values of A below it count as zero in A^+: see `first_image`.
    """
    if rounds < 2:
        raise ValueError(f"rounds is 2 or more, the first and the last weight, not {rounds}")
    y, f, G = problem.y, problem.linear, generator
    if start == "pinv":
        v = first_image(problem, cutoff)
    else:
        v = f.T(y) / each(norms(problem).square(), y.new_zeros(problem.shape))
    with torch.no_grad():
        z, _ = G.encode(v.to(precision(problem, G)))  # pyright: ignore
    adam = torch.optim.Adam([z.requires_grad_()], lr=lr)
    for k in problem.steps(rounds * iterations):
        x = drawn(problem, G(z))
        weight = lam * (k // iterations) / (rounds - 1)
        loss = misfit(problem, x) + weight * energy(z)
        descend(adam, z, loss)
        problem.show(x.detach(), loss=loss.detach())
    return drawn(problem, G(z.detach()))
