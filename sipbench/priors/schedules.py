"""How much signal and how much noise there is at each time: x_t = alpha_t x + sigma_t z.

Time runs from 1 (noise) to 0 (alpha 1, sigma 0), whatever clock the network behind it was trained with. Tables are kept
in double precision on the CPU; a scalar time gives scalars there, so that a sampler's loop never waits for a device.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

Spacing = Literal["even", "leading"]


class Schedule:
    """alpha_t, sigma_t, the times of a sampler, and the time of a noise level sigma_t / alpha_t."""

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def times(self, n: int, spacing: Spacing = "even") -> Tensor:
        raise NotImplementedError

    def time_at(self, level: Tensor) -> Tensor:
        raise NotImplementedError

    def clock(self, t: Tensor) -> Tensor:
        """What a network trained on this schedule is told instead of t."""
        raise NotImplementedError

    def training_times(self, u: Tensor) -> Tensor:
        """The times a network is trained at, from u uniform on [0, 1)."""
        raise NotImplementedError


def _count(n: int, spacing: Spacing) -> None:
    if n < 1:
        raise ValueError(f"steps must be 1 or more, not {n}")
    if spacing != "even":
        raise ValueError(f"spacing={spacing} counts training times, and this prior has none: use spacing=even")


class VariancePreserving(Schedule):
    """A diffusion model of T discrete times: alpha = sqrt(P_i), sigma = sqrt(1 - P_i) at t = (i + 1) / T.

    Between the T times the angle atan(sigma / alpha) is interpolated, so that every noise level has a time. Times
    without any signal, as the last one of a schedule rescaled to zero terminal SNR, are left out.

    Args:
        scheduler: a diffusers scheduler config.
        noisiest: the largest sigma / alpha that samplers start from; None starts from the noisiest training time.
    """

    def __init__(self, scheduler: dict[str, Any], noisiest: float | None = None) -> None:
        products = torch.cat([torch.ones(1, dtype=torch.float64), alphas_cumprod(scheduler)])
        products = products[products > 0]
        if len(products) < 2:
            raise ValueError("the schedule has no training time with any signal")
        self._angle = torch.atan2((1 - products).sqrt(), products.sqrt())
        self._ends, self._tables = (float(self._angle[1]), float(self._angle[-1])), dict[torch.device, Tensor]()
        self.T = len(products) - 1
        levels = self._angle[1:].tan()
        self.first = self.T if noisiest is None else int((levels <= noisiest).sum())
        if not self.first:
            least = float(levels[0])
            raise ValueError(f"noisiest must be at least {least:.3g}, the least noise of this prior, not {noisiest}")

    def times(self, n: int, spacing: Spacing = "even") -> Tensor:
        """n times, then 0: `even` has the first and the last, `leading` begins one stride below the first.

        They are training times, unless a limit leaves fewer than n: then they lie between them.
        """
        if not 1 <= n <= self.T:
            raise ValueError(f"steps must lie in 1..{self.T}, the times this prior was trained at, not {n}")
        if spacing == "leading" and n <= self.first:
            index = 1 + self.first // n * torch.arange(n - 1, -1, -1, dtype=torch.float64)
        else:
            index = torch.linspace(self.first, 1, n, dtype=torch.float64)
            index = index.round() if n <= self.first else index
        return torch.cat([index, torch.zeros(1, dtype=torch.float64)]) / self.T

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        index = self._index(t)
        low = index.floor().long().clamp(0, self.T - 1)
        table = self._table(t.device)
        angle = torch.lerp(table[low], table[low + 1], index - low)
        return angle.cos(), angle.sin()

    def time_at(self, level: Tensor) -> Tensor:
        table = self._table(level.device)
        angle = level.double().atan().clamp(*self._ends)
        low = (torch.searchsorted(table, angle) - 1).clamp(0, self.T - 1)
        return (low + (angle - table[low]) / (table[low + 1] - table[low])) / self.T

    def clock(self, t: Tensor) -> Tensor:
        """The index of the training time, from 0 on."""
        return (self._index(t) - 1).clamp(min=0)

    def training_times(self, u: Tensor) -> Tensor:
        return ((u.double() * self.T).floor().clamp(max=self.T - 1) + 1) / self.T

    def _table(self, device: torch.device) -> Tensor:
        """The angles on the device of a time or a level for each image, copied there once: a copy would wait."""
        if device not in self._tables:
            self._tables[device] = self._angle.to(device)
        return self._tables[device]

    def _index(self, t: Tensor) -> Tensor:
        """t T, with the rounding of the division by T taken back."""
        return (t.double() * self.T * 2**20).round() / 2**20


class VarianceExploding(Schedule):
    """alpha = 1, sigma = sigma_max t^rho: evenly spaced times are the noise levels of Karras et al. (2022), rho = 7."""

    def __init__(self, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0) -> None:
        if not (0 < sigma_min < sigma_max and rho > 0):
            raise ValueError(f"0 < sigma_min < sigma_max and 0 < rho, not {sigma_min}, {sigma_max} and {rho}")
        self.sigma_min, self.sigma_max, self.rho = sigma_min, sigma_max, rho

    def times(self, n: int, spacing: Spacing = "even") -> Tensor:
        _count(n, spacing)
        last = (self.sigma_min / self.sigma_max) ** (1 / self.rho)
        steps = torch.linspace(1, last, n, dtype=torch.float64) if n > 1 else torch.ones(1, dtype=torch.float64)
        return torch.cat([steps, torch.zeros(1, dtype=torch.float64)])

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        sigma = self.sigma_max * t.double() ** self.rho
        return torch.ones_like(sigma), sigma

    def time_at(self, level: Tensor) -> Tensor:
        return (level.double().clamp(self.sigma_min, self.sigma_max) / self.sigma_max) ** (1 / self.rho)

    def clock(self, t: Tensor) -> Tensor:
        """log(sigma) / 4."""
        return self.scales(t)[1].clamp(min=self.sigma_min).log() / 4

    def training_times(self, u: Tensor) -> Tensor:
        """log(sigma) ~ N(-1.2, 1.2^2)."""
        normal = torch.special.ndtri(u.double().clamp(1e-9, 1 - 1e-9))
        return self.time_at((1.2 * normal - 1.2).exp())


class Flow(Schedule):
    """The straight path from the image to noise: alpha = 1 - t, sigma = t, from t = 1 - 1 / T on.

    Args:
        T: the length of the network's clock.
        shift: s > 1 spends more steps near the noise: evenly spaced u give t = s u / (1 + (s - 1) u).
    """

    def __init__(self, T: int = 1000, shift: float = 1.0) -> None:
        if not (T > 1 and shift > 0):
            raise ValueError(f"a flow has more than one time and a shift above 0, not {T} and {shift}")
        self.T, self.shift = T, shift

    def times(self, n: int, spacing: Spacing = "even") -> Tensor:
        _count(n, spacing)
        u = torch.linspace(1, 0, n + 1, dtype=torch.float64)
        return self.shift * u / (1 + (self.shift - 1) * u)

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        sigma = t.double().clamp(max=1 - 1 / self.T)
        return 1 - sigma, sigma

    def time_at(self, level: Tensor) -> Tensor:
        sigma = level.double() / (1 + level.double())
        return sigma.clamp(1 / self.T, 1 - 1 / self.T)

    def clock(self, t: Tensor) -> Tensor:
        """T t."""
        return self.T * self.scales(t)[1]

    def training_times(self, u: Tensor) -> Tensor:
        return u.double().clamp(1e-5, 1 - 1 / self.T)


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
    if not len(betas):
        raise ValueError("the schedule has no training time: num_train_timesteps, or trained_betas, is empty")
    if not ((betas > 0) & (betas <= 1)).all():
        raise ValueError(
            f"the betas of a schedule lie above 0, up to 1: not {float(betas.min())} to {float(betas.max())}"
        )
    products = torch.cumprod(1 - betas, 0)
    return _without_last_signal(products) if config.get("rescale_betas_zero_snr") else products


def _without_last_signal(products: Tensor) -> Tensor:
    """The alphas moved and stretched so that the last is 0 and the first stays (https://arxiv.org/abs/2305.08891)."""
    alpha = products.sqrt()
    return ((alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])) ** 2


