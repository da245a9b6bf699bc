"""What the public codes of diffusion models share: their tables, their networks, and one problem an image.

The tables are those of guided diffusion, by the names that they have there. Each public code is run image by image, as
most are written for one. It is given the x_T of this suite, sqrt(1 - P_T) z, where it would draw z: a factor that
differs from 1 by 2e-5 at the last of 1000 times, and by 5e-5 at the 950th.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from sipbench.noise import Gaussian
from sipbench.operators import Inpainting
from sipbench.priors.latent import LatentPrior
from sipbench.priors.network import NetworkPrior
from sipbench.priors.schedules import LINEAR
from sipbench.problem import Problem, Rng

DTYPE = torch.float64
SIDE, STD = 8, 0.5
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}


class Network(nn.Module):
    """A small U-Net with random weights, added to what is right for images of N(0, STD^2): so it denoises, roughly.

    It predicts the noise, or the flow, and as many channels again, as networks do that have learnt their variance.
    """

    def __init__(self, channels: int, side: int, flow: bool = False, width: int = 8) -> None:
        super().__init__()
        self.config, self.flow = SimpleNamespace(in_channels=channels, sample_size=side), flow
        self.head, self.time = nn.Conv2d(channels, width, 3, padding=1), nn.Linear(2, width)
        self.down, self.middle = nn.Conv2d(width, width, 3, 2, 1), nn.Conv2d(width, width, 3, padding=1)
        self.tail = nn.Conv2d(2 * width, 2 * channels, 3, padding=1)

    def forward(self, x, clock):
        clock = clock.to(x).view(-1, 1)
        t = clock / 1000
        skip = F.silu(self.head(x) + self.time(torch.cat([t, (8 * t).sin()], 1))[..., None, None])
        deep = F.silu(self.middle(F.silu(self.down(skip))))
        out = self.tail(torch.cat([skip, F.interpolate(deep, skip.shape[-2:])], 1))
        if self.flow:
            a, b = 1 - t, t
            linear = (b - a * STD**2) / (a**2 * STD**2 + b**2)
        else:
            t = t + 0.001
            P = (-9.95 * t**2 - 0.1 * t).exp()
            a, linear = P.sqrt(), (1 - P).sqrt() / (P * STD**2 + 1 - P)
        linear, a = linear[..., None, None] * torch.cat([x, -x], 1), a[..., None, None]
        return SimpleNamespace(sample=linear + 5 * a * out)


class Codec(nn.Module):
    """An autoencoder that loses a little: four neighbours become four channels, mixed and bent."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.image_shape = (channels, side, side)
        self.into, self.out = (nn.Conv2d(4 * channels, 4 * channels, 1) for _ in range(2))

    def encode(self, x):
        z = F.pixel_unshuffle(x, 2)
        return z + 0.2 * self.into(z).tanh()

    def decode(self, z):
        return F.pixel_shuffle(z - 0.2 * self.out(z).tanh(), 2)


@cache
def prior_of(channels: int = 3, side: int = SIDE, flow: bool = False, latent: bool = False):
    """The prior of a network, whose weights are the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = (4 * channels, side // 2) if latent else (channels, side)
        network = NetworkPrior(Network(*shape, flow).to(DTYPE), FLOW if flow else LINEAR)
        return LatentPrior(network, Codec(channels, side).to(DTYPE).requires_grad_(False)) if latent else network


def pose(make=Inpainting, *, sigma=0.05, side=SIDE, flow=False, latent=False, **options) -> Problem:
    """Two images, measured."""
    rng, batch = Rng.of(0, "parity", [0, 1]), (2, 3, side, side)
    f = make(batch, rng.child("operator").portable, **options)
    x = STD * rng.child("x").portable.normal(*batch[1:], dtype=DTYPE)
    y = Gaussian(sigma)(f(x), rng.child("noise").portable)
    return Problem(y, f, Gaussian(sigma), batch, prior_of(3, side, flow, latent), rng.child("solver"))


def alone(public, problem: Problem, *args, **options):
    """A public code that is written for one image, run on each."""
    return torch.cat([public(problem.select(slice(i, i + 1)), *args, **options) for i in range(len(problem.y))])


def noise_of(problem: Problem):
    """The first draw of the problem's streams, and a function that draws from them on."""
    rng, shape = Rng(problem.rng.keys), problem.prior.shape
    return rng.portable.normal(*shape, dtype=DTYPE), lambda: rng.normal(*shape, dtype=DTYPE)


