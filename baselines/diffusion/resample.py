"""ReSample: hard data consistency for latent diffusion, by optimisation now and then along the way.

Song, Kwon, Zhang, Hu, Qu, Shen: Solving Inverse Problems with Latent Diffusion Models via Hard Data Consistency,
ICLR 2024, https://arxiv.org/abs/2307.08123
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.common.algebra import norm, where
from baselines.diffusion.sampling import Level, level, start
from sipbench.priors.base import Prior
from sipbench.problem import Problem


@torch.no_grad()
def resample(
    problem: Problem,
    *,
    steps: int = 500,
    scale: float = 0.5,
    gamma: float = 40.0,
    interval: int = 10,
    travel: int = 5,
    pixel_lr: float = 1e-2,
    pixel_iterations: int = 2000,
    latent_lr: float = 5e-3,
    latent_iterations: int = 500,
    tolerance: float = 1e-3,
    literal: bool = True,
) -> Tensor:
    """DDIM with DPS's correction; every `interval` steps after the first third the data are fitted and z resampled:

        e     = (z - a x_hat) / s,   x_hat = E[z_0 | z],   z_0 = (z - s^2 e) / a
        z'    = a' x_hat + s' e - scale a^2 grad_z || y - f(decode(z_0)) ||
        fit:    z_0 from `travel` further DDIM steps starts AdamW on mean (y - f(.))^2, over the pixels decode(z_0) in
                the second third of the steps, over z_0 itself in the last
        z''   = (v a' z_0 + s'^2 z') / (v + s'^2) + n sqrt(1 / (1 / v + 1 / s'^2))
        v     = gamma s'^2 / s^2 (1 - a^2 / a'^2)

    Here (a, s) are (alpha, sigma) now and (a', s') next, of states scaled to a^2 + s^2 = 1. A last fit of z ends it.
    An image leaves a fit when its loss is below tolerance^2, in the latent also when it is above the one 200 iterations
    ago. Cost: `steps` evaluations with a backward pass through the decoder (and the network unless `literal`), and
    `travel` for each of the fits: 665 as published. A fit takes up to `pixel_iterations` passes through f or
    `latent_iterations` through f and the decoder. More: docs/notes/resample.md.

    Args:
        gamma: trust in the fit when it is resampled.
        literal: as the public code computes. False is the paper: z_0 = x_hat with its gradient through the network, and
            further DDIM steps start at the level of z'.
    """
    y, f, prior, rng = problem.y, problem.f, problem.prior, problem.rng
    if travel < 1 or interval < 1:
        raise ValueError(f"travel and interval are at least 1, not {travel} and {interval}")
    at = [scaled(level(problem, t)) for t in prior.times(steps)]

    def in_pixels(x: Tensor) -> Tensor:
        return (y - f(x)).square().flatten(1).mean(1)

    def in_latent(z: Tensor) -> Tensor:
        return in_pixels(prior.decode(z))

    z = start(problem, at[0])
    for i in problem.steps(steps):
        now, then, index = at[i], at[i + 1], steps - 1 - i
        with torch.enable_grad():
            z.requires_grad_()
            with torch.set_grad_enabled(not literal):
                x_hat, e = predict(prior, z, now)
            z_0 = (z - now.sigma**2 * e) / now.alpha if literal else x_hat
            image = prior.decode(z_0)
            misfit = norm(y - f(image))
            (gradient,) = torch.autograd.grad(misfit.sum(), z)

        z = then.alpha * x_hat + then.sigma * e - scale * now.alpha**2 * gradient
        problem.show(image, loss=misfit)
        if index % interval or not 0 < index <= steps - steps // 3:
            continue
        z_0 = further(prior, z, at[i : i + travel + 2], literal)
        if index >= steps // 3:
            z_0 = prior.encode(fit(prior.decode(z_0), in_pixels, pixel_lr, pixel_iterations, tolerance))
        else:
            z_0 = fit(z_0, in_latent, latent_lr, latent_iterations, tolerance, wait=200)
        z = resampled(z, z_0, now, then, gamma, rng.normal_like(z))
    z = fit(z, in_latent, latent_lr, latent_iterations, tolerance, wait=200)
    return prior.decode(z)


def scaled(at: Level) -> Level:
    """The level of states divided by sqrt(alpha^2 + sigma^2)."""
    return Level(at.t, at.alpha / at.size, at.sigma / at.size)


def predict(prior: Prior, z: Tensor, at: Level) -> tuple[Tensor, Tensor]:
    """The posterior mean and the noise of a scaled state."""
    x_hat = prior.denoise(Level(at.t, *prior.scales(at.t)).size * z, at.t)
    return x_hat, (z - at.alpha * x_hat) / at.sigma


def further(prior: Prior, z: Tensor, at: list[Level], literal: bool) -> Tensor:
    """DDIM steps down the levels at[1], at[2], ...; the z_0 of the last one before at[-1]."""
    z_0 = z
    for before, now, then in zip(at, at[1:], at[2:], strict=False):
        x_hat, e = predict(prior, z, now)
        z_0 = x_hat
        if literal:
            x_hat = (z - before.sigma * e) / before.alpha
            z_0, then = (z - before.sigma**2 * e) / before.alpha, now
        z = then.alpha * x_hat + then.sigma * e
    return z_0


def resampled(z: Tensor, z_0: Tensor, now: Level, then: Level, gamma: float, n: Tensor) -> Tensor:
    """z'' from the sampler's z' and the fitted z_0, with noise n."""
    v = gamma * (then.sigma / now.sigma) ** 2 * (1 - (now.alpha / then.alpha) ** 2)
    mean = (v * then.alpha * z_0 + then.sigma**2 * z) / (v + then.sigma**2)
    return mean + n * (1 / (1 / v + 1 / then.sigma**2)).sqrt()


def fit(
    start: Tensor,
    losses: Callable[[Tensor], Tensor],
    lr: float,
    iterations: int,
    tolerance: float,
    wait: int | None = None,
) -> Tensor:
    """AdamW on the loss of each image, which stays where it is once that is below tolerance^2 or above one long ago."""
    v = start.detach().clone().requires_grad_()
    adam = torch.optim.AdamW([v], lr=lr)
    going = torch.ones(len(v), dtype=torch.bool, device=v.device)
    seen: list[Tensor] = []
    for k in range(iterations):
        with torch.enable_grad():
            loss = losses(v)
            (v.grad,) = torch.autograd.grad(loss.sum(), v)
        with torch.no_grad():
            before = v.clone()
            adam.step()
            v.copy_(where(going, v, before))
            seen.append(loss.detach())
            going = going & (loss >= tolerance**2)
            if wait is not None and k >= wait:
                going = going & (seen[k - wait] >= loss)
        if k % 20 == 19 and not going.any():
            break
    return v.detach()
