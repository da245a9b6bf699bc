"""The blind samplers of diffusion priors, each beside its public code's update, one image at a time."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from baselines.diffusion.blinddps import blinddps
from baselines.diffusion.gibbsddrm import gibbsddrm
from sipbench.problem import Rng
from tests.baselines.reference import pose_blind
from tests.parity import Peer
from tests.parity._ddpm import DTYPE, Diffusion, alone, leading, prior_of, spaced

SIGMA = 0.05


def posed(side, box):
    problem, *_ = pose_blind(side=side, box=box, sigma=SIGMA)
    return replace(problem, prior=prior_of(3, side))


def normal_of(rng):
    """Standard normal numbers of the shape of an image, from a stream on."""
    return lambda like: rng.normal_like(like)


class Blur:
    """GibbsDDRM's blur of one image: Fourier coordinates on a grid of a power of two, and what is not measured."""

    def __init__(self, kernel, y, sigma, draw):
        self.kernel, self.y, self.sigma, self.draw = kernel, y, sigma, draw
        self.n, self.c = y.shape[-1], kernel.shape[-1] // 2
        self.N = 2 ** math.ceil(math.log2(self.n + kernel.shape[-1] - 1))
        k = torch.fft.fft2(kernel, (self.N, self.N), norm="ortho")
        self.s = (k * self.N).abs()
        self.s, self.phase = torch.where(self.s < 0.05, 0, self.s), k / k.abs()

    def Vt(self, x):
        return torch.fft.fft2(x, (self.N, self.N), norm="ortho") * self.phase

    def V(self, v):
        return torch.fft.ifft2(v / self.phase, norm="ortho").real[..., : self.n, : self.n]

    def full(self, x):
        k = torch.fft.fft2(self.kernel, (self.N, self.N), norm="ortho")
        return torch.fft.ifft2(k * torch.fft.fft2(x, (self.N, self.N), norm="ortho"), norm="ortho").real * self.N

    def window(self, x):
        return x[..., self.c : self.c + self.n, self.c : self.c + self.n]

    def Ut_y(self, x):
        """U^T of y, and of k * x with noise around it."""
        around = self.full(x)
        around = around + self.sigma * self.draw(around).roll((self.c, self.c), (-2, -1))  # where this suite begins it
        self.window(around).copy_(self.y)
        return torch.fft.fft2(around, norm="ortho")

    def langevin(self, x, n, lr, gamma, draw):
        for _ in range(n):
            self.kernel = self.kernel.detach().requires_grad_()
            misfit = (self.y - self.window(self.full(x))).norm() ** 2 / (2 * 0.04**2)
            (misfit + gamma * self.kernel.abs().sum()).backward()
            moved = self.kernel.detach() - lr / 2 * self.kernel.grad
            self.kernel = moved + lr**0.5 * draw(moved)
        return self.kernel / self.kernel.sum()


def public_gibbsddrm(problem, steps, kernel, etas, begin, updates, n, lr, gamma):
    rng = Rng(problem.rng.keys)
    draw, y, (etaA, etaB, etaC, etaD) = normal_of(rng), problem.y, etas
    d, H = Diffusion(problem, leading(steps)), Blur(kernel, y, SIGMA, draw)

    def update(x, t, at_next, x_0, et):
        U_t_y = H.Ut_y(y if t >= begin else x_0)
        S, x_0, et, z = (1 / at_next - 1).sqrt(), H.Vt(x_0), H.Vt(et), H.Vt(draw(x))
        before, after = H.s * S > SIGMA, (H.s * S < SIGMA) & (H.s > 1e-10)
        A, C = et * after, (U_t_y - H.s * x_0) / SIGMA * after
        corr = (A * C.conj()).sum().abs() / (A.norm() * C.norm() + 1e-10)
        missing = x_0 + (1 - etaD**2) ** 0.5 * S * et + etaD * S * z
        rest = S * (1 - etaA**2 - etaC**2 - 2 * etaA * etaC * corr).sqrt()
        less = x_0 + S * (etaA * A + etaC * C) + rest * z
        s = torch.where(before, H.s, 1)
        more = etaB * U_t_y / s + (1 - etaB) * x_0 + (S**2 - (etaB * SIGMA / s) ** 2).clamp(min=0).sqrt() * z
        return at_next.sqrt() * H.V(torch.where(before, more, torch.where(after, less, missing)))

    U_t_y, S = H.Ut_y(y), (1 / d.alphas_cumprod[-1] - 1).sqrt()
    large = H.s * S > SIGMA
    s = torch.where(large, H.s, 1)
    z = H.Vt(rng.portable.normal(*problem.shape[1:], dtype=DTYPE))
    rest = (S**2 - torch.where(large, SIGMA / s, 0) ** 2).sqrt()
    x = d.first(H.V((torch.where(large, U_t_y / s, 0) + rest * z) / S))
    for t, _, at_next in d.steps():
        x_0, et = d.tweedie(x, t)
        x_next = update(x, t, at_next, x_0, et)
        for _ in range(updates if 0 < t < begin else 0):
            guess, _ = d.tweedie(x_next, t - 1)
            H = Blur(H.langevin(guess, n, lr, gamma, draw), y, SIGMA, draw)
            x_next = update(x, t, at_next, x_0, et)
        x = x_next
    return torch.cat([x.flatten(), H.kernel.flatten()])[None]


