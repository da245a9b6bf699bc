"""The samplers of diffusion priors that differentiate the network, each beside its public code's update.

As in `diffusion`: the table `Diffusion` has the public names, and a public code is run on the times of this suite.
"""

from __future__ import annotations

import torch

from baselines.common.stopping import Stop
from baselines.diffusion.cdim import cdim
from baselines.diffusion.daps import daps
from baselines.diffusion.dmplug import dmplug
from baselines.diffusion.dps import dps
from baselines.diffusion.mcg import mcg
from baselines.diffusion.mmps import mmps
from baselines.diffusion.pigdm import pigdm
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.sampling import AveragePooling
from tests.parity import Peer
from tests.parity._ddpm import DTYPE, Diffusion, alone, clocks, joined, leading, matrix, noise_of, pose, spaced

SIGMA = 0.05


def masked(shape, rng):
    return Inpainting(shape, rng, removed=0.5)


def public_dps(problem, steps, scale):
    d, (z, draw) = Diffusion(problem, spaced(steps)), noise_of(problem)
    x = d.first(z)
    for t, _, _ in d.steps():
        x.requires_grad_()
        sample, x_0 = d.p_sample(x, t, draw())
        norm = torch.linalg.norm(problem.y - problem.f(x_0))
        x = (sample - scale * torch.autograd.grad(norm, x)[0]).detach()
    return x


def dps_and_public(solve=dps):
    problem = pose(BicubicDownsampling, factor=2)
    return solve(problem, steps=10, zeta=0.3), alone(public_dps, problem, 10, 0.3)


def public_mcg(problem, steps, before=0):
    """Its inpainting. before: 0 noises y to the level of x_t, as the public code does; 1 to that of the sample."""
    d, (z, draw), mask = Diffusion(problem, spaced(steps)), noise_of(problem), problem.f.mask.double()
    x, y = d.first(z), problem.y
    for t, at, at_prev in d.steps():
        x.requires_grad_()
        sample, x_0 = d.p_sample(x, t, draw())
        gradient = torch.autograd.grad(torch.linalg.norm(y * mask - x_0 * mask), x)[0] * (1 - mask)
        level = at_prev if before else at
        y_t = level.sqrt() * y + (1 - level).sqrt() * draw()
        x = (sample * (1 - mask) - gradient + y_t * mask).detach()
    return x


def mcg_and_public(solve=mcg, before=1):
    problem = pose(masked)
    return solve(problem, steps=10, zeta=1.0), alone(public_mcg, problem, 10, before)


def public_pigdm(problem, steps, eta, start=None):
    """start: x_T instead of the public code's noised A^+ y."""
    d, (z, draw), A = Diffusion(problem, spaced(steps)), noise_of(problem), matrix(problem)
    pinv = torch.linalg.pinv(A, rcond=1e-9)

    def H_pinv(y):
        return (pinv @ y.flatten()).view(problem.shape)

    alpha_T = d.alphas_cumprod[-1]
    x = d.first(z) + (alpha_T.sqrt() * H_pinv(problem.y) if start is None else 0)
    for t, alpha_t, alpha_s in d.steps():
        c1 = ((1 - alpha_t / alpha_s) * (1 - alpha_s) / (1 - alpha_t)).sqrt() * eta
        c2 = (1 - alpha_s - c1**2).sqrt()
        x.requires_grad_()
        x_0, et = d.tweedie(x, t)
        mat = H_pinv(problem.y) - H_pinv(problem.f(x_0))
        gradient = torch.autograd.grad((mat.detach() * x_0).sum(), x)[0]
        x = alpha_s.sqrt() * x_0 + c1 * draw() + c2 * et + gradient * alpha_s.sqrt() * alpha_t.sqrt()
        x = x.detach()
    return x


def pigdm_and_public(solve=pigdm, start="noise"):
    problem = pose(BicubicDownsampling, factor=2)
    return solve(problem, steps=10, eta=0.7, noisy=False), alone(public_pigdm, problem, 10, 0.7, start)


def krylov(M, b, n):
    """The v of least |b - M v| among the combinations of b, M b, ..., as GMRES has it."""
    basis = [b / b.norm()]
    for _ in range(n - 1):
        basis.append(M(basis[-1]))
        basis[-1] = basis[-1] / basis[-1].norm()
    V = torch.stack(basis, 1)
    MV = torch.stack([M(v) for v in basis], 1)
    return V @ torch.linalg.lstsq(MV, b[:, None]).solution[:, 0]


