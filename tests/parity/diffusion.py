"""The samplers of diffusion priors that do not differentiate the network, each beside its public code's update.

The table `Diffusion` has the public names. Where a public code has other times or another last step than this suite,
it is run on the times here, and its badge says what that is worth.
"""

from __future__ import annotations

import torch

from baselines.diffusion.ddnm import ddnm
from baselines.diffusion.ddrm import ddrm
from baselines.diffusion.dds import dds
from baselines.diffusion.diffpir import diffpir
from baselines.diffusion.dmps import dmps
from baselines.diffusion.enkg import enkg
from baselines.diffusion.gdp import gdp
from baselines.diffusion.ilvr import ilvr
from baselines.diffusion.reddiff import reddiff
from sipbench.operators import BicubicDownsampling
from sipbench.operators.sampling import AveragePooling
from sipbench.operators.separable import GaussianBlur
from tests.parity import Peer
from tests.parity._ddpm import DTYPE, SVD, Diffusion, alone, clocks, joined, leading, matrix, noise_of, pose, spaced

SIGMA = 0.05


def blur(shape, rng):
    return GaussianBlur(shape, rng, size=3, sigma=0.6, boundary="circular")


def public_dmps(problem, steps, scale):
    d, A, (z, draw) = Diffusion(problem, spaced(steps)), SVD(problem), noise_of(problem)
    x, y = d.first(z), problem.y
    for t, alpha_bar, alpha_bar_prev in d.steps():
        x, _ = d.p_sample(x, t, draw())
        alpha_t = alpha_bar / alpha_bar_prev
        S = 1 / (A.s**2 * (1 - alpha_bar) / alpha_bar + SIGMA**2)
        gradient = A.V(A.s * S * A.Ut(y - problem.f(x) / alpha_bar.sqrt())) / alpha_bar.sqrt()
        x = x + scale * gradient * (1 - alpha_t) / alpha_t.sqrt()
    return x


def dmps_and_public(solve=dmps):
    problem = pose(blur)
    return solve(problem, steps=10, scale=1.75), alone(public_dmps, problem, 10, 1.75)


def public_ddrm(problem, steps, eta, eta_b):
    d, A, (z, draw) = Diffusion(problem, leading(steps)), SVD(problem), noise_of(problem)
    s, Ut_y = A.s, A.Ut(problem.y)
    P = d.alphas_cumprod[-1]
    S, large = (1 / P - 1).sqrt(), s * (1 / P - 1).sqrt() > SIGMA
    told = torch.where(large, Ut_y * A.inverse, 0)
    rest = (S**2 - torch.where(large, SIGMA * A.inverse, 0) ** 2).sqrt()
    x = d.first(A.V((told + rest * A.Vt(z)) / S))
    for t, _, at_next in d.steps():
        x_0, et = d.tweedie(x, t)
        S, x_0, et, z = (1 / at_next - 1).sqrt(), A.Vt(x_0), A.Vt(et), A.Vt(draw())
        out = x_0 + (1 - eta**2) ** 0.5 * S * et + eta * S * z
        after, before = (s * S < SIGMA) & (s > 0), s * S > SIGMA
        less = x_0 + (1 - eta**2) ** 0.5 * S * (Ut_y - s * x_0) / SIGMA + eta * S * z
        spread = (S**2 - SIGMA**2 * A.inverse**2 * eta_b**2).clamp(min=0).sqrt()
        more = A.inverse * Ut_y * eta_b + (1 - eta_b) * x_0 + spread * z
        x = at_next.sqrt() * A.V(torch.where(before, more, torch.where(after, less, out)))
    return x


def ddrm_and_public(solve=ddrm):
    problem = pose(BicubicDownsampling, factor=2, sigma=SIGMA)
    ours = solve(problem, steps=10, eta=0.85, eta_b=0.9, spacing="leading")
    return ours, alone(public_ddrm, problem, 10, 0.85, 0.9)


