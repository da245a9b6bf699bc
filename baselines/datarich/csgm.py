"""CSGM: the image in the range of a generator that explains the measurement best.

Bora, Jalal, Price, Dimakis: Compressed Sensing using Generative Models, ICML 2017, https://arxiv.org/abs/1703.03208
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.datarich.generators import codes, descend, drawn, energy, misfit
from sipbench.problem import Problem


def csgm(
    problem: Problem,
    *,
    generator: nn.Module,
    iterations: int = 500,
    lr: float = 0.1,
    lam: float = 0.001,
    restarts: int = 2,
) -> Tensor:
    """x = G(z),   z = argmin_z mean_i (y - f(G(z)))_i^2 + lam |z|^2,   by Adam from z ~ N(0, I).

    Any f that can be differentiated will do. All starts run side by side; of each image that with the smallest loss at
    the end is returned. What no code makes is out of reach, however good y is. Cost: one evaluation of G an iteration
    and start, with one backward pass. More: docs/notes/csgm.md.

    Args:
        generator: G.
        iterations, lr: of Adam; published are 500 and 0.1 for faces, 1000 and 0.01 for digits.
        lam: weight of |z|^2.
        restarts: random starts of each image.
    """
    if restarts < 1:
        raise ValueError(f"restarts is 1 or more, not {restarts}")
    z = codes(problem, generator, restarts).transpose(0, 1).contiguous().requires_grad_()
    adam = torch.optim.Adam([z], lr=lr)

    def images() -> tuple[Tensor, Tensor]:
        """What each start draws, (R, B, C, H, W), and its loss, (R, B)."""
        x = drawn(problem, generator(z.flatten(0, 1))).unflatten(0, z.shape[:2])
        return x, torch.stack([misfit(problem, x[r]) + lam * energy(z[r]) for r in range(restarts)])

    for _ in problem.steps(iterations):
        x, loss = images()
        descend(adam, z, loss)
        problem.show(best(x, loss), loss=loss.detach().amin(0))
    return best(*images())


def best(x: Tensor, loss: Tensor) -> Tensor:
    """Of each image the start with the smallest loss."""
    return x.detach()[loss.argmin(0), torch.arange(x.shape[1], device=x.device)]
