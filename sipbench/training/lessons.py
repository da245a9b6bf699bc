"""From a lesson to what the loop is handed: the network, the images, the loss, and the look at validation images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sipbench import configs
from sipbench.bench.lesson import RESTORATION, Lesson
from sipbench.degradation import Degradation
from sipbench.errors import UserError
from sipbench.metrics import as_image
from sipbench.operators.unknowns import UNKNOWNS
from sipbench.problem import Estimate, Problem, Rng
from sipbench.training.images import Images
from sipbench.training.loop import Loss, Schedule, Staged, fit, in_a_line
from sipbench.training.losses import (
    Matching,
    denoising_loss,
    generator_loss,
    network_denoising_loss,
    posed,
    restoration_loss,
)

SHOWN = 0.2  # the noise level, on [-1, 1], that a sheet shows a denoiser at


@dataclass(frozen=True)
class Training:
    """A lesson with its parts built.

    Attributes:
        network: as it begins, of the lesson's seed.
        images: the training images, by the number at which they are seen.
        held_out: the validation images.
    """

    lesson: Lesson
    network: nn.Module
    images: Images
    held_out: Tensor
    loss: Loss

    @classmethod
    def of(cls, lesson: Lesson, seed: int = 0) -> Training:
        if type(lesson.validation) is not int or lesson.validation < 1:
            raise UserError(f"validation is a whole number from 1 on, not {lesson.validation!r}")
        images = Images(lesson.split("train"), lesson.images, lesson.subset)
        loss = made_of_pictures(lesson, LOSSES[lesson.objective](lesson))
        held_out = first(lesson.split("validation"), lesson.validation)
        return cls(lesson, begun(lesson.network, seed, loss, images), images, held_out, loss)

    def fit(
        self,
        folder: Path,
        schedule: Schedule,
        device: torch.device,
        *,
        about: Mapping[str, Any],
        sheet: Callable[[nn.Module, Path], None] | None = None,
        report: Callable[[str], None] = print,
    ) -> tuple[nn.Module, dict[str, Any]]:
        """Train in a folder, or go on there: the network, and the facts of its training."""
        parts = self.network, self.loss, self.images
        looks = {"validate": self.validate, "aim": self.lesson.error, "sheet": sheet}
        return fit(*parts, schedule, folder, device=device, about=about, **looks, report=report)

    def validate(self, network: nn.Module, batch: int = 16) -> float:
        """The loss on the validation images, with the same measurements and noise each time."""
        total, at = 0.0, next(network.parameters()).device
        with torch.no_grad():
            for start in range(0, len(self.held_out), batch):
                x = self.held_out[start : start + batch].to(at)
                rng = Rng.of(0, f"{self.lesson.dataset['name']}/validation", range(start, start + len(x)), at)
                total += float(self.loss(network, x, rng)) * len(x)
        return total / len(self.held_out)


def begun(node: dict[str, Any], seed: int, loss: Loss, images: Callable[[range], Tensor]) -> nn.Module:
    """The network as a seed begins it; one whose sizes the first measurement tells has seen one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = configs.build(node)
        if any(is_lazy(p) for p in (*network.parameters(), *network.buffers())):
            with torch.no_grad(), in_a_line():
                loss(network, images(range(1)), Rng.of(seed, "first", [0]))
    return network


def first(dataset: Any, count: int) -> Tensor:
    """So many of its images, or all where there are fewer."""
    return dataset.load(range(min(count, len(dataset))))


def pictures(lesson: Lesson, network: nn.Module, x: Tensor) -> Tensor:
    """The truth, what is measured of it (as A^+ y, where that is to be had) and what comes back, in this order.

    Of a generator the truth, the images of its codes, and images of codes that are drawn; of a denoiser the truth, that
    with noise, and what is left of it.
    """
    rng = Rng.of(0, lesson.dataset["name"], range(len(x)), x.device)
    if lesson.objective == "generator":
        x = UNKNOWNS[lesson.unknown](x, rng)
        with torch.no_grad():
            codes, drawn = network.encode(x)[0], rng.normal(*network.latent)  # pyright: ignore
            return torch.cat([as_image(row) for row in (x, network(codes), network(drawn))])
    if lesson.objective == "denoising":
        x = UNKNOWNS[lesson.unknown](x, rng)
        noisy, level = x + SHOWN * rng.normal_like(x), x.new_full((len(x),), SHOWN)
        with torch.no_grad():
            return torch.cat([as_image(row) for row in (x, noisy, network(noisy, level))])
    if lesson.degradation is None:
        return x
    degradation = Degradation.of(lesson.degradation)
    with torch.no_grad():
        x, problem = posed(degradation, x, rng)
        rows = [x, *([problem.linear.pinv(problem.y)] if problem.f.linear else []), through(lesson)(problem, network)]
    return torch.cat([as_image(row) for row in rows])


def through(lesson: Lesson) -> Callable[[Problem, nn.Module], Tensor]:
    """The solver of the lesson's method, with its options, as a function of the problem and of the network."""
    assert lesson.method is not None
    solver = configs.locate(lesson.method["solver"]["_target_"])
    others = [name for name in lesson.method.get("networks") or {} if name != lesson.part]
    if others:
        raise UserError(f"{lesson.method['name']}: {lesson.part} is trained through a solver that needs {others} too")
    solve = partial(solver, **configs.built(lesson.options))

    def solved(problem: Problem, network: nn.Module) -> Tensor:
        out = solve(problem, **{lesson.part: network})
        return out.x if isinstance(out, Estimate) else out

    return solved


def made_of_pictures(lesson: Lesson, loss: Loss) -> Loss:
    """A loss of what the lesson's unknown is made of pictures; restoration makes it itself, with the measurement."""
    if lesson.objective == RESTORATION or lesson.unknown == "image":
        return loss
    make = UNKNOWNS[lesson.unknown]
    return (OfPicturesStaged if isinstance(loss, Staged) else OfPictures)(loss, make)


@dataclass(frozen=True)
class OfPictures:
    """A loss of what is made of pictures."""

    loss: Any
    make: Callable[[Tensor, Rng], Tensor]

    def __call__(self, network: nn.Module, x: Tensor, rng: Rng) -> Tensor:
        return self.loss(network, self.make(x, rng.child("unknown")), rng)


class OfPicturesStaged(OfPictures):
    """One that changes as the training goes."""

    def at(self, share: float) -> tuple[Loss, float]:
        """After this share of the steps: the loss, and what the learning rate is multiplied by."""
        loss, factor = self.loss.at(share)
        return OfPictures(loss, self.make), factor


def _restoration(lesson: Lesson) -> Loss:
    assert lesson.degradation is not None
    return restoration_loss(Degradation.of(lesson.degradation), through(lesson), lesson.error, lesson.target)


LOSSES: dict[str, Callable[[Lesson], Loss]] = {
    RESTORATION: _restoration,
    "denoising": lambda lesson: Matching() if lesson.error == "matching" else network_denoising_loss(lesson.error),
    "prior": lambda lesson: denoising_loss(lesson.scheduler or {}),
    "generator": lambda lesson: generator_loss(),
}
"""By objective, the loss that a lesson makes small."""
