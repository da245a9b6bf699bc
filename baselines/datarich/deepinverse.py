"""Reconstructors and samplers of deepinv: its optimisation, plug and play, and diffusion samplers.

Tachella et al.: DeepInverse: A Python package for solving imaging inverse problems with deep learning, JOSS 2025,
https://arxiv.org/abs/2505.20160
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from baselines.common.seeded import seeded
from baselines.datarich.denoisers import norms, prior_denoiser
from baselines.datarich.reconstructor import noise
from sipbench.operators.deepinverse import to_deepinv
from sipbench.problem import Problem


def deepinverse(problem: Problem, *, model: Callable[..., Any], range: Sequence[float] = (0.0, 1.0)) -> Tensor:
    """x = model(y', A / |A|) in the units of the model: images u on [low, high], an operator of norm 1, as in

        y' = (h y + m A 1) / |A| = A u / |A| + h noise / |A|,    x = (u - m) / h,

    h = (high - low) / 2 and m = (high + low) / 2. Each image by itself, with draws from its own stream. In the options
    of the model `prior` is the problem's prior as a denoiser D(u, sigma), and `sigma` the noise of y'.

    Args:
        model: what builds the model.
        range: the low and the high end of its images.
    """
    f, (low, high) = problem.linear, range
    h, m, images = (high - low) / 2, (high + low) / 2, []
    dark = m * f(torch.ones(problem.shape, dtype=problem.y.dtype, device=problem.device))
    for i, norm in enumerate(norms(problem).tolist()):
        one = problem.select(slice(i, i + 1))
        words: dict[str, Any] = {"prior": PriorDenoiser(one, h, m)} if problem.prior is not None else {}
        if one.noise is not None and one.noise.sigma is not None:
            words["sigma"] = h * one.noise.sigma / norm
        with seeded(one.rng) as seed:
            solver = model(words)
            options = {"seed": seed} if "seed" in inspect.signature(solver.forward).parameters else {}
            physics = to_deepinv(one.f, norm=norm, noise_model=noise(one, h / norm))
            u = solver((h * one.y + dark[i : i + 1]) / norm, physics, **options)
        images.append((u - m) / h)
    return torch.cat(images).detach().clamp(-1, 1).to(problem.y.dtype)


class PriorDenoiser(nn.Module):
    """The problem's prior as deepinv calls a denoiser: D(u, sigma) = E[u | u + sigma z]."""

    def __init__(self, problem: Problem, h: float, m: float) -> None:
        super().__init__()
        self.denoise, self.h, self.m = prior_denoiser(problem), h, m

    def forward(self, u: Tensor, sigma: Any = None, *_: Any, **__: Any) -> Tensor:
        level = torch.as_tensor(sigma, dtype=u.dtype, device=u.device).flatten()[:1] / self.h
        return self.h * self.denoise((u - self.m) / self.h, level) + self.m
