"""Scores that a stored result lacks, computed from what the solver returned. No solver runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch

from sipbench import configs, device, metrics
from sipbench.bench import packing, protocol, record, store
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.bench.score import score_chosen, score_images
from sipbench.bench.score_draws import Draws, score_draws
from sipbench.errors import UserError
from sipbench.operators.base import Operator
from sipbench.problem import Estimate


def lacking(cell: Cell, rows: Any = None) -> dict[int, list[str]]:
    """The metrics that each solved image lacks though they can be computed here: never scored, or by an older protocol.

    An image whose estimate was not kept is left out. `rows`: those of the cell, if they were read already.
    """
    rows = store.read(cell.folder) if rows is None else rows
    if not store.done(cell, rows=rows) or (cell.measured and not cell.paired):
        return {}
    if "kept" not in rows:
        return {}
    rows = rows[rows["image"].isin(cell.images) & (rows["status"] == "ok") & rows["kept"].notna()]
    able = [name for name in cell.metrics if metrics.available(name) is None and fits(cell, name)]
    every = list(dict.fromkeys([*cell.metrics, *(name for name in metrics.METRICS if name in rows)]))
    found = {int(row["image"]): every if _old(row) else [n for n in able if _absent(row, n)] for row in _plain(rows)}
    return {image: names for image, names in found.items() if names}


def score_stored(cell: Cell, report: Callable[[int, int], None] | None = None, rows: Any = None) -> int:
    """Compute and store what is lacking; the number of images that were scored.

    A file of which the images turn out to be damaged is set aside, so that they are to be done again.
    """
    todo, scored = lacking(cell, rows), 0
    if not todo:
        return 0
    bench = Bench.of(unsolved(cell), check=False)
    for names, images in _together(todo):
        for at in range(0, len(images), cell.batch_size):
            batch = images[at : at + cell.batch_size]
            found = store.kept(cell, batch)
            if found:
                store.write_scores(cell, scores(bench, cell, sorted(found), names, found))
            scored += len(found)
            if report is not None:
                report(at + len(batch), len(images))
    if scored < len(todo):
        store.set_damaged_aside(cell)
    return scored


def unsolved(cell: Cell) -> Cell:
    """The cell without what only a solver needs, so that nothing heavy is loaded to look at its problem."""
    return replace(cell, method=cell.method | {"needs": [], "networks": {}}, prior=None)


def scores(
    bench: Bench, cell: Cell, images: list[int], names: list[str], found: dict[int, bytes]
) -> list[dict[str, Any]]:
    """The scores of a batch, against a truth that is made again; its measurement must be the one that was solved."""
    problem = bench.pose(images)
    contents = [found[image] for image in images]
    opened = [store.opened(cell, image, found[image], packing.unpacked) for image in images]
    estimate = _kept(opened, bench.device)
    rows = store.read(cell.folder, ["image", "y_sha256", "metrics_version"]).set_index("image").loc[images]
    for i, image in enumerate(images):
        if record.y_hash(problem.y[i]) != rows.loc[image, "y_sha256"]:
            raise UserError(f"{cell.label}, image {image}: the stored result is of another measurement than today's")
    truth, known = bench.truth(images, problem), bench.as_known(problem, images)
    values = score_images(names, estimate, truth, known)
    if cell.draws > 1:
        values |= score_draws(names, _draws(contents, estimate, known.f), estimate, truth, known)
    of_images = [name for name in names if not metrics.METRICS[name].of_draws]
    values |= score_chosen(of_images, _chosen(contents), truth, known)
    if (rows["metrics_version"] < protocol.versions()["metrics"]).any():  # what cannot be made anew is shown no longer
        values |= {f"oracle_{name}": [float("nan")] * len(images) for name in of_images}
        values |= {f"curve_{name}": [None] * len(images) for name in of_images}
    version = {"metrics_version": protocol.versions()["metrics"], "scored_on": device.describe(bench.device)}
    return [{"image": image, **{n: v[i] for n, v in values.items()}, **version} for i, image in enumerate(images)]


def _kept(found: list[Estimate], device: torch.device) -> Estimate:
    """What the solver returned, as a batch."""
    parts = [one.theta or {} for one in found]
    theta = {name: torch.cat([part[name] for part in parts]).to(device) for name in parts[0]}
    samples = [one.samples for one in found if one.samples is not None]
    x = torch.cat([one.x for one in found]).to(device)
    return Estimate(x, theta=theta or None, samples=torch.cat(samples).to(device) if samples else None)


def _draws(contents: list[bytes], estimate: Estimate, f: Operator) -> Draws:
    """Its draws, or what is kept of them."""
    if estimate.samples is not None:
        return Draws.of(estimate.samples, f)
    parts = zip(*map(packing.moments, contents), strict=True)
    mean, std = (torch.cat(part).to(estimate.x.device) for part in parts)
    return Draws(mean, std)


def _chosen(contents: list[bytes]) -> dict[str, torch.Tensor]:
    """The iterates that the cell's probe chose, each as a batch; none where there was no probe."""
    found = [packing.unpacked_chosen(content) for content in contents]
    return {name: torch.cat([one[name] for one in found]) for name in found[0]}


def _together(todo: dict[int, list[str]]) -> Iterator[tuple[list[str], list[int]]]:
    """The images that lack the same metrics."""
    for key in sorted({tuple(names) for names in todo.values()}):
        yield list(key), [image for image, names in todo.items() if tuple(names) == key]


def fits(cell: Cell, name: str) -> bool:
    from sipbench.degradation import Degradation

    degradation, metric = Degradation.of(cell.degradation), metrics.METRICS[name]
    if metric.of_draws:  # where they were kept
        shape = degradation.x_shape(cell.dataset)
        return cell.draws > 1 and hasattr(cell.dataset, "posterior") and packing.small((cell.draws, *shape))
    blind = configs.locate(cell.degradation["operator"]["_target_"]).blind
    blind = blind and not (cell.paired and not cell.dataset.with_kernels)
    return metric.fits((1, *degradation.x_shape(cell.dataset))) and (blind or not metric.against_best)


def _plain(rows: Any) -> list[dict[str, Any]]:
    return rows.to_dict("records")


def _old(row: dict[str, Any]) -> bool:
    """Whether its scores are by an older version of the metrics: then all of them are made anew."""
    return row["metrics_version"] < protocol.versions()["metrics"]


def _absent(row: dict[str, Any], name: str) -> bool:
    value = row.get(name)
    return value is None or value != value
