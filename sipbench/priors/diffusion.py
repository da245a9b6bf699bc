"""Pixel diffusion models in diffusers format (`UNet2DModel` and a scheduler config) as priors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def alphas_cumprod(config: dict[str, Any]) -> Tensor:
    """The products P_i = prod_{j <= i} (1 - beta_j) of a diffusers scheduler config, float64, i = 0..T-1."""
    n, lo, hi = config["num_train_timesteps"], config["beta_start"], config["beta_end"]
    schedule = config.get("beta_schedule", "linear")
    if config.get("trained_betas") is not None:
        betas = torch.tensor(config["trained_betas"], dtype=torch.float64)
    elif schedule == "linear":
        betas = torch.linspace(lo, hi, n, dtype=torch.float64)
    elif schedule == "scaled_linear":
        betas = torch.linspace(lo**0.5, hi**0.5, n, dtype=torch.float64) ** 2
    elif schedule == "squaredcos_cap_v2":
        s = torch.arange(n + 1, dtype=torch.float64) / n
        bar = torch.cos((s + 0.008) / 1.008 * torch.pi / 2) ** 2
        betas = (1 - bar[1:] / bar[:-1]).clamp(max=0.999)
    else:
        known = "linear, scaled_linear, squaredcos_cap_v2 or trained_betas"
        raise ValueError(f"beta_schedule {schedule!r} is not known: use {known}")
    return torch.cumprod(1 - betas, 0)


class VariancePreserving:
    """The times of a diffusion model: alpha_t = sqrt(P_i), sigma_t = sqrt(1 - P_i), t = (i + 1) / T."""

    def __init__(self, scheduler: dict[str, Any]) -> None:
        self._products = torch.cat([torch.ones(1, dtype=torch.float64), alphas_cumprod(scheduler)])

    @property
    def T(self) -> int:
        return len(self._products) - 1

    def times(self, n: int) -> Tensor:
        """n evenly spaced training times, the first and the last among them, then 0."""
        if not 1 <= n <= self.T:
            raise ValueError(f"steps must lie in 1..{self.T}, the times this prior was trained at, not {n}")
        index = torch.linspace(self.T, 1, n, dtype=torch.float64).round()
        return torch.cat([index, torch.zeros(1, dtype=torch.float64)]) / self.T

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        product = self._products.to(t.device)[self._index(t)]
        return product.sqrt(), (1 - product).sqrt()

    def _index(self, t: Tensor) -> Tensor:
        return (t * self.T).round().long()

    def _spread(self, s: Tensor, like: Tensor) -> Tensor:
        """A scalar stays one (on the CPU: no transfer); one value an image gets the dimensions of the images."""
        return s if s.ndim == 0 else s.to(like.dtype).view(-1, *[1] * (like.ndim - 1))


class DiffusionPrior(VariancePreserving):
    """A trained network that predicts the noise, the velocity or the image.

    The state keeps its own precision; the network runs in the precision of its weights.
    """

    def __init__(self, network: nn.Module, scheduler: dict[str, Any]) -> None:
        super().__init__(scheduler)
        self.network = network.requires_grad_(False).eval()
        config: Any = network.config
        self.shape = (config.in_channels, config.sample_size, config.sample_size)
        self.prediction = scheduler.get("prediction_type", "epsilon")
        if self.prediction not in ("epsilon", "v_prediction", "sample"):
            raise ValueError(f"prediction_type {self.prediction!r} is not known: use epsilon, v_prediction or sample")

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        step = (self._index(t) - 1).to(x_t.device).expand(len(x_t))
        weight = next(self.network.parameters())
        out = self.network(x_t.to(weight.dtype), step).sample[:, : x_t.shape[1]].to(x_t.dtype)
        if self.prediction == "sample":
            return out
        alpha, sigma = (self._spread(s, x_t) for s in self.scales(t))
        if self.prediction == "v_prediction":
            return alpha * x_t - sigma * out
        return (x_t - sigma * out) / alpha
