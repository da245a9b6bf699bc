"""Draws: a solver asked k times for each image, with streams of its own each time.

    x        the first draw: what the cell would give if it drew once
    samples  all of them, (B, k, C, H, W)

A solver is not told: it is handed copies of each measurement as if they were images. One that moves an ensemble makes
all draws of an image in one run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sipbench.bench.record import Outcome, Unfit, unlike
from sipbench.bench.watch import Snapshot
from sipbench.problem import Estimate

if TYPE_CHECKING:
    from sipbench.bench.run import Bench


def drawn(
    bench: Bench, images: Sequence[int], at_once: int, report: Callable[[int, int], None] | None = None
) -> Outcome:
    """All draws of these images, `at_once` copies of a measurement at a time; of one that draws once, the one."""
    n = bench.cell.draws
    if n == 1 or bench.cell.moves_ensemble:
        scored = bench.as_known(bench.pose(images), images) if bench.cell.probe else None
        outcome = bench.solve(bench.told(images), report, bench.solver_streams(images, range(1)), scored)
        return outcome if n == 1 else _ensemble(outcome, n)
    each, parts = max(1, at_once // len(images)), []
    for first in range(0, n, each):
        draws = range(first, min(first + each, n))
        problem = bench.told([image for _ in draws for image in images])
        parts.append(bench.solve(problem, report, bench.solver_streams(images, draws)))
        if why := unlike(parts[-1].estimate.x, problem):
            raise Unfit(why)
    return _joined(parts, len(images))


def _ensemble(outcome: Outcome, n: int) -> Outcome:
    """The draws of a solver that made them together; its estimate of the image is its own."""
    samples = outcome.estimate.samples
    found = samples.shape[1] if isinstance(samples, Tensor) and samples.ndim == 5 else 0
    if found != n:
        raise Unfit(f"an ensemble of {n} draws was asked for: it returned {found}")
    return replace(outcome, evaluations=outcome.evaluations / n)


def _joined(parts: Sequence[Outcome], images: int) -> Outcome:
    """One outcome of several: copies lie draw by draw, and in each draw image by image."""
    first, sizes = parts[0], [len(part.estimate.x) for part in parts]
    x = torch.cat([part.estimate.x for part in parts]).unflatten(0, (-1, images)).transpose(0, 1)
    return Outcome(
        replace(_of_first_draw(first.estimate, images), samples=x),
        seconds=sum(part.seconds for part in parts),
        evaluations=sum(part.evaluations * size for part, size in zip(parts, sizes, strict=True)) / sum(sizes),
        memory=max(part.memory for part in parts),
        snapshots=[_of_first_images(shot, images) for shot in first.snapshots],
        batch=max(sizes),
    )


def _of_first_draw(estimate: Estimate, images: int) -> Estimate:
    def part(value: Tensor | None) -> Tensor | None:
        return None if value is None else value[:images]

    def parts(values: Mapping[str, Tensor] | None) -> Mapping[str, Tensor] | None:
        return None if values is None else {name: value[:images] for name, value in values.items()}

    said = {"stopped": part(estimate.stopped), "converged": part(estimate.converged)}
    return Estimate(estimate.x[:images], parts(estimate.theta), certificate=parts(estimate.certificate), **said)


def _of_first_images(shot: Snapshot, images: int) -> Snapshot:
    loss = shot.loss[:images] if shot.loss is not None and shot.loss.ndim else shot.loss
    return replace(shot, x_hat=shot.x_hat[:images], loss=loss)
