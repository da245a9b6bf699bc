"""The pictures of each problem: truth, measurement, and of each method the estimate, its residual, and its kernel.

Truth and estimates are drawn as in the strip: aligned as they are for the score, complex ones with the phase as hue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sipbench.bench import packing, store
from sipbench.bench.rescore import unsolved
from sipbench.bench.run import Bench
from sipbench.bench.score import Truth
from sipbench.problem import Estimate, Problem
from sipbench.report.page.model import Gallery
from sipbench.report.page.pictures import Drawn, Pixels, spread
from sipbench.report.show import kernel
from sipbench.tables import images
from sipbench.tables.spec import Entry, TableSpec
from sipbench.tables.views.strip import as_scored, pixels, unpacked

SMALLEST = 8  # pixels of a side: what is less is no picture
MOST = 32  # images of a problem that are looked at
STEPS = 51  # of a residual: noise packs badly
SIGMAS = 4.0  # the residual that is drawn in the last colour
Key = tuple[str, str, str]


@dataclass
class Pictures:
    """Of one problem, a list of pictures for each of these; `levels` are residuals before they have a scale."""

    truth: list[Pixels] = field(default_factory=list)
    measurement: list[Pixels] = field(default_factory=list)
    estimates: dict[str, list[Pixels]] = field(default_factory=dict)
    levels: dict[str, list[Any]] = field(default_factory=dict)
    kernels: dict[str, list[Pixels]] = field(default_factory=dict)


def drawn(spec: TableSpec, shown: Mapping[Key, Entry], kept: images.Rows) -> Iterator[Drawn]:
    """Of each problem of which a picture is stored."""
    for pair in spec.pairs:
        own = [entry for key, entry in shown.items() if key[:2] == pair]
        found = _drawn(spec, pair, own, kept) if own else None
        if found is not None:
            yield found


def _drawn(spec: TableSpec, pair: tuple[str, str], entries: list[Entry], kept: images.Rows) -> Drawn | None:
    first = entries[0].cells[0]
    if min(unsolved(first).dataset.shape[-2:]) < SMALLEST and not first.measured:
        return None
    values = _values(spec, pair, entries, kept)
    order = _order(first.images, values, spec)
    chosen = spread(order, MOST)
    stored = {entry.row.name: store.kept(entry.cells[0], [first.images[i] for i in chosen]) for entry in entries}
    if not any(stored.values()):
        return None
    found, sigma = _pictures(first, [first.images[i] for i in chosen], entries, stored)
    if not any(p is not None for own in found.estimates.values() for p in own):
        return None
    span = SIGMAS * sigma if sigma else _span(found.levels)
    gallery = Gallery(
        problem=f"{pair[0]}/{pair[1]}",
        images=tuple(str(first.images[i]) for i in chosen),
        of=len(first.images),
        values={m: {k: tuple(v[i] for i in chosen) for k, v in own.items()} for m, own in values.items()},
        truth=None,
        measurement=None,
        estimates={},
        residuals={},
        kernels={},
        span=SIGMAS if sigma else span,
        unit="σ" if sigma else "",
    )
    residuals = {name: [_map(level, span) for level in own] for name, own in found.levels.items()}
    ranks = [chosen.index(i) for i in order if i in set(chosen)]
    return Drawn(gallery, ranks, found.truth, found.measurement, found.estimates, residuals, found.kernels)


def _values(
    spec: TableSpec, pair: tuple[str, str], entries: Iterable[Entry], kept: images.Rows
) -> dict[str, dict[str, list[float]]]:
    """By measure and method, a value for each image of the problem; a mean over seeds."""
    found: dict[str, dict[str, list[float]]] = {}
    for entry in entries:
        rows = kept[entry.key]
        for measure in spec.measures:
            own = images.values(rows, entry.row.column(measure, rows))
            if len(own):
                line = [float(own.get(i, float("nan"))) for i in entry.cells[0].images]
                found.setdefault(measure.heading, {})[entry.row.name] = line
    return found


def _order(numbers: list[int], values: Mapping[str, Mapping[str, list[float]]], spec: TableSpec) -> list[int]:
    """The places of the images from the easiest to the hardest: the mean over the methods of the first measure."""
    measure = next((m for m in spec.measures if values.get(m.heading)), None)
    if measure is None:
        return list(range(len(numbers)))
    sign = -1 if measure.higher_is_better else 1
    lines = [line for line in values[measure.heading].values() if len(line) == len(numbers)]

    def hard(i: int) -> float:
        there = [line[i] for line in lines if np.isfinite(line[i])]
        return sign * sum(there) / len(there) if there else float("inf")

    return sorted(range(len(numbers)), key=hard)


def _pictures(
    first: Any, numbers: list[int], entries: list[Entry], stored: Mapping[str, Mapping[int, bytes]]
) -> tuple[Pictures, float]:
    """All pictures, and the noise level in the units of y, or 0 where none is told."""
    bench, found, sigma = Bench.of(unsolved(first), check=False), Pictures(), 0.0
    for image in numbers:
        problem = bench.pose([image])
        truth = bench.truth([image], problem)
        x = None if truth is None else truth.x
        sigma = float(getattr(bench.as_known(problem, [image]).noise, "sigma", 0.0) or 0.0)
        found.truth.append(None if x is None else pixels(x[0]))
        found.measurement.append(pixels(2 * problem.f.picture(problem.y)[0] - 1))
        for entry in entries:
            name, content, part = entry.row.name, stored[entry.row.name].get(image), entry.row.part
            opened = partial(store.opened, entry.cells[0], image, content or b"")
            x_hat = None if content is None else opened(partial(unpacked, part=part))
            estimate = None if content is None or part else opened(packing.unpacked)
            found.estimates.setdefault(name, []).append(_picture(x_hat, truth, problem))
            found.levels.setdefault(name, []).append(_residual(x_hat, estimate, problem))
            theta = None if estimate is None or estimate.theta is None else estimate.theta.get("kernel")
            found.kernels.setdefault(name, []).append(None if theta is None else pixels(2 * kernel(theta)[0] - 1))
    return found, sigma


def _picture(x_hat: Tensor | None, truth: Truth | None, problem: Problem) -> Pixels:
    if x_hat is None:
        return None
    return pixels((x_hat if truth is None else as_scored(x_hat, truth, problem.f)[0])[0])


@torch.no_grad()
def _residual(x_hat: Tensor | None, estimate: Estimate | None, problem: Problem) -> Any:
    """|y - f(x_hat)| over the channels, root mean square, (h, w); None where y is no picture or f is not known."""
    f, y = problem.f, problem.y
    if x_hat is None or y.ndim != 4 or min(y.shape[-2:]) < SMALLEST:
        return None
    if not f.blind:
        clean = f(x_hat)
    elif estimate is not None and estimate.theta is not None:
        clean = f(estimate.x, estimate.theta)
    else:
        return None
    r = (y - clean).double() if f.valid is None else (y - clean).double().where((f.valid != 0).expand_as(y), 0)
    return r[0].square().mean(0).sqrt().cpu().numpy()


def _map(level: Any, span: float) -> Pixels:
    if level is None:
        return None
    share = np.nan_to_num(level / max(span, 1e-30), nan=1.0).clip(0, 1)
    return (np.round(share * STEPS) * (255 / STEPS)).round().astype(np.uint8)


def _span(levels: Mapping[str, list[Any]]) -> float:
    """Where no noise level is told: what one in a hundred pixels of all methods exceeds."""
    there = [level.ravel() for own in levels.values() for level in own if level is not None]
    return float(np.quantile(np.concatenate(there), 0.99)) if there else 0.0