def public_ddnm(problem, steps, eta, cutoff, sigma_y, pairs):
    """DDNM+, and DDNM where sigma_y = 0; j > i is a step of time travel."""
    d, A, (z, draw) = Diffusion(problem, leading(steps)), SVD(problem), noise_of(problem)
    inverse = torch.where(A.s < cutoff, 0, A.inverse)
    x = x_0 = d.first(z)
    P = torch.cat([d.alphas_cumprod, torch.ones(1, dtype=DTYPE)])  # P at time -1 is 1
    for i, j in pairs:
        a, sigma_t, noise = P[j].sqrt(), (1 - P[j]).sqrt(), draw()
        if j > i:
            x = a * x_0 + sigma_t * noise
            continue
        x_0, et = d.tweedie(x, i)
        lam, floor = torch.ones_like(A.s), a * sigma_y * inverse
        d1, d2 = lam * sigma_t * eta, lam * sigma_t * (1 - eta**2) ** 0.5
        if sigma_y:
            lam = torch.where(sigma_t < floor, A.s * sigma_t * (1 - eta**2) ** 0.5 / a / sigma_y, lam)
            d1 = torch.where((sigma_t > floor) & (inverse > 0), (sigma_t**2 - floor**2).clamp(min=0).sqrt(), d1)
            d2 = torch.where(inverse > 0, 0, d2)
        x_hat = A.Vt(x_0) - lam * inverse * A.Ut(problem.f(x_0) - problem.y)
        x = A.V(a * x_hat + d1 * A.Vt(noise) + d2 * A.Vt(et))
    return x


def jumps(steps, length, repeat):
    """The pairs of times of RePaint's schedule; of the steps back at once only the last is left, which forgets them."""
    left, t, seen = {j: repeat - 1 for j in range(0, steps - length, length)}, steps, []
    while t >= 1:
        t -= 1
        seen.append(t)
        if left.get(t, 0) > 0:
            left[t] -= 1
            t += length
            seen.append(t)
    seen.append(-1)
    return list(zip(seen, seen[1:], strict=False))


def ddnm_and_public(solve=ddnm):
    """With noise and without, and with time travel."""
    pairs = []
    for plus, length, repeat in ((True, 1, 1), (False, 2, 2)):
        problem, options = pose(blur), {"plus": plus, "travel_length": length, "travel_repeat": repeat, "cutoff": 0.3}
        ours = solve(problem, steps=10, eta=0.85, spacing="leading", **options)
        sigma_y, path = SIGMA if plus else 0, jumps(10, length, repeat)
        pairs.append((ours, alone(public_ddnm, problem, 10, 0.85, 0.3, sigma_y, path)))
    return joined(pairs)


def conjugate_gradients(A, b, x, n):
    r = b - A(x)
    p, old = r.clone(), (r * r).sum()
    for _ in range(n):
        Ap = A(p)
        a = old / (p * Ap).sum()
        x, r = x + a * p, r - a * Ap
        new = (r * r).sum()
        p, old = r + new / old * p, new
    return x


def public_dds(problem, steps, eta, gamma, n, slip=False):
    """slip: the next to last step has no noise, as in the public code, which asks for time 0 where it means the end."""
    d, (z, draw), f = Diffusion(problem, leading(steps)), noise_of(problem), problem.f
    x = d.first(z)
    for t, _, at_next in d.steps():
        x_0, et = d.tweedie(x, t)
        x_hat = conjugate_gradients(lambda v: v + gamma * f.T(f(v)), x_0 + gamma * f.T(problem.y), x_0, n)
        noise, c1, c2 = draw(), (1 - at_next).sqrt() * eta, (1 - at_next).sqrt() * (1 - eta**2) ** 0.5
        x = x_hat if slip and t == 1 else at_next.sqrt() * x_hat + c1 * noise + c2 * et
    return x


def dds_and_public(solve=dds, **options):
    problem = pose(BicubicDownsampling, factor=2)
    ours = solve(problem, steps=10, eta=0.85, gamma=2.0, iterations=3, spacing="leading")
    return ours, alone(public_dds, problem, 10, 0.85, 2.0, 3, **options)