def schedule_of(scheduler: dict[str, Any], noisiest: float | None = None) -> Schedule:
    """The schedule of a diffusers scheduler config, from a noise level on (see `VariancePreserving`)."""
    kind = scheduler.get("_class_name", "")
    if noisiest is not None and kind.startswith(("FlowMatch", "EDM")):
        raise ValueError("noisiest is of schedules of discrete times: leave it out for this prior")
    if kind.startswith("FlowMatch"):
        return Flow(scheduler.get("num_train_timesteps", 1000), scheduler.get("shift", 1.0))
    if kind.startswith("EDM"):
        names = ("sigma_min", "sigma_max", "rho")
        return VarianceExploding(**{name: scheduler[name] for name in names if name in scheduler})
    return VariancePreserving(scheduler, noisiest)


def prediction_of(scheduler: dict[str, Any]) -> str:
    """What the network behind a diffusers scheduler config predicts: see `NetworkPrior`."""
    kind = scheduler.get("_class_name", "")
    if kind.startswith("FlowMatch"):
        return "flow"
    own = scheduler.get("prediction_type", "epsilon")
    return f"edm_{own}" if kind.startswith("EDM") else own


LINEAR = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
NAMED = {
    "vp": lambda: VariancePreserving(LINEAR),
    "ve": VarianceExploding,
    "flow": Flow,
}


def named(name: str) -> Schedule:
    """The usual schedule of a kind: vp (linear, 1000 steps), ve or flow."""
    if name not in NAMED:
        raise ValueError(f"unknown schedule {name!r}: use {', '.join(NAMED)}")
    return NAMED[name]()