def spaced(n: int) -> list[int]:
    """n of the times 0 to 999, both ends included, as guided diffusion takes them."""
    return [round(999 * k / (n - 1)) for k in range(n)]


def leading(n: int) -> list[int]:
    """n of the times 0 to 999 by a stride, from 0."""
    return list(range(0, 1000, 1000 // n))


class Diffusion:
    """guided diffusion's `SpacedDiffusion` with the variance `fixed_small`; t counts the times that are kept."""

    def __init__(self, problem: Problem, times: list[int], prior=None) -> None:
        prior = problem.prior if prior is None else prior
        self.network = getattr(prior, "inner", prior).network
        P = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=DTYPE)).cumprod(0)
        self.timestep_map = times
        self.alphas_cumprod = P[times]
        self.alphas_cumprod_prev = torch.cat([P.new_ones(1), P[times[:-1]]])
        self.betas = 1 - self.alphas_cumprod / self.alphas_cumprod_prev
        below, above = 1 - self.alphas_cumprod_prev, 1 - self.alphas_cumprod
        self.posterior_variance = self.betas * below / above
        self.posterior_mean_coef1 = self.betas * self.alphas_cumprod_prev.sqrt() / above
        self.posterior_mean_coef2 = below * (1 - self.betas).sqrt() / above

    def __len__(self) -> int:
        return len(self.timestep_map)

    def steps(self):
        """t, and the products at it and before it, from the noisiest on."""
        for t in reversed(range(len(self))):
            yield t, self.alphas_cumprod[t], self.alphas_cumprod_prev[t]

    def first(self, z):
        """x_T."""
        return (1 - self.alphas_cumprod[-1]).sqrt() * z

    def eps(self, x, t):
        """The noise that the network predicts; its other channels are the learnt variance."""
        return self.network(x, torch.full((len(x),), float(self.timestep_map[t]))).sample[:, : x.shape[1]]

    def pred_xstart(self, x, t, clip=True):
        P = self.alphas_cumprod[t]
        x_0 = (1 / P).sqrt() * x - (1 / P - 1).sqrt() * self.eps(x, t)
        return x_0.clamp(-1, 1) if clip else x_0

    def posterior_mean(self, x_0, x, t):
        return self.posterior_mean_coef1[t] * x_0 + self.posterior_mean_coef2[t] * x

    def p_sample(self, x, t, z, clip=True):
        """The sample of x_{t-1}, and x_0 that it is drawn around."""
        x_0 = self.pred_xstart(x, t, clip)
        return self.posterior_mean(x_0, x, t) + (t != 0) * self.posterior_variance[t].sqrt() * z, x_0

    def tweedie(self, x, t):
        """x_0 and the noise, as the codes have them that follow DDIM's."""
        at, et = self.alphas_cumprod[t], self.eps(x, t)
        return (x - et * (1 - at).sqrt()) / at.sqrt(), et


class SVD:
    """A = U diag(s) V^T of one image's map, by its matrix; s is filled up with zeros."""

    def __init__(self, problem: Problem) -> None:
        A = self.A = matrix(problem)
        self.U, s, self.Vh = torch.linalg.svd(A)
        self.s, self.shape = s.new_zeros(A.shape[1]), problem.shape
        self.s[: len(s)] = torch.where(s > 1e-9, s, 0)
        self.inverse = torch.where(self.s > 0, 1 / self.s, 0)

    def Vt(self, x):
        return self.Vh @ x.flatten()

    def V(self, v):
        return (self.Vh.T @ v).view(self.shape)

    def Ut(self, y):
        """U^T y, of the length of s."""
        out = self.U.T @ y.flatten()
        return F.pad(out, (0, max(0, len(self.s) - len(out))))[: len(self.s)]


def matrix(problem: Problem):
    """The map of one image as a matrix."""
    n = torch.Size(problem.shape[1:]).numel()
    units = torch.eye(n, dtype=DTYPE).view(n, 1, *problem.shape[1:])
    return torch.stack([problem.f(unit).flatten() for unit in units], 1)


def clocks(problem, continuous=False):
    """The time of a noise level on DDPM's table, as here; or as the public code has it, on the continuous schedule."""
    if continuous:
        return lambda sigma: 999 * ((0.01 + 39.8 * (1 + sigma**2).log()).sqrt() - 0.1) / 19.9
    return lambda sigma: problem.prior.schedule.clock(problem.prior.time_at(sigma))


def joined(pairs):
    return torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