def public_diffpir(problem, steps, lam, zeta):
    """Intensities from 0 to 1 where it solves for the data; x_0 is what it returns."""
    d, (z, draw), A = Diffusion(problem, spaced(steps)), noise_of(problem), matrix(problem)
    P, x, y = d.alphas_cumprod, d.first(z), problem.y / 2 + 0.5
    for t, at, _ in d.steps():
        x_0 = d.pred_xstart(x, t)
        if t == 0:
            break
        rho = lam * (SIGMA / 2) ** 2 / (1 / at - 1)
        x_0p = (x_0 / 2 + 0.5).flatten()
        x_0p = torch.linalg.solve(A.T @ A + rho * torch.eye(len(x_0p)), A.T @ y.flatten() + rho * x_0p)
        x_0 = x_0p.view_as(x_0) * 2 - 1
        e = (x - at.sqrt() * x_0) / (1 - at).sqrt()
        level = (1 - P[t - 1]).sqrt()
        x = P[t - 1].sqrt() * x_0 + (1 - zeta) ** 0.5 * level * e + zeta**0.5 * level * draw()
    return x_0


def diffpir_and_public(solve=diffpir):
    """From noise alone, on even times."""
    problem = pose(blur)
    ours = solve(problem, steps=10, lam=7.0, zeta=0.3, skip="uniform", init="noise")
    return ours, alone(public_diffpir, problem, 10, 7.0, 0.3)


def public_reddiff(problem, steps, lr, lam, sigma_x0):
    d, (_, draw), f = Diffusion(problem, leading(steps)), noise_of(problem), problem.f
    pinv = torch.linalg.pinv(matrix(problem))
    mu = (pinv @ problem.y.flatten()).view(problem.shape).requires_grad_()
    adam = torch.optim.Adam([mu], lr=lr, betas=(0.9, 0.99))
    for t, at, _ in d.steps():
        noise_x0, noise_xt = draw(), draw()
        x_0 = mu + sigma_x0 * noise_x0
        x_t = at.sqrt() * x_0 + (1 - at).sqrt() * noise_xt
        et = d.eps(x_t.detach(), t)
        loss_noise = ((et - noise_xt) * x_0).mean()
        loss = lam * (1 / at - 1).sqrt() * loss_noise + (problem.y - f(x_0)).square().mean() / 2
        adam.zero_grad()
        loss.backward()
        adam.step()
    return mu.detach()


def reddiff_and_public(solve=reddiff):
    problem = pose(BicubicDownsampling, factor=2)
    ours = solve(problem, steps=10, lr=0.1, lam=0.25, sigma_x0=0.01, spacing="leading")
    return ours, alone(public_reddiff, problem, 10, 0.1, 0.25, 0.01)


def public_ilvr(problem, steps, range_t, before=0):
    """before: 0 noises the reference to the level of x_t, as the public code does; 1 to that of the sample."""
    d, A, (z, draw) = Diffusion(problem, spaced(steps)), SVD(problem), noise_of(problem)
    x, known = d.first(z), A.V(A.inverse * A.Ut(problem.y))
    for t, at, at_prev in d.steps():
        x, _ = d.p_sample(x, t, draw())
        level, noise = at_prev if before else at, draw()
        if t > range_t:
            reference = level.sqrt() * known + (1 - level).sqrt() * noise
            x = x + A.V(torch.where(A.s > 0, A.Vt(reference - x), 0))
    return x


def ilvr_and_public(solve=ilvr, before=1):
    problem = pose(BicubicDownsampling, factor=2)
    return solve(problem, steps=10, range_t=2), alone(public_ilvr, problem, 10, 2, before)