def public_mmps(problem, steps, n):
    """azula's guided denoiser in its DDIM sampler."""
    d, (z, draw), A = Diffusion(problem, spaced(steps)), noise_of(problem), matrix(problem)
    x, y = d.first(z), problem.y.flatten()
    for t, at, at_prev in d.steps():
        alpha_t, sigma_t, alpha_s, sigma_s = at.sqrt(), (1 - at).sqrt(), at_prev.sqrt(), (1 - at_prev).sqrt()
        x.requires_grad_()
        mean, _ = d.tweedie(x, t)

        def cov_y(v, mean=mean, x=x, scale=sigma_t**2 / alpha_t):
            (VAt,) = torch.autograd.grad(mean, x, (A.T @ v).view_as(mean), retain_graph=True)
            return SIGMA**2 * v + scale * A @ VAt.flatten()

        v = krylov(cov_y, y - A @ mean.detach().flatten(), n)
        (score,) = torch.autograd.grad(mean, x, (A.T @ v).view_as(mean))
        mean, x = (mean + sigma_t**2 / alpha_t * score).detach(), x.detach()
        tau = 1 - (alpha_t / alpha_s * sigma_s / sigma_t) ** 2
        e = (x - alpha_t * mean) / sigma_t
        x = alpha_s * mean + sigma_s * ((1 - tau).sqrt() * e + tau.sqrt() * draw())
    return x


def mmps_and_public(solve=mmps):
    """One iteration and three."""
    pairs = []
    for n in (1, 3):
        problem = pose(BicubicDownsampling, factor=2)
        pairs.append((solve(problem, steps=6, iterations=n), alone(public_mmps, problem, 6, n)))
    return joined(pairs)


def public_cdim(problem, steps, K, c):
    """Its traces where A A^T = I, which its random ones estimate; its grid of step sizes refined to the end."""
    d, (z, _), mask = Diffusion(problem, leading(steps)), noise_of(problem), problem.f.mask.bool().expand(problem.shape)
    x, y, m = d.first(z), problem.y[mask], int(mask.sum())

    def distance(x):
        return (x[mask] - y).square().sum()

    for t, _, alpha_prev in d.steps():
        x_0, et = d.tweedie(x, t)
        x = alpha_prev.sqrt() * x_0.clamp(-1, 1) + (1 - alpha_prev).sqrt() * et
        a, b, s2 = alpha_prev.sqrt() - 1, 1 - alpha_prev, SIGMA**2
        target = a**2 * y.square().sum() + b * m + m * s2 * (1 - a**2)
        own = 2 * (b * b * m + 2 * b * s2 * m + m * s2**2)
        variance = own + 4 * a**2 * (b * (y.square().sum() - s2 * m) + s2 * (y.square().sum() - m * s2))
        bound, k = target + c * variance.sqrt(), 0
        while t > 0 and k < K and distance(x) > bound:
            x.requires_grad_()
            x_0, _ = d.tweedie(x, t - 1)
            g = torch.autograd.grad(distance(x_0), x)[0]
            x, k = x.detach(), k + 1
            x = x - least(lambda eta, x=x, g=g: distance(x - eta * g), bound) * g
            if distance(x) <= bound * (1 + 1e-9):
                break
    return x


def least(distance, bound):
    """The least step size with a distance within the bound, or else that of the least distance: a parabola."""
    low, high = torch.zeros((), dtype=DTYPE), torch.ones((), dtype=DTYPE)
    while distance(2 * high) < distance(high):
        high = 2 * high
    a, b = low, 2 * high
    for _ in range(100):
        left, right = a + (b - a) / 3, b - (b - a) / 3
        a, b = (a, right) if distance(left) < distance(right) else (left, b)
    high = (a + b) / 2
    if distance(high) > bound:
        return high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if distance(middle) <= bound else (middle, high)
    return high


def cdim_and_public(solve=cdim):
    problem = pose(masked)
    ours = solve(problem, steps=10, K=3, c=0.1, spacing="leading")
    return ours, alone(public_cdim, problem, 10, 3, 0.1)


