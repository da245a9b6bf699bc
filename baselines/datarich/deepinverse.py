"""Reconstructors and samplers of deepinv: its optimisation, plug and play, and diffusion samplers.

Tachella et al.: DeepInverse: A Python package for solving imaging inverse problems with deep learning, JOSS 2025,
https://arxiv.org/abs/2505.20160
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from baselines.datarich.denoisers import norms, prior_denoiser
from baselines.datarich.reconstructor import noise
from sipbench.operators.deepinverse import to_deepinv
from sipbench.problem import Problem


def deepinverse(problem: Problem, *, model: Callable[..., Any], range: Sequence[float] = (0.0, 1.0)) -> Tensor:
    """x = model(y', A / |A|) in the units of the model: images u on [low, high], an operator of norm 1, as in

        y' = (h y + m A 1) / |A| = A u / |A| + h noise / |A|,    x = (u - m) / h,

    h = (high - low) / 2 and m = (high + low) / 2. Each image by itself, with draws from its own stream; to the
    harness it is one step. In the options of the model `prior` is the problem's prior as a denoiser D(u, sigma), and
    `sigma` the noise of y'.

    Args:
        model: what builds the model.
        range: the low and the high end of its images.
    """
    x = problem.y.new_zeros(problem.shape)
    for _ in problem.steps(1):
        norm = norms(problem).tolist()
        x = torch.cat([_solved(problem.select(slice(i, i + 1)), model, norm[i], range) for i in builtins.range(len(x))])
    return x


def _solved(one: Problem, model: Callable[..., Any], norm: float, range: Sequence[float]) -> Tensor:
    """The estimate of one image."""
    low, high = range
    h, m = (high - low) / 2, (high + low) / 2
    words: dict[str, Any] = {"prior": PriorDenoiser(one, h, m)} if one.prior is not None else {}
    if one.noise is not None and one.noise.sigma is not None:
        words["sigma"] = h * one.noise.sigma / norm
    dark = m * one.linear(torch.ones(one.shape, dtype=one.y.dtype, device=one.device))
    physics = to_deepinv(one.f, norm=norm, noise_model=noise(one, h / norm))
    with one.rng.lent() as seed:
        solver = model(words)
        options = {"seed": seed} if "seed" in inspect.signature(solver.forward).parameters else {}
        u = solver((h * one.y + dark) / norm, physics, **options)
    return ((u - m) / h).detach().clamp(-1, 1).to(one.y.dtype)


class PriorDenoiser(nn.Module):
    """The problem's prior as deepinv calls a denoiser: D(u, sigma) = E[u | u + sigma z]."""

    def __init__(self, problem: Problem, h: float, m: float) -> None:
        super().__init__()
        self.denoise, self.h, self.m = prior_denoiser(problem), h, m

    def forward(self, u: Tensor, sigma: Any = None, *_: Any, **__: Any) -> Tensor:
        level = torch.as_tensor(sigma, dtype=u.dtype, device=u.device).flatten()[:1] / self.h
        return self.h * self.denoise((u - self.m) / self.h, level) + self.m
