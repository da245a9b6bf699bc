"""From a solver's outcome to rows: one an image, with its scores and all it takes to repeat them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sipbench import configs, device, metrics
from sipbench.bench import guard, packing, protocol
from sipbench.bench.cell import Cell
from sipbench.bench.probe import Seen
from sipbench.bench.score import Truth, curves, oracle, score_images, score_seen
from sipbench.bench.score_draws import MEAN, Draws, score_draws
from sipbench.bench.watch import Snapshot
from sipbench.datasets.reading import BadImage
from sipbench.problem import Estimate, Problem
from sipbench.safety.text import line

RESERVED = {*metrics.METRICS, *(f"oracle_{name}" for name in metrics.METRICS), "kept", "png", "estimate"}
"""Columns of every cell that some rows have not: a probe's may not stand in their place."""


class Unfit(Exception):
    """What a solver returned cannot be taken for what was asked of it; the message says why."""


@dataclass(frozen=True)
class Outcome:
    """What came back of a batch, and what it took.

    Attributes:
        seconds: of all images and all draws.
        evaluations: of one image and one draw.
        batch: how many copies of a measurement were solved at once, where that is not the number of images.
    """

    estimate: Estimate
    seconds: float
    evaluations: float
    memory: float
    snapshots: list[Snapshot]
    batch: int | None = None
    seen: Seen | None = None


def rows(
    cell: Cell, images: Sequence[int], truth: Truth | None, problem: Problem, outcome: Outcome
) -> list[dict[str, Any]]:
    """The rows of a batch. An estimate of the wrong shape or with a non-finite value is a failure."""
    x_hat = outcome.estimate.x
    if why := unlike(x_hat, problem):
        return failures(cell, images, why)
    estimate, names = replace(outcome.estimate, x=x_hat.detach().float()), cell.image_metrics
    draws = Draws.of(estimate.samples, problem.f) if cell.draws > 1 and estimate.samples is not None else None
    values = score_images(cell.metrics, estimate, truth, problem)
    values |= score_draws(cell.metrics, draws, estimate, truth, problem) if draws else {}
    along = curves(names, outcome.snapshots, truth, problem.f)
    probed, chosen = score_seen(names, outcome.seen, truth, problem)
    shared = about(cell, problem.device) | _costs(cell, outcome, len(images))
    lost, made = _lost(estimate, draws), []
    for i, image in enumerate(images):
        row = shared | _names(cell, image) | {"y_sha256": y_hash(problem.y[i])}
        if lost[i]:
            made.append(row | {"status": "failed", "reason": lost[i]})
            continue
        scores = {name: value[i] for name, value in values.items()}
        row |= {"status": "ok", "reason": "", **scores, **oracle(names, scores, along, i), **_said(estimate, i)}
        row |= {"curve_step": along["step"], "curve_seconds": along["seconds"]}
        row |= {f"curve_{n}": [c[i] for c in along[n]] for n in (*names, "loss") if along[n]}
        if taken := (row.keys() | RESERVED) & probed.keys():
            raise ValueError(f"the probe's column {min(taken)} has the name of a column of every cell")
        row |= {name: value[i] for name, value in probed.items()}
        if cell.keep_images:
            row |= {"kept": True, "png": _png(estimate.x[i]), "estimate": packing.packed(estimate, i, draws, chosen)}
        made.append(row)
    return made


def unlike(x_hat: object, problem: Problem) -> str:
    """Why what a solver returned is no image of this problem; nothing where it is one."""
    if not isinstance(x_hat, Tensor) or tuple(x_hat.shape) != tuple(problem.shape):
        what = tuple(x_hat.shape) if isinstance(x_hat, Tensor) else type(x_hat).__name__
        return f"wrong shape: returned {what}, expected a tensor of {problem.shape}"
    return "wrong kind: returned complex numbers, expected real ones" if x_hat.is_complex() else ""


def failures(
    cell: Cell, images: Sequence[int], reason: str, error: BaseException | None = None
) -> list[dict[str, Any]]:
    """A row for each image that came to nothing, with the reason, where it happened, and the traceback."""
    where = guard.frames(error) if error is not None else []
    at = f" ({guard.place(error)})" if error is not None and where else ""
    text = line(reason)[:500] + at
    shared = about(cell, device.choose(cell.device))
    shared |= {"status": "failed", "reason": text, "where": "\n".join(where)}
    shared |= {"traceback": guard.story(error)} if error is not None else {}
    return [shared | _names(cell, image) for image in images]


