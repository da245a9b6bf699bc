"""What the deep image priors of phase retrieval share: the box of the object, restarts, and iterates that drift.

Each image is fitted from R random starts side by side, as R images of their own: tensors of (R B, ...), starts first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.common.losses import DataLoss, data_loss
from baselines.common.phase import agree, magnitudes, overall, parts, phase_map, residual
from baselines.common.stopping import Score, Stop, Stopper
from baselines.single.fit import fit
from sipbench.operators.centred import to_complex, to_real
from sipbench.operators.phase import FarField
from sipbench.problem import Estimate, Problem, Rng


@dataclass(frozen=True)
class SideBySide(Problem):
    """A problem whose images are each solved `restarts` times, by streams of their own; it shows the best of them."""

    restarts: int = 1

    @classmethod
    def of(cls, problem: Problem, restarts: int) -> SideBySide:
        if restarts < 1:
            raise ValueError(f"restarts is 1 or more, not {restarts}")
        keys = [key for r in range(restarts) for key in problem.rng.child(f"start {r}").keys]
        same: dict[str, Any] = {field.name: getattr(problem, field.name) for field in fields(problem)}
        same["rng"] = Rng(keys, problem.rng.device)
        return cls(**same, restarts=restarts)

    def show(self, x_hat: Tensor, loss: Tensor | None = None) -> None:
        assert loss is not None
        super().show(choose(x_hat, loss, self.restarts), loss.unflatten(0, (self.restarts, -1)).amin(0))


def choose(v: Tensor, loss: Tensor, restarts: int) -> Tensor:
    """Of each image's starts the one with the smallest loss: (R B, ...) -> (B, ...)."""
    first = loss.unflatten(0, (restarts, -1)).argmin(0)
    return v.unflatten(0, (restarts, -1))[first, torch.arange(len(first), device=v.device)]


def box_size(problem: Problem, share: float) -> tuple[int, int]:
    """The size that a network draws: that of x, or of a box in it where x is a frame of which nothing is told."""
    h, w = problem.shape[2:]
    f = phase_map(problem)
    if not isinstance(f, FarField) or f.support is not None:
        return h, w
    return tuple(n - 2 * int((n - share * n) / 2) for n in (h, w))  # pyright: ignore[reportReturnType]


def embed(x: Tensor, problem: Problem) -> Tensor:
    """The box in the middle of x, zero around it."""
    top, left = ((n - k) // 2 for n, k in zip(problem.shape[2:], x.shape[2:], strict=True))
    return F.pad(x, (left, left, top, top)) if top or left else x


def fit_magnitudes(
    problem: SideBySide,
    G: Callable[[int], Tensor],
    optimiser: torch.optim.Optimizer,
    *,
    iterations: int,
    loss: DataLoss,
    stop: Stop,
) -> Estimate:
    """Fit |A G| to the measured magnitudes from every start, and keep that whose estimate has the smallest residual."""
    f, m, R = phase_map(problem), magnitudes(problem), problem.restarts
    data, count = data_loss(loss), parts(problem)
    seen = None if f.valid is None else f.valid.to(m.dtype)

    def misfit(x: Tensor) -> Tensor:
        residuals = [f.lift(v).abs() - m for v in x.chunk(R)]
        return torch.cat([data(r if seen is None else r * seen) for r in residuals])

    def steady(like: Tensor, rng: Rng) -> Stopper:
        stopper = stop(like, rng)
        stopper.score = Steady(stopper.score, f.symmetries)
        return stopper

    told = isinstance(f, FarField) and f.support is not None and "phase" in f.symmetries

    def inside(k: int) -> Tensor:
        """What lies outside of a support that is told is not looked at: it is zero."""
        x = G(k)
        return torch.cat([f.crop(f.embed(v)) for v in x.chunk(R)]) if told else x  # pyright: ignore

    fitted = fit(problem, inside, optimiser, iterations=iterations, misfit=misfit, stop=steady)
    final = torch.cat([overall(residual(f, v, m, count)) for v in fitted.x.chunk(R)])
    assert fitted.stopped is not None
    best = agree(choose(fitted.x, final, R), f.symmetries)
    return Estimate(best, stopped=choose(fitted.stopped, final, R))


class Steady:
    """A stopping score that looks past what a measurement cannot tell: a drift along it would pass for progress.

    It is given each iterate moved over shifts, phases and signs to where it lies closest to the one before.
    """

    def __init__(self, score: Score, symmetries: tuple[str, ...]) -> None:
        self.score, self.symmetries = score, symmetries
        self.before: Tensor | None = None

    def __call__(self, x: Tensor, loss: Tensor | None = None) -> Tensor | None:
        self.before = x if self.before is None else follow(x, self.before, self.symmetries)
        return self.score(self.before, loss)


def follow(x: Tensor, before: Tensor, symmetries: tuple[str, ...]) -> Tensor:
    """x under the circular shift, phase and sign that bring it closest to `before`, as far as these are symmetries."""
    phased, signed = "phase" in symmetries, "sign" in symmetries
    a, b = (to_complex(v) if phased else v for v in (x, before))
    if "shift" in symmetries:
        products = torch.fft.ifft2((torch.fft.fft2(a).conj() * torch.fft.fft2(b)).sum(1))
        products = products if phased else products.real
        place = (products.abs() if phased or signed else products).flatten(1).argmax(1)
        product = products.flatten(1).gather(1, place[:, None])
        a = _rolled(a, place // a.shape[-1], place % a.shape[-1])
    else:
        product = (a.conj() * b).flatten(1).sum(1, keepdim=True)
    turn = product.sgn()[..., None, None]
    if phased:
        return to_real(a * turn)
    return torch.where(turn < 0, -a, a) if signed else a


def _rolled(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each image rolled by its own whole numbers of pixels."""
    b, _, h, w = x.shape
    rows = (torch.arange(h, device=x.device) - down[:, None]) % h
    columns = (torch.arange(w, device=x.device) - right[:, None]) % w
    image = torch.arange(b, device=x.device)[:, None, None]
    return x[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
