"""Intermediate layer optimisation: CSGM, then once more from each layer of the generator on, near what was found.

Daras, Dean, Jalal, Dimakis: Intermediate Layer Optimization for Inverse Problems using Deep Generative Models,
ICML 2021, https://arxiv.org/abs/2102.07364
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.common.algebra import each, norm, where
from baselines.datarich.generators import codes, descend, drawn, misfit
from sipbench.problem import Problem


def ilo(
    problem: Problem,
    *,
    generator: nn.Module,
    iterations: Sequence[int] = (50, 50, 25, 25),
    lr: float = 0.1,
    radius: float = 0.1,
) -> Tensor:
    """With G = G_L o ... o G_1, for each layer l = 0, 1, ... in turn, by Adam:

        h_l = argmin_h mean_i (y - f(G_L o ... o G_{l+1}(h)))_i^2   from G_l(h_{l-1}),   |h - G_l(h_{l-1})|_1 <= r

    The code h_0 starts from N(0, I) and keeps its norm. Each further layer can draw more images than the one before;
    the ball keeps them near those that the layers before it draw. Within a layer the step rises over the first 5 % of
    its iterations and falls over the last 75 %; the iterate with the smallest loss of the last layer is returned. Cost:
    one evaluation of what is left of G an iteration, with one backward pass. More: docs/notes/csgm.md.

    Args:
        generator: G, in stages.
        iterations: of each layer, from the code on; 0 passes a layer by.
        lr: Adam's largest step.
        radius: r over the number of entries of h.
    """
    G, depth = generator, int(generator.depth)  # pyright: ignore
    if len(iterations) > depth or sum(iterations) < 1 or radius <= 0:
        raise ValueError(
            f"needs iterations for 1 to {depth} layers and a radius above 0, not {iterations} and {radius}"
        )
    layers = [(layer, i / n) for layer, n in enumerate(iterations) for i in range(n)]
    at, h, x = 0, codes(problem, G), torch.zeros(problem.shape, dtype=problem.y.dtype, device=problem.device)
    centre, least, adam = h, problem.y.new_zeros(()), torch.optim.Adam([h], lr=lr)
    for k in problem.steps(len(layers)):
        layer, passed = layers[k]
        if passed == 0:
            with torch.no_grad():
                at, h = layer, G(h, at, layer)
            centre, least = h.clone(), problem.y.new_full((len(h),), torch.inf)
            adam = torch.optim.Adam([h.requires_grad_()], lr=lr)
        x_hat = drawn(problem, G(h, layer))
        loss = misfit(problem, x_hat)
        adam.param_groups[0]["lr"] = lr * ramp(passed)
        descend(adam, h, loss)
        with torch.no_grad():
            h.copy_(h * each(norm(centre) / norm(h), h) if layer == 0 else centre + l1_ball(h - centre, radius))
            x, least = where(loss < least, x_hat, x), torch.minimum(loss, least)
        problem.show(x, loss=least)
    return x


def ramp(passed: float) -> float:
    """The share of the largest step after this share of a layer's iterations."""
    return min(1.0, passed / 0.05) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - passed) / 0.75)))


def l1_ball(v: Tensor, radius: float) -> Tensor:
    """The nearest w of each image with |w|_1 <= radius N for N entries: sign(v) max(|v| - t, 0), t from sorting |v|."""
    size = v.abs().flatten(1)
    down = size.sort(dim=1, descending=True).values
    n = torch.arange(1, size.shape[1] + 1, dtype=v.dtype, device=v.device)
    over = down.cumsum(1) - radius * size.shape[1]
    kept = (n * down > over).sum(1, keepdim=True)
    t = (over.gather(1, kept - 1) / kept).clamp(min=0)
    return v.sign() * (size - t).clamp(min=0).view_as(v)
