"""Posterior sampling with latent diffusion (PSLD).

Rout, Raoof, Daras, Caramanis, Dimakis, Shakkottai: Solving Linear Inverse Problems Provably via Posterior Sampling
with Latent Diffusion Models, NeurIPS 2023, https://arxiv.org/abs/2307.00619
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.common.algebra import norm
from baselines.common.linear import conditioning
from baselines.diffusion.sampling import ddim, descend, level, start
from sipbench.operators import LinearOperator
from sipbench.problem import Problem


@torch.no_grad()
def psld(
    problem: Problem,
    *,
    steps: int = 1000,
    gamma: float = 0.1,
    omega: float = 1.0,
    eta: float = 0.0,
    damping: float = 1e-4,
) -> Tensor:
    """DPS in the latent, with a second pull towards latents that the autoencoder maps to themselves:

        z_hat = E[z_0 | z_t],   x = decode(z_hat),   z' = DDIM(z_t, z_hat)
        z_s   = z' - grad_{z_t} ( omega || y - A x || + gamma || encode(x + A^+ (y - A x)) - z_hat || )

    The norms are not squared; the gradient runs through network, decoder and encoder. A^+ = A^T (A A^T + damping I)^-1,
    which is near the pseudo-inverse. The step is in the units of a variance-preserving state; others are scaled as in
    `dps`. Cost: `steps` evaluations, each with one backward pass. More: docs/notes/psld.md.

    Args:
        gamma: weight of the gluing term; omega: of the measurement.
        eta: how much of DDIM's noise is fresh.
    """
    y, f, prior, rng = problem.y, problem.linear, problem.prior, problem.rng
    times = prior.times(steps)
    gain = conditioning(f, y.dtype)

    def pinv(r: Tensor) -> Tensor:
        return gain(r, 1.0, damping)

    z_t = start(problem, level(problem, times[0]))
    for now, then in descend(problem, times):
        with torch.enable_grad():
            z_t.requires_grad_()
            z_hat = prior.denoise(z_t, now.t)
            x = prior.decode(z_hat)
            misfit = norm(y - f(x))
            glue = norm(prior.encode(consistent(x, y, f, pinv)) - z_hat)
            (gradient,) = torch.autograd.grad((omega * misfit + gamma * glue).sum(), z_t)

        z = rng.normal_like(z_t) if eta else None
        z_t = ddim(z_t, z_hat, now, then, z, eta) - now.size * then.size * gradient
        problem.show(x, loss=misfit)
    return prior.decode(z_t)


def consistent(x: Tensor, y: Tensor, f: LinearOperator, pinv: Callable[[Tensor], Tensor]) -> Tensor:
    """x + A^+ (y - A x), whose gradient is the symmetric map c - A^+ A c: nothing is kept of how A^+ is computed."""
    with torch.no_grad():
        moved = x + pinv(y - f(x))
    out = x + (moved - x).detach()
    if out.requires_grad:
        out.register_hook(lambda c: c - pinv(f(c)))
    return out
