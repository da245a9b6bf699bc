"""Draws: a solver asked k times for each image, with streams of its own each time.

    x        the first draw: what the cell would give if it drew once
    samples  all of them, (B, k, C, H, W)

A solver is not told: it is handed copies of each measurement as if they were images (`Bench.draw`). One that moves an
ensemble makes all draws of an image in one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sipbench.bench.record import Outcome, Unfit
from sipbench.bench.watch import Snapshot
from sipbench.problem import Estimate


def ensemble(outcome: Outcome, n: int) -> Outcome:
    """The draws of a solver that made them together; its estimate of the image is its own."""
    samples = outcome.estimate.samples
    found = samples.shape[1] if isinstance(samples, Tensor) and samples.ndim == 5 else 0
    if found != n:
        raise Unfit(f"an ensemble of {n} draws was asked for: it returned {found}")
    return replace(outcome, evaluations=outcome.evaluations / n)


def joined(parts: Sequence[Outcome], images: int) -> Outcome:
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
