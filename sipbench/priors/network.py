"""Trained networks in diffusers format (`UNet2DModel` and a scheduler config) as priors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sipbench.priors.base import Prior
from sipbench.priors.schedules import prediction_of, schedule_of

PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow", "edm_epsilon", "edm_v_prediction")


class NetworkPrior(Prior):
    """A network that predicts the noise z, the velocity alpha z - sigma x, the image x, or the flow z - x.

    The `edm_` kinds are preconditioned as in Karras et al. (2022): with s = sigma_data and n = sqrt(sigma^2 + s^2) the
    network is given x_t / n, and x_hat = s^2 / n^2 x_t + sigma s / n net (`edm_v_prediction`: minus). The state keeps
    its precision; the network runs in the precision of its weights. Output channels beyond those of x are dropped.

    Args:
        noisiest: the largest sigma / alpha that samplers start from; None starts from the noisiest training time.
        checkpointing: compute the network's activations again in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        network: nn.Module,
        scheduler: dict[str, Any],
        *,
        noisiest: float | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(schedule_of(scheduler, noisiest))
        self.network = network.requires_grad_(False).eval()
        config: Any = network.config
        side = config.sample_size
        self.shape = (config.in_channels, *(side if isinstance(side, (list, tuple)) else (side, side)))
        self.prediction, self.checkpointing = prediction_of(scheduler), checkpointing
        self.sigma_data = scheduler.get("sigma_data", 0.5)
        self._dtype = next(network.parameters()).dtype
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction_type {self.prediction!r} is not known: use epsilon, v_prediction or sample")

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        clock = self._clock(t, x_t)
        alpha, sigma = (self.spread(s, x_t) for s in self.scales(t))
        if self.prediction.startswith("edm"):
            n = (sigma**2 + self.sigma_data**2).sqrt()
            sign = -1 if self.prediction == "edm_v_prediction" else 1
            out = self._run(x_t / n, clock)
            return (self.sigma_data / n) ** 2 * x_t + sign * sigma * self.sigma_data / n * out
        out = self._run(x_t, clock)
        if self.prediction == "sample":
            return out
        if self.prediction == "v_prediction":
            return (alpha * x_t - sigma * out) / (alpha**2 + sigma**2)
        if self.prediction == "flow":
            return (x_t - sigma * out) / (alpha + sigma)
        return (x_t - sigma * out) / alpha

    def _clock(self, t: Tensor, x_t: Tensor) -> Tensor:
        """What the network is told of t, one value an image. One time for all is written there: a copy would wait."""
        clock = self.schedule.clock(t)
        if clock.ndim == 0 and clock.device.type == "cpu":
            return x_t.new_full((len(x_t),), float(clock), dtype=torch.float32)
        return clock.to(x_t.device, torch.float32).expand(len(x_t))

    def _run(self, x: Tensor, clock: Tensor) -> Tensor:
        forward: Callable[..., Any] = self._forward
        if self.checkpointing and torch.is_grad_enabled() and x.requires_grad:
            out = checkpoint(forward, x.to(self._dtype), clock, use_reentrant=False)
        else:
            out = forward(x.to(self._dtype), clock)
        return out[:, : x.shape[1]].to(x.dtype)  # pyright: ignore

    def _forward(self, x: Tensor, clock: Tensor) -> Tensor:
        return self.network(x, clock).sample