def y_hash(y: Tensor) -> str:
    """The hash of the measurement of one image."""
    return hashlib.sha256(y.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def about(cell: Cell, at: torch.device) -> dict[str, Any]:
    """What all rows of a cell say alike."""
    dataset, degradation, method = cell.names
    return {
        "cell": cell.hash,
        "dataset": dataset,
        "split": cell.split,
        "size": cell.size,
        "degradation": degradation,
        "noise": json.dumps(cell.degradation["noise"], sort_keys=True),
        "method": method,
        "profile": cell.profile,
        "options": json.dumps(cell.options, sort_keys=True, default=str),
        "origins": json.dumps(cell.origins, sort_keys=True),
        "precision": cell.precision,
        "seed": cell.seed,
        "weights": json.dumps(cell.identity["weights"], sort_keys=True),
        "trained_on": trained_on(cell),
        **learned(cell),
        **({"probe": cell.probe["name"]} if cell.probe else {}),
        **provenance(at),
    }


def trained_on(cell: Cell) -> str:
    """The datasets that its networks and its prior come from; empty where nothing was trained.

    Of a network made elsewhere that is its maker's word; of a solver that draws its own training pairs, the cell's.
    """
    nodes = cell.method.get("networks") or {}
    own = [_of(node, name in cell.lessons, cell) for name, node in nodes.items()]
    if not nodes and (cell.method.get("data") or {}).get("from") == "network":
        own.append(cell.source["name"])
    if cell.takes_prior and cell.prior and "prior" in cell.weights:
        lesson = cell.lessons.get("prior")
        own.append(lesson.dataset["name"] if lesson else (cell.prior.get("trained") or {}).get("dataset", "unknown"))
    return ", ".join(dict.fromkeys(own))


def _of(node: dict[str, Any], here: bool, cell: Cell) -> str:
    if here:
        return cell.trained_on
    return node.get("trained") or ("unknown" if "path" in node else cell.trained_on)


def learned(cell: Cell) -> dict[str, Any]:
    """What the training of its parts took, of a cell with a recipe: the sums over its parts."""
    if not cell.lessons:
        return {}
    facts = cell.trainings
    said = {name: {k: v for k, v in fact.items() if k != "name"} for name, fact in facts.items()}
    one = next(iter(cell.lessons.values()))
    return {
        "training_images": one.images,
        "training_subset": one.subset,
        "training_seconds": sum(fact["seconds"] for fact in facts.values()),
        "training": json.dumps(said, sort_keys=True),
    }


def provenance(at: torch.device) -> dict[str, Any]:
    """On what a number was made, and with what."""
    said = {"device": device.describe(at), "protocol": protocol.text()}
    return said | {"metrics_version": protocol.versions()["metrics"]} | versions()


@cache
def versions() -> dict[str, str]:
    """Versions of what a number depends on, and the commit where there is one."""
    from importlib.metadata import version

    names = ("sipbench", "torch", "diffusers", "torchmetrics", "lpips")
    return {f"version_{n}": version(n) for n in names} | {"python": platform.python_version(), "commit": _commit()}


def _commit() -> str:
    folder = Path(configs.root()).parent
    if not (folder / ".git").exists():
        return ""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # there is no git here
        return ""
    return found.stdout.strip()


def _names(cell: Cell, image: int) -> dict[str, Any]:
    try:
        with configs.in_a_line(f"the dataset {cell.names[0]}"):
            fingerprint = cell.dataset.fingerprint(image)
    except (BadImage, OSError):
        fingerprint = "unreadable"
    return {"image": image, "image_id": fingerprint}


def _said(estimate: Estimate, i: int) -> dict[str, Any]:
    """What the solver says of its own result."""
    stopped = None if estimate.stopped is None else int(estimate.stopped[i])
    certificate = {f"certificate_{n}": float(v[i]) for n, v in (estimate.certificate or {}).items()}
    converged = None if estimate.converged is None else bool(estimate.converged[i])
    return {"stopped": stopped, "converged": converged, **certificate}


def _costs(cell: Cell, outcome: Outcome, images: int) -> dict[str, Any]:
    """What one image and one draw took, and what the mean of the draws takes: all of them."""
    one = {"seconds": outcome.seconds / images / cell.draws, "evaluations": outcome.evaluations}
    all_draws = {f"{MEAN}{name}": value * cell.draws for name, value in one.items()} if cell.draws > 1 else {}
    return one | all_draws | {"peak_memory_mib": outcome.memory, "batch": outcome.batch or images, "draws": cell.draws}


def _lost(estimate: Estimate, draws: Draws | None) -> list[str]:
    """Of each image, what of it came back that is not finite, or nothing."""
    finite = estimate.x.flatten(1).isfinite().all(1)
    for part in (estimate.theta or {}).values():
        finite &= part.flatten(1).isfinite().all(1)
    lost = ["" if good else "non-finite output" for good in finite.tolist()]
    if draws is None or draws.samples is None:
        return lost
    counts = (~draws.samples.flatten(2).isfinite().all(2)).sum(1).tolist()
    some = [f"{count} of {draws.samples.shape[1]} draws are not finite" if count else "" for count in counts]
    return [drawn or plain for drawn, plain in zip(some, lost, strict=True)]


def _png(x: Tensor) -> bytes:
    """The image at 8 bits, lossless, for looking at; of a complex one its magnitude, of many channels a column."""
    from PIL import Image

    x = x if len(x) < 4 else x.flatten(0, 1)[None]
    pixels = ((metrics.as_image(x[None])[0].clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, "png")
    return buffer.getvalue()