def public_daps(problem, clock, *, steps, ode_steps, n, lr, tau, hmc, momentum=0.9, top=20.0):
    net, (z, draw) = problem.prior.network, noise_of(problem)

    def tweedie(x, sigma):
        out = net(x / (1 + sigma**2).sqrt(), clock(sigma).expand(len(x)).float()).sample
        return x - sigma * out[:, : x.shape[1]]

    def grid(top, bottom, n):
        r = torch.linspace(0, 1, n + 1, dtype=DTYPE)
        return (top ** (1 / 7) + r * (bottom ** (1 / 7) - top ** (1 / 7))) ** 7

    sigmas = grid(torch.tensor(top, dtype=DTYPE), 0.1, steps)
    sigmas[-1] = 0
    x_t = z * sigmas[0]
    for k in range(steps):
        x_0, path = x_t, grid(sigmas[k], 0.01, ode_steps)
        for a, b in zip(path[:-1], path[1:], strict=True):
            x_0 = x_0 + (b - a) * (x_0 - tweedie(x_0, a)) / a
        h = lr * (1 + k / (steps + 1) * (0.01 - 1))
        x, v = x_0, draw() if hmc else 0
        for _ in range(n):
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad((problem.f(x) - problem.y).square().sum(), x)
            x = x.detach()
            score = -gradient / tau**2 + (x_t - x) / sigmas[k] ** 2 + (x_0 - x_t) / sigmas[k] ** 2
            if hmc:
                v = momentum * v + h**0.5 * score + (2 * (1 - momentum)) ** 0.5 * draw()
                x = x + v * h**0.5
            else:
                x = x + h * score + (2 * h) ** 0.5 * draw()
        x_t = x + sigmas[k + 1] * draw()
    return x_t


def daps_and_public(solve=daps, continuous=False):
    """Langevin dynamics and HMC."""
    pairs, options = [], {"steps": 6, "ode_steps": 3, "lr": 2e-5, "tau": 0.02}
    for kind in ("langevin", "hmc"):
        problem = pose(BicubicDownsampling, factor=2)
        ours = solve(problem, sigma_max=20.0, num_steps=4, mc_algo=kind, ode_to_zero=False, **options)
        clock = clocks(problem, continuous)
        pairs.append((ours, alone(public_daps, problem, clock, n=4, hmc=kind == "hmc", **options)))
    return joined(pairs)


def public_dmplug(problem, iterations, optimiser):
    """The image before the last step of the optimiser; diffusers' DDIM of three steps."""
    d, z = Diffusion(problem, [0, 333, 666]), problem.rng.portable.normal(*problem.prior.shape, dtype=DTYPE)
    Z, seen = z.requires_grad_(), []

    def R(x):
        for t, at, at_prev in d.steps():
            x_0 = d.pred_xstart(x, t)
            x = at_prev.sqrt() * x_0 + (1 - at_prev).sqrt() * (x - at.sqrt() * x_0) / (1 - at).sqrt()
        return x.clamp(-1, 1)

    def closure():
        solver.zero_grad()
        seen.append(R(Z))
        loss = torch.nn.functional.mse_loss(problem.f(seen[-1]), problem.y)
        loss.backward()
        return loss

    solver = optimiser([Z])
    while len(seen) < iterations:
        solver.step(closure)
    return seen[iterations - 1].detach()


def dmplug_and_public(solve=dmplug, iterations=8, optimiser=None, **options):
    problem = pose(AveragePooling, factor=2)
    ours = solve(problem, iterations=iterations, stop=Stop("fixed"), **options).x
    optimiser = optimiser or (lambda Z: torch.optim.Adam(Z, lr=0.01))
    return ours, alone(public_dmplug, problem, iterations, optimiser)


def dmplug_lbfgs_and_public(solve=dmplug):
    """Past the end of a round of 20."""
    return dmplug_and_public(solve, 24, lambda Z: torch.optim.LBFGS(Z, lr=0.1), optimizer="lbfgs", lr=0.1)


PEERS: dict[str, Peer] = {
    "dps": Peer("DPS2022/diffusion-posterior-sampling", dps_and_public, 1e-8),
    "mcg": Peer("HJ-harry/MCG_diffusion", mcg_and_public, 1e-8),
    "pigdm": Peer("NVlabs/RED-diff", pigdm_and_public, 1e-8),
    "mmps": Peer("probabilists/azula", mmps_and_public, 1e-8),
    "cdim": Peer("vivjay30/cdim", cdim_and_public, 1e-6),
    "daps": Peer("zhangbingliang2019/DAPS", daps_and_public, 1e-5),
    "dmplug": Peer("sun-umn/DMPlug", dmplug_and_public, 1e-8),
    "dmplug_lbfgs": Peer("sun-umn/DMPlug", dmplug_lbfgs_and_public, 1e-8),
}