def public_gdp(problem, steps, scale, factor=2):
    """Its super-resolution: images from 0 to 1, compared at full size."""
    d, (z, draw) = Diffusion(problem, spaced(steps)), noise_of(problem)

    def larger(y):
        return y.repeat_interleave(factor, -2).repeat_interleave(factor, -1)

    x, target = d.first(z), larger((problem.y + 1) / 2)
    for t, _, _ in d.steps():
        x_0 = d.pred_xstart(x, t).requires_grad_()
        pooled = torch.nn.functional.avg_pool2d((x_0 + 1) / 2, factor)
        mse = (larger(pooled) - target).square().mean((1, 2, 3)).sum()
        (gradient,) = torch.autograd.grad(-scale * mse, x_0)
        mean = d.posterior_mean(x_0.detach(), x, t) + gradient
        x = mean + (t != 0) * d.posterior_variance[t].sqrt() * draw()
    return x


def gdp_and_public(solve=gdp):
    problem = pose(AveragePooling, factor=2)
    return solve(problem, steps=10, scale=20.0), alone(public_gdp, problem, 10, 20.0)


def public_enkg(problem, steps, J, options, clock):
    """InverseBench's; clock(sigma) is the time at which the network is asked."""
    net, top, bottom = problem.prior.network, options["sigma_max"], options["sigma_min"]
    z = problem.rng.portable.normal(J, *problem.prior.shape, dtype=DTYPE)[0]

    def denoised(x, sigma):
        out = net(x / (sigma**2 + 1).sqrt(), clock(sigma).expand(len(x)).float()).sample
        return x - sigma * out[:, : x.shape[1]]

    def grid(n, sigma):
        k = torch.arange(n, dtype=DTYPE)
        return torch.cat([(sigma ** (1 / 7) + k / (n - 1) * (bottom ** (1 / 7) - sigma ** (1 / 7))) ** 7, k[:1]])

    def euler(x, now, then):
        return x + (then - now) * (x - denoised(x, now)) / now

    t_steps = grid(steps, torch.tensor(top, dtype=DTYPE))
    x = z * t_steps[0]
    for i, (now, then) in enumerate(zip(t_steps[:-1], t_steps[1:], strict=True)):
        if 0 < i:
            n = min(1 + (steps - i) // options["factor"], 20)
            for _ in range(options["num_updates"]):
                x_0 = x
                path = grid(n, now) if n > 1 else torch.stack([now, 0 * now])
                for a, b in zip(path[:-1], path[1:], strict=True):
                    x_0 = euler(x_0, a, b)
                ys = problem.f(x_0).flatten(1)
                coef = (ys - problem.y.flatten()) @ (ys - ys.mean(0)).T / J
                dx = (coef @ (x - x.mean(0)).flatten(1)).view_as(x)
                x = x - options["guidance"] / torch.linalg.matrix_norm(coef) * dx
        x = euler(x, now, then)
    return x.mean(0, keepdim=True)


def enkg_and_public(solve=enkg, continuous=False):
    problem = pose(AveragePooling, factor=2)
    options = {"num_updates": 2, "guidance": 2.0, "factor": 3, "sigma_max": 80.0, "sigma_min": 0.02}
    thresholds = {"threshold_start": 0.01, "threshold_end": 0.0}
    ours = solve(problem, steps=8, num_samples=5, **options, **thresholds).x
    return ours, alone(public_enkg, problem, 8, 5, options, clocks(problem, continuous))


PEERS: dict[str, Peer] = {
    "dmps": Peer("mengxiangming/dmps", dmps_and_public, 1e-8),
    "ddrm": Peer("bahjat-kawar/ddrm", ddrm_and_public, 1e-8),
    "ddnm": Peer("wyhuai/DDNM", ddnm_and_public, 1e-8),
    "dds": Peer("HJ-harry/DDS", dds_and_public, 1e-8),
    "diffpir": Peer("yuanzhi-zhu/DiffPIR", diffpir_and_public, 1e-6),
    "reddiff": Peer("NVlabs/RED-diff", reddiff_and_public, 1e-8),
    "ilvr": Peer("jychoi118/ilvr_adm", ilvr_and_public, 1e-8),
    "gdp": Peer("Fayeben/GenerativeDiffusionPrior", gdp_and_public, 1e-8),
    "enkg": Peer("devzhk/InverseBench", enkg_and_public, 1e-6),
}
