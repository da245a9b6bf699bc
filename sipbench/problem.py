"""The whole vocabulary a solver needs: Problem, Estimate and Rng.

A solver is a function ``solve(problem, *, ...) -> Tensor | Estimate``. It sees the measurement, the forward map, what
is known of the noise, a prior where the setting grants one, and random streams. It never sees the truth: no field of a
Problem holds it, and nothing that a field refers to does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from sipbench.noise import Noise
    from sipbench.operators.base import LinearOperator, Operator
    from sipbench.priors.base import Prior


class Rng:
    """One random stream per image, named by a key; the same key gives the same draws in any batch and any order.

    Every method returns a tensor whose first dimension runs over the images, each slice drawn from its image's own
    stream. ``portable`` draws on the CPU in double precision, so that every device agrees: use it for what defines a
    run (masks, kernels, noise, initial points). The plain methods draw on the device, without a host synchronisation.
    """

    lending: ClassVar[int] = 0  # how many streams stand in for the global state just now

    def __init__(self, keys: Sequence[str], device: torch.device | str = "cpu", *, portable: bool = False) -> None:
        self.keys = tuple(keys)
        self.device = torch.device(device)
        self._portable = portable
        source = torch.device("cpu") if portable else self.device
        self._generators = [torch.Generator(source).manual_seed(int(key[:15], 16)) for key in self.keys]

    @classmethod
    def of(cls, seed: int, dataset: str, indices: Sequence[int], device: torch.device | str = "cpu") -> Rng:
        """The root streams of these images of a dataset."""
        return cls([_digest(f"{seed}/{dataset}/{index}") for index in indices], device)

    def child(self, purpose: str, device: torch.device | str | None = None) -> Rng:
        """Fresh streams for a purpose. From them no sibling can be had: a key is a one-way hash of the one above."""
        keys = [_digest(f"{key}/{purpose}") for key in self.keys]
        return Rng(keys, self.device if device is None else device, portable=self._portable)

    @property
    def portable(self) -> Rng:
        """Fresh streams drawn on the CPU, whose results land on this device."""
        return Rng([_digest(f"{key}/portable") for key in self.keys], self.device, portable=True)

    @contextmanager
    def lent(self) -> Iterator[int]:
        """For code that knows none but the global random state: within it that is the first image's stream.

        So in torch and in numpy; then all is as before. It yields the seed, which is not 0.
        """
        seed, before = int(self.child("lent").keys[0][:7], 16) + 1, np.random.get_state()
        Rng.lending += 1
        try:
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                torch.manual_seed(seed)
                np.random.seed(seed)
                yield seed
        finally:
            np.random.set_state(before)
            Rng.lending -= 1

    def select(self, index: slice) -> Rng:
        """The streams of some of the images, from their start."""
        return Rng(self.keys[index], self.device, portable=self._portable)

    def __len__(self) -> int:
        return len(self.keys)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Standard normal, shape (B, *shape)."""
        return self._draw(Tensor.normal_, shape, dtype)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Uniform on [0, 1), shape (B, *shape)."""
        return self._draw(Tensor.uniform_, shape, dtype)

    def normal_like(self, x: Tensor) -> Tensor:
        """Standard normal of the shape and dtype of x, whose first dimension runs over the images."""
        return self.normal(*x.shape[1:], dtype=x.dtype)

    def permutation(self, n: int) -> Tensor:
        """A random order of 0..n-1 for each image, shape (B, n)."""
        rows = [torch.randperm(n, generator=g, device=g.device) for g in self._generators]
        return torch.stack(rows).to(self.device)

    def poisson(self, rate: Tensor) -> Tensor:
        """Poisson counts with these means, whose first dimension runs over the images."""
        source = torch.device("cpu") if self._portable else self.device
        mean = rate.to(source, torch.float64 if self._portable else rate.dtype)
        rows = [torch.poisson(row, generator=g) for row, g in zip(mean, self._generators, strict=True)]
        return torch.stack(rows).to(self.device, rate.dtype)

    def _draw(self, fill: Any, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        source = torch.device("cpu") if self._portable else self.device
        out = torch.empty((len(self), *shape), dtype=torch.float64 if self._portable else dtype, device=source)
        for row, generator in zip(out, self._generators, strict=True):
            fill(row, generator=generator)
        return out.to(self.device, dtype)


class Watch(Protocol):
    """Who follows a run. It keeps what it is shown; it holds nothing that a solver may not know."""

    def step(self, k: int, n: int) -> bool:
        """Step k of n begins. False ends the loop: the budget is spent."""
        ...

    def show(self, x_hat: Tensor, loss: Tensor | None) -> None:
        """The current estimate, and the loss of each image where there is one."""
        ...


class Stopper(Protocol):
    """An early-stopping rule, one run long: it sees the iterates alone, and chooses one of each image.

    Attributes:
        best: the chosen iterates so far, (B, C, H, W).
        stopped: the iterations that they are from, (B,).
        patience: how many iterations without a better one end an image's run.
    """

    best: Tensor
    stopped: Tensor
    patience: int

    def update(self, k: int, x: Tensor, *, loss: Tensor | None = None) -> None:
        """Iterate x of iteration k, with the loss of each image where there is one."""
        ...


@dataclass(frozen=True)
class Problem:
    """y = f(x) + noise: what is known, and two ways to be watched.

    Attributes:
        y: the measurements, (B, ...).
        f: the forward map.
        noise: the noise model, or None where the setting hides it.
        shape: the shape of the unknown, (B, C, H, W).
        prior: a pretrained model of p(x). None where the setting grants none: a solver that says that it needs one is
            never without.
        rng: one random stream per image.
        setting: the public names of the dataset and the degradation.
    """

    y: Tensor
    f: Operator
    noise: Noise | None
    shape: tuple[int, ...]
    prior: Prior
    rng: Rng
    setting: Mapping[str, str] = field(default_factory=dict)
    _watch: Watch | None = field(default=None, repr=False)

    @property
    def device(self) -> torch.device:
        return self.y.device

    @property
    def linear(self) -> LinearOperator:
        """The forward map of a solver that says that it needs a linear one."""
        assert self.f.linear, "this forward map is not linear: say needs: [linear] in the method's config"
        return self.f  # pyright: ignore

    @property
    def sigma(self) -> float:
        """The standard deviation of the noise, for a solver that says that it needs to be told."""
        assert self.noise is not None and self.noise.sigma is not None, (
            "the noise level is not told: say needs: [noise.sigma]"
        )
        return self.noise.sigma

    def steps(self, n: int) -> Iterator[int]:
        """Count from 0 to n-1, telling whoever watches; ends early when the budget is spent."""
        if n < 0:
            raise ValueError(f"{n} steps cannot be taken: a number from 0 on is asked for")
        for k in range(n):
            if self._watch is not None and not self._watch.step(k, n):
                return
            yield k

    def show(self, x_hat: Tensor, loss: Tensor | None = None) -> None:
        """Show the current estimate. It costs a solver nothing: the time is not counted."""
        if self._watch is not None:
            self._watch.show(x_hat, loss)

    def select(self, index: slice) -> Problem:
        """The same problem for some of its images."""
        y = self.y[index]
        shape = (y.shape[0], *self.shape[1:])
        some = {"images": self.setting["images"][index]} if "images" in self.setting else {}
        chosen = {"y": y, "f": self.f.select(index), "shape": shape, "rng": self.rng.select(index)}
        return replace(self, **chosen, setting={**self.setting, **some})


@dataclass(frozen=True)
class Estimate:
    """What a solver returns where there is more to say than the image.

    Attributes:
        x: the image, (B, C, H, W).
        theta: the parameters of a blind operator by name, such as its blur kernel, (B, ...) each, or None.
        samples: posterior samples, (B, S, C, H, W), or None.
        stopped: the iteration at which each image stopped, (B,), or None.
        converged: whether each image came to rest before the iterations were spent, (B,), or None where that is no
            aim: of a solver in closed form, or one whose number of steps regularises.
        certificate: what a solver can say of its own result by name, (B,) each, or None: for an optimisation problem by
            how much its constraints are violated, its objective, how far from stationary it is. A row keeps `name` as
            its column `certificate_name`.
    """

    x: Tensor
    theta: Mapping[str, Tensor] | None = None
    samples: Tensor | None = None
    stopped: Tensor | None = None
    converged: Tensor | None = None
    certificate: Mapping[str, Tensor] | None = None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
