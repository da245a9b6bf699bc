"""What a prior, an autoencoder, a generator, a denoiser and a restoration network are trained to make small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sipbench.degradation import Degradation
from sipbench.errors import UserError, unknown
from sipbench.operators.base import BlindOperator
from sipbench.operators.breaking import break_symmetry
from sipbench.priors.schedules import prediction_of, schedule_of
from sipbench.problem import Problem, Rng
from sipbench.training.loop import Loss


def denoising_loss(scheduler: dict[str, Any]) -> Loss:
    """|| target - net(alpha x + sigma z) ||^2, the times stratified over the batch.

    The target is what a `NetworkPrior` of this diffusers scheduler config takes the network's output for.
    """
    schedule, prediction, data = schedule_of(scheduler), prediction_of(scheduler), scheduler.get("sigma_data", 0.5)
    if prediction not in TARGETS:
        raise UserError(f"a network is trained for {', '.join(TARGETS)}, not {prediction!r}")
    target = TARGETS[prediction]

    def loss(network: nn.Module, x: Tensor, rng: Rng) -> Tensor:
        t = schedule.training_times((torch.arange(len(x), device=x.device) + rng.uniform()) / len(x))
        alpha, sigma = (s.to(x.dtype).view(-1, 1, 1, 1) for s in schedule.scales(t))
        z = rng.normal_like(x)
        x_t, n = alpha * x + sigma * z, (sigma**2 + data**2).sqrt()
        fed = x_t / n if prediction.startswith("edm") else x_t
        out = network(fed, schedule.clock(t).to(x.dtype)).sample.float()
        return (out - target(x, z, alpha, sigma, data)).square().mean()

    return loss


def _edm(x: Tensor, z: Tensor, alpha: Tensor, sigma: Tensor, data: float) -> Tensor:
    """(x - c_skip x_t) / c_out with s = sigma_data: (sigma x - s^2 z) / (s sqrt(sigma^2 + s^2))."""
    return (sigma * x - data**2 * z) / (data * (sigma**2 + data**2).sqrt())


TARGETS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]] = {
    "epsilon": lambda x, z, alpha, sigma, data: z,
    "v_prediction": lambda x, z, alpha, sigma, data: alpha * z - sigma * x,
    "flow": lambda x, z, alpha, sigma, data: z - x,
    "edm_epsilon": _edm,
}


Solve = Callable[[Problem, nn.Module], Tensor]


def restoration_loss(degradation: Degradation, solve: Solve, error: str = "l1", target: str = "truth") -> Loss:
    """The error of what the solver returns for fresh measurements y of x: `l1`, or `rms` (root mean square, an image).

    `rms` asks for what PSNR rewards, the posterior mean; `l1` trains faster at first. What is trained is what is run:
    the solver itself, on a problem that is posed as a cell poses it. What it returns is held against a `target`: x, the
    `representative` of x where the symmetries of f are broken, or y, which f of it is to explain (`measurement`).
    """
    if error not in ERRORS:
        raise UserError(f"unknown error {error!r}: use {' or '.join(ERRORS)}")
    if target not in TARGETED:
        raise unknown("target", target, TARGETED)

    def loss(network: nn.Module, pictures: Tensor, rng: Rng) -> Tensor:
        x, problem = posed(degradation, pictures, rng)
        x_hat = solve(problem, network)
        if torch.is_grad_enabled() and not x_hat.requires_grad and any(p.requires_grad for p in network.parameters()):
            raise UserError("its solver passes no gradient on to its network: `training` in its config says what for")
        return ERRORS[error](TARGETED[target](problem, x_hat, x))

    return loss


def posed(degradation: Degradation, pictures: Tensor, rng: Rng) -> tuple[Tensor, Problem]:
    """The unknown, and the problem of finding it."""
    x = degradation.x(pictures, rng)
    y, f = degradation.measure(x, rng)
    noise = degradation.noise if degradation.reveal_noise else None
    f = f.sealed() if isinstance(f, BlindOperator) else f
    return x, Problem(y, f, noise, tuple(x.shape), None, rng.child("public"))  # pyright: ignore


def _root(square: Tensor) -> Tensor:
    """The root, flat at zero, where its slope is infinite."""
    return torch.where(square == 0, 1, square).sqrt() * (square != 0)


ERRORS: dict[str, Callable[[Tensor], Tensor]] = {
    "l1": lambda difference: difference.abs().mean(),
    "rms": lambda difference: _root(difference.abs().square().flatten(1).mean(1)).mean(),
}


TARGETED: dict[str, Callable[[Problem, Tensor, Tensor], Tensor]] = {
    "truth": lambda problem, x_hat, x: x_hat - x,
    "representative": lambda problem, x_hat, x: x_hat - break_symmetry(x, problem.f.symmetries),
    "measurement": lambda problem, x_hat, x: problem.f(x_hat) - problem.y,
}
"""What an estimate is held against, as the difference that is made small."""


def network_denoising_loss(
    error: str = "l1", least: float = 0.01, most: float = 1.0, evenly: str = "ratios", width: float = 0.16
) -> Loss:
    """The error of net(x + sigma z, sigma) for a noise level sigma of each image, drawn on [least, most], x on [-1, 1].

    Evenly in `ratios` (log sigma) or in `levels`: DRUNet has even levels on [0, 0.39], and l1. With d = net - x it is

        l1: mean |d|;  mse: mean d^2;  rms: the root of that of each image;
        matching: the mean over images of 1 - exp(-mean d^2 / width^2), `Matching` as a training goes.
    """
    if error not in OF_DENOISERS:
        raise unknown("error", error, list(OF_DENOISERS))
    if evenly not in ("ratios", "levels"):
        raise unknown("spread of noise levels", evenly, ["ratios", "levels"])

    def loss(network: nn.Module, x: Tensor, rng: Rng) -> Tensor:
        u = rng.uniform()
        sigma = least * (most / least) ** u if evenly == "ratios" else least + (most - least) * u
        noisy = x + sigma.view(-1, *[1] * (x.ndim - 1)) * rng.normal_like(x)
        return OF_DENOISERS[error](network(noisy, sigma).float() - x, width)

    return loss


OF_DENOISERS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "l1": lambda d, _: d.abs().mean(),
    "mse": lambda d, _: d.square().mean(),
    "rms": lambda d, _: ERRORS["rms"](d),
    "matching": lambda d, width: (1 - (-d.square().flatten(1).mean(1) / width**2).exp()).mean(),
}


@dataclass(frozen=True)
class Matching:
    """Proximal matching (Fang, Buchanan, Sulam: Learned Proximal Networks, ICLR 2024), with the public code's schedule.

    It asks for the likeliest image as the width goes to zero, and is flat far from there. So the first half of the
    steps has l1; then come four equal stages of matching, of the widths 1.28, 0.64, 0.32 and 0.16, at a tenth of the
    learning rate. There the widths are 0.64 to 0.08 for images on [0, 1], times the root of the number of entries, and
    |d|^2 is a sum over these.
    """

    widths: tuple[float, ...] = (1.28, 0.64, 0.32, 0.16)
    first: float = 0.5  # the share of the steps that has l1
    slower: float = 0.1

    def __call__(self, network: nn.Module, x: Tensor, rng: Rng) -> Tensor:
        return network_denoising_loss("matching", width=self.widths[-1])(network, x, rng)

    def at(self, share: float) -> tuple[Loss, float]:
        """After this share of the steps: the loss, and what the learning rate is multiplied by."""
        if share < self.first:
            return network_denoising_loss("l1"), 1.0
        stage = int((share - self.first) / (1 - self.first) * len(self.widths))
        return network_denoising_loss("matching", width=self.widths[stage]), self.slower


def autoencoder_loss(kl: float = 1e-4, edges: float = 1.0) -> Loss:
    """| x - x_hat | + edges | grad x - grad x_hat | + kl KL( N(mu, s^2) || N(0, I) ), means over all entries.

    x_hat is the decoded mu + s z. What the network is given and returns is a diffusers `AutoencoderKL`.
    """

    def loss(network: nn.Module, x: Tensor, rng: Rng) -> Tensor:
        code: Any = network.encode(x).latent_dist  # pyright: ignore
        mean, logvar = code.mean.float(), code.logvar.float()
        z = mean + (0.5 * logvar).exp() * rng.normal_like(mean)
        d = network.decode(z).sample.float() - x  # pyright: ignore
        across, down = d.diff(dim=-1).abs().mean(), d.diff(dim=-2).abs().mean()
        return d.abs().mean() + edges * (across + down) + kl * divergence(mean, logvar).mean()

    return loss


def generator_loss(beta: float = 0.01) -> Loss:
    """| x - G(mu + s z) |^2 + beta KL( N(mu, s^2) || N(0, I) ), for each image, over the number of its entries.

    That is the evidence lower bound of a decoder G with noise of variance beta / 2 an entry. The network has
    `encode(x)`, with mu and log s^2 of the whole image's code, and G as its call.
    """

    def loss(network: nn.Module, x: Tensor, rng: Rng) -> Tensor:
        mean, logvar = (part.float() for part in network.encode(x))  # pyright: ignore
        z = mean + (0.5 * logvar).exp() * rng.normal_like(mean)
        error = (network(z).float() - x).square().mean()
        return error + beta * divergence(mean, logvar).sum() / x.numel()

    return loss


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL( N(mu, s^2) || N(0, 1) ) of each entry."""
    return 0.5 * (mean**2 + logvar.exp() - 1 - logvar)
