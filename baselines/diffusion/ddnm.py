"""The denoising diffusion null-space model (DDNM), and DDNM+ for noisy measurements.

Wang, Yu, Zhang: Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model, ICLR 2023,
https://arxiv.org/abs/2212.00490
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.common.linear import conditioning, pseudo_inverse
from baselines.diffusion.ddrm import shares
from baselines.diffusion.sampling import Level, descend, level, start
from sipbench.operators import LinearOperator
from sipbench.operators.base import invert
from sipbench.priors.schedules import Spacing
from sipbench.problem import Problem

Step = Callable[[Tensor, Tensor, Tensor, Level, Level], Tensor]


@torch.no_grad()
def ddnm(
    problem: Problem,
    *,
    steps: int = 100,
    eta: float | None = 0.85,
    plus: bool | None = None,
    cutoff: float = 0.03,
    travel_length: int = 1,
    travel_repeat: int = 1,
    spacing: Spacing = "even",
) -> Tensor:
    """DDIM whose estimate takes from y all that y says, and from the prior the null space of A. Without noise:

        r   = x_hat - A^+ (A x_hat - y),    x_hat = E[x | x_t]
        x_s = alpha_s r + sigma_s (sqrt(1 - eta^2) e + eta z),    e = (x_t - alpha_t x_hat) / sigma_t

    DDNM+ (`plus`) makes room in sigma_s for the noise of y: see `spectral`; without an SVD, `damped`.
    Time travel: wherever a multiple of `travel_length` steps remains, `travel_repeat` - 1 times go back as many steps
    and come again; x_hat, before A^+ y enters it, is noised for that.

    eta = None (not published) is the share of the diffusion itself, as in `ddrm`. Cost: `steps` evaluations, and
    `travel_length` (`travel_repeat` - 1) more for each such place. More: docs/notes/ddnm.md.

    Args:
        steps: number of sampling steps, without travels.
        eta: the share of fresh noise.
        plus: whether to account for the noise; None does where its standard deviation is told, as published.
        cutoff: singular values of A below it count as zero; 0.03 is published for blurs.
        travel_length: steps to go back.
        travel_repeat: how often to do each stretch.
        spacing: the times, `even`, or `leading` as in the public code.
    """
    prior, rng, step = problem.prior, problem.rng, _step(problem, plus, cutoff, eta)
    times = prior.times(steps, spacing)
    x_t = x_hat = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times[itinerary(steps, travel_length, travel_repeat)]):
        z = rng.normal_like(x_t)
        if then.t > now.t:
            x_t = then.alpha * x_hat + then.sigma * z
            continue
        x_hat = prior.denoise(x_t, now.t)
        x_t = step(x_t, x_hat, z, now, then)
        problem.show(x_hat)
    return x_t


def _step(problem: Problem, plus: bool | None, cutoff: float, eta: float | None) -> Step:
    y, f = problem.y, problem.linear
    sigma_y = None if problem.noise is None else problem.noise.sigma
    if not (bool(sigma_y) if plus is None else plus):
        return plain(f, y, cutoff, eta)
    if sigma_y is None:
        raise ValueError("DDNM+ must know the standard deviation of the noise: use plus=false")
    return damped(f, y, sigma_y, eta) if f.svd(y.dtype) is None else spectral(f, y, sigma_y, cutoff, eta)


def plain(f: LinearOperator, y: Tensor, cutoff: float, eta: float | None) -> Step:
    """DDNM, for measurements without noise."""
    pinv = pseudo_inverse(f, y.dtype, cutoff)

    def step(x_t: Tensor, x_hat: Tensor, z: Tensor, now: Level, then: Level) -> Tensor:
        kept, fresh = shares(now, then, eta)
        r = x_hat - pinv(f(x_hat) - y)
        return then.alpha * r + then.sigma * (kept * (x_t - now.alpha * x_hat) / now.sigma + fresh * z)

    return step


def damped(f: LinearOperator, y: Tensor, sigma_y: float, eta: float | None) -> Step:
    """DDNM+ where A has no cheap SVD: lam of `spectral` is a smooth filter, and sigma_s is left as it is. With S_s:

    r   = x_hat + A^T (A A^T + (sigma_y / S_s)^2 I)^-1 (y - A x_hat)
    x_s = alpha_s r + sigma_s (sqrt(1 - eta^2) e + eta z)
    """
    gain = conditioning(f, y.dtype)

    def step(x_t: Tensor, x_hat: Tensor, z: Tensor, now: Level, then: Level) -> Tensor:
        kept, fresh = shares(now, then, eta)
        e = (x_t - now.alpha * x_hat) / now.sigma
        r = x_hat + gain(y - f(x_hat), 1.0, (sigma_y / then.S) ** 2) if then.sigma > 0 else x_hat
        return then.alpha * r + then.sigma * (kept * e + fresh * z)

    return step


def spectral(f: LinearOperator, y: Tensor, sigma_y: float, cutoff: float, eta: float | None) -> Step:
    """DDNM+ in the coordinates of A = U diag(d) V^T. With S = sigma_s / alpha_s and r = x_hat + lam (A^+ y - x_hat),

        S >= sigma_y / d    lam = 1,                               x_s = alpha_s (r + sqrt(S^2 - (sigma_y / d)^2) z)
        S < sigma_y / d     lam = sqrt(1 - eta^2) S d / sigma_y,   x_s = alpha_s (r + eta S z)

    and as in DDNM where d = 0. With equal times and draws it is `ddrm` with eta_b = 1, but for how that one begins.
    With eta = None, coordinates that y has entered are thereafter as those where d = 0: see `ddrm`.
    """
    svd = f.svd(y.dtype)
    assert svd is not None
    inverse = invert(svd.s, cutoff)
    told, floor, y_bar = inverse > 0, sigma_y * inverse, inverse * svd.Ut(y)
    precision = svd.s / max(sigma_y, 1e-30)

    def step(x_t: Tensor, x_hat: Tensor, z: Tensor, now: Level, then: Level) -> Tensor:
        kept, fresh = shares(now, then, eta)
        free = then.alpha * x_hat + then.sigma * (kept * (x_t - now.alpha * x_hat) / now.sigma + fresh * z)
        S = then.S
        entered = told
        if eta is None:
            entered = told & (floor <= now.S)
            kept = (S * precision).clamp(max=1)
            fresh = (1 - kept**2).sqrt()
        h, z = svd.Vt(x_hat), svd.Vt(z)
        noisier = y_bar + (S**2 - floor**2).clamp(min=0).sqrt() * z
        cleaner = h + kept * S * precision * (y_bar - h) + S * fresh * z
        bound = then.alpha * torch.where(floor <= S, noisier, cleaner)
        return free + svd.V(torch.where(entered, bound - svd.Vt(free), 0.0))

    return step


def itinerary(steps: int, length: int, repeat: int) -> list[int]:
    """The order in which the levels 0..steps are visited: down, and back wherever a stretch is to be repeated."""
    if length < 1 or repeat < 1:
        raise ValueError(f"travel_length and travel_repeat must be 1 or more, not {length} and {repeat}")
    left = dict.fromkeys(range(0, steps - length, length), repeat - 1)
    order, k = [0], 0
    while k < steps:
        k += 1
        order.append(k)
        remaining = steps - 1 - k
        if left.get(remaining, 0):
            left[remaining] -= 1
            k -= length
            order.append(k)
    return order