def exponential(box, width):
    at = torch.arange(box, dtype=DTYPE) - box // 2
    k = torch.exp(-torch.hypot(at[:, None], at) / width)
    return (k / k.sum())[None, None]


def gibbsddrm_and_public(solve=gibbsddrm, side=14, box=3):
    """On a grid of a power of two for both; one draw of z for the three bands, where the public code has three."""
    problem, etas = posed(side, box), (0.3, 0.9, 0.7, 0.8)
    lr, own = 2e-7, 2e-7 * (side * box) ** 2 / (256 * 64) ** 2
    names = dict(zip(("eta_a", "eta_b", "eta_c", "eta_d"), etas, strict=True))
    more = {"updates": 2, "iterations": 3, "gamma": 1000.0, "spacing": "leading"}
    ours = solve(problem, steps=8, width=1.0, begin=0.7, lr=own, **names, **more)
    theirs = alone(public_gibbsddrm, problem, 8, exponential(box, 1.0), etas, 6, 2, 3, lr, 1000.0)
    return torch.cat([ours.x.flatten(1), ours.theta["kernel"].flatten(1)], 1), theirs


def public_blinddps(problem, steps, kernel_prior):
    """zeta_t = sqrt(P_t); the norm of order 1 of a kernel that is nowhere negative and sums to 1."""
    times, rng = spaced(steps), Rng(problem.rng.keys)
    models = {"k": Diffusion(problem, times, kernel_prior), "x": Diffusion(problem, times)}
    shapes = {"x": problem.shape[1:], "k": kernel_prior.shape}
    starts = {"x": rng.portable, "k": rng.child("kernel").portable}
    state = {v: models[v].first(starts[v].normal(*shapes[v], dtype=DTYPE)) for v in models}
    for t, alpha_bar, _ in models["x"].steps():
        state = {v: x.requires_grad_() for v, x in state.items()}
        drawn = {v: rng.normal(*shapes[v], dtype=DTYPE) for v in models}
        pairs = {v: models[v].p_sample(state[v], t, drawn[v]) for v in models}
        kernel = (pairs["k"][1] + 1) / 2
        kernel = kernel / kernel.sum()
        norm = (problem.y - problem.f(pairs["x"][1], {"kernel": kernel})).norm() + kernel.abs().sum()
        gradients = torch.autograd.grad(norm, list(state.values()))
        state = {v: (pairs[v][0] - alpha_bar.sqrt() * g).detach() for v, g in zip(models, gradients, strict=True)}
    kernel = (state["k"].clamp(min=-1) + 1) / 2
    return torch.cat([state["x"].flatten(), (kernel / kernel.sum()).flatten()])[None]


def blinddps_and_public(solve=blinddps):
    problem, kernel_prior = posed(8, 5), prior_of(1, 5)
    ours = solve(problem, kernel_prior=kernel_prior, steps=10)
    theirs = alone(public_blinddps, problem, 10, kernel_prior)
    return torch.cat([ours.x.flatten(1), ours.theta["kernel"].flatten(1)], 1), theirs


PEERS: dict[str, Peer] = {
    "gibbsddrm": Peer("sony/gibbsddrm", gibbsddrm_and_public, 1e-8),
    "blinddps": Peer("BlindDPS/blind-dps", blinddps_and_public, 1e-8),
}
