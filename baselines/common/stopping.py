"""Early stopping from the iterates alone: which iterate to return, and when to end the loop.

H. Wang, T. Li, Z. Zhuang, T. Chen, H. Liang, J. Sun: Early Stopping for Deep Image Prior, TMLR 2023.

The iterates of an untrained network first approach the image, then the noise; their running variance is smallest in
between. Each image is judged by itself, and its choice is frozen once it has stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from baselines.common.algebra import where
from baselines.common.self_validation import SelfValidation
from sipbench.problem import Rng

Score = Callable[[Tensor, Tensor | None], Tensor | None]


def fixed(x: Tensor, loss: Tensor | None = None) -> None:
    """No early stopping: the newest iterate is always the one to return."""


class Loss:
    """The training loss itself; a new one is the least where the least is above 1.005 of it (Deep Decoder's rule)."""

    def __init__(self, like: Tensor) -> None:
        self.least = torch.full((len(like),), torch.inf, dtype=torch.float64, device=like.device)

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor:
        assert loss is not None
        lower = 1.005 * loss.double() < self.least
        self.least = torch.where(lower, loss.double(), self.least)
        return torch.where(lower, self.least, torch.inf)


class WMV:
    """Windowed moving variance: WMV = (1 / W N) sum_j |x^j - m|^2, with m the mean of the last W iterates of N entries.

    Kept as a stream: WMV = (s - |S|^2 / W) / (W N), with S = sum_j x^j and s = sum_j |x^j|^2 in double precision.
    """

    def __init__(self, like: Tensor, window: int) -> None:
        flat = like.flatten(1)
        self.ring = flat.new_zeros(window, *flat.shape)
        self.S = torch.zeros_like(flat, dtype=torch.float64)
        self.s = self.S.new_zeros(len(flat))
        self.seen = 0

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor | None:
        window = len(self.ring)
        slot = self.ring[self.seen % window]
        new, old = x.flatten(1).double(), slot.double()
        self.S += new - old
        self.s += (new.square() - old.square()).sum(1)
        slot.copy_(new)
        self.seen += 1
        if self.seen < window:
            return None
        return (self.s - self.S.square().sum(1) / window) / (window * new.shape[1])


class EMV:
    """Exponential moving variance: d = x - EMA, EMA += alpha d, EMV = (1 - alpha) (EMV + alpha |d|^2), from EMA = x^0.

    It starts at zero, so it is not judged before iteration `burn_in` has passed.
    """

    def __init__(self, like: Tensor, alpha: float, burn_in: int = 100) -> None:
        self.alpha, self.burn_in = alpha, burn_in
        self.ema = like.double()
        self.emv = self.ema.new_zeros(len(like))
        self.seen = 0

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor | None:
        if self.seen == 0:
            self.ema = x.double()
        d = x - self.ema
        self.ema = self.ema + self.alpha * d
        self.emv = (1 - self.alpha) * (self.emv + self.alpha * d.square().flatten(1).sum(1))
        self.seen += 1
        return self.emv if self.seen > self.burn_in + 1 else None


class Stopper:
    """Keeps the iterate of the smallest score of each image, until the score has not fallen for `patience` iterations.

    Attributes:
        best: the iterate to return, (B, ...); the newest one as long as there is no score.
        theta: what was kept beside it, by name.
        stopped: the iteration it is from, (B,).
    """

    def __init__(self, score: Score, like: Tensor, patience: int) -> None:
        self.score, self.patience = score, patience
        self.best = torch.zeros_like(like)
        self.theta: dict[str, Tensor] = {}
        self.stopped = torch.zeros(len(like), dtype=torch.long, device=like.device)
        self._least = torch.full((len(like),), torch.inf, dtype=torch.float64, device=like.device)
        self._frozen = torch.zeros(len(like), dtype=torch.bool, device=like.device)

    @torch.no_grad()
    def update(
        self,
        k: int,
        x: Tensor,
        output: Tensor | None = None,
        *,
        loss: Tensor | None = None,
        theta: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Judge iterate x of iteration k, and keep it (or `output` in its place) where it is the best so far."""
        score = self.score(x, loss)
        better = ~self._frozen
        if score is not None:
            better &= score < self._least
            self._least = torch.where(better, score, self._least)
        self.best = where(better, x if output is None else output, self.best)
        self.theta = {name: where(better, v.detach(), self.theta.get(name, v)) for name, v in (theta or {}).items()}
        self.stopped = self.stopped.masked_fill(better, k)
        self._frozen = self._frozen | (k - self.stopped >= self.patience)

    @property
    def done(self) -> bool:
        """Whether every image has stopped. It waits for the device: ask now and then, not at each iteration."""
        return bool(self._frozen.all())


def make_stopper(
    rule: str,
    like: Tensor,
    *,
    window: int | None = None,
    patience: int | None = None,
    alpha: float = 0.1,
    burn_in: int = 100,
    epochs: float = 1.0,
    side: int | None = None,
    rng: Rng | None = None,
) -> Stopper:
    """A stopping rule by name, for iterates like this one: fixed, loss, wmv, emv or self_validation.

    Where they are left open, window and patience are the published ones: 100 and 1000 for wmv, 1000 for emv, no end
    for loss, 256 and 500 for self_validation, which trains on `epochs` of the window at each iteration, at `side`
    pixels, from `rng`.
    """
    usual = {"self_validation": (256, 500), "loss": (100, sys.maxsize)}.get(rule, (100, 1000))
    window, patience = (n if given is None else given for n, given in zip(usual, (window, patience), strict=True))
    if window < 2 or patience < 1 or not 0 < alpha < 1:
        raise ValueError(
            f"stopping needs window >= 2, patience >= 1 and alpha in (0, 1), not window={window}, "
            f"patience={patience}, alpha={alpha}"
        )
    rules: dict[str, Callable[[], Score]] = {
        "fixed": lambda: fixed,
        "loss": lambda: Loss(like),
        "wmv": lambda: WMV(like, window),
        "emv": lambda: EMV(like, alpha, burn_in),
        "self_validation": lambda: SelfValidation(like, rng, window, epochs, side),
    }
    if rule not in rules:
        raise ValueError(f"unknown stopping rule {rule!r}: choose one of {', '.join(rules)}")
    return Stopper(rules[rule](), like, patience)


@dataclass(frozen=True)
class Stop:
    """How a solver stops early, as its one option `stop`: a rule by name, with the arguments of `make_stopper`."""

    rule: Literal["fixed", "loss", "wmv", "emv", "self_validation"] = "fixed"
    window: int | None = None
    patience: int | None = None
    alpha: float = 0.1
    epochs: float = 1.0

    def __call__(self, like: Tensor, rng: Rng | None = None) -> Stopper:
        """The rule for iterates like this one."""
        return make_stopper(
            self.rule,
            like,
            window=self.window,
            patience=self.patience,
            alpha=self.alpha,
            epochs=self.epochs,
            rng=rng,
        )
