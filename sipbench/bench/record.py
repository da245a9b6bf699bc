"""From a solver's outcome to rows: one an image, with its scores and all it takes to repeat them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sipbench import configs, device, metrics
from sipbench.bench.cell import PROTOCOL, Cell
from sipbench.bench.watch import Snapshot
from sipbench.datasets.reading import BadImage
from sipbench.operators.base import Operator
from sipbench.problem import Estimate, Problem

__all__ = ["BadImage", "Outcome", "Truth", "failures", "score", "score_images"]


@dataclass(frozen=True)
class Outcome:
    """What came back of a batch, and what it took."""

    estimate: Estimate
    seconds: float
    evaluations: float
    memory: float
    snapshots: list[Snapshot]


@dataclass(frozen=True)
class Truth:
    """What only the score may see: x, and theta where f is blind."""

    x: Tensor
    theta: Mapping[str, Tensor] | None = None


def score(
    cell: Cell, images: Sequence[int], truth: Truth | None, problem: Problem, outcome: Outcome
) -> list[dict[str, Any]]:
    """The rows of a batch. An estimate of the wrong shape or with a non-finite value is a failure.

    Without a truth only the figures that need none are there; the others are not a number.
    """
    x_hat = outcome.estimate.x
    if not isinstance(x_hat, Tensor) or tuple(x_hat.shape) != tuple(problem.shape):
        what = tuple(x_hat.shape) if isinstance(x_hat, Tensor) else type(x_hat).__name__
        return failures(cell, images, "wrong shape", f"returned {what}, expected a tensor of {problem.shape}")
    x_hat = x_hat.detach().float()
    finite = x_hat.flatten(1).isfinite().all(1)
    for part in (outcome.estimate.theta or {}).values():
        finite &= part.flatten(1).isfinite().all(1)
    finite = finite.tolist()
    names = cell.cfg["metrics"]
    values = score_images(names, replace(outcome.estimate, x=x_hat), truth, problem)
    certificate = {name: value.tolist() for name, value in (outcome.estimate.certificate or {}).items()}
    curves = _curves(names, outcome.snapshots, truth, problem.f)
    shared = _shared(cell, problem.device) | {
        "seconds": outcome.seconds / len(images),
        "evaluations": outcome.evaluations,
        "peak_memory_mib": outcome.memory,
        "batch": len(images),
    }
    rows = []
    for i, image in enumerate(images):
        row = shared | _names(cell, image) | {"y_sha256": _hash(problem.y[i])}
        if not finite[i]:
            rows.append(row | {"status": "failed", "reason": "non-finite output"})
            continue
        scores = {name: value[i] for name, value in values.items()}
        stopped = outcome.estimate.stopped
        row |= {"status": "ok", "reason": "", **scores, **_oracle(names, scores, curves, i)}
        row |= {"stopped": int(stopped[i]) if stopped is not None else None}
        row |= {f"certificate_{n}": v[i] for n, v in certificate.items()}
        row |= {"curve_step": curves["step"], "curve_seconds": curves["seconds"]}
        row |= {f"curve_{n}": [c[i] for c in curves[n]] for n in (*names, "loss") if curves[n]}
        if cell.cfg["keep_images"]:
            row["png"] = _png(x_hat[i])
        rows.append(row)
    return rows


def score_images(
    names: Sequence[str], estimate: Estimate, truth: Truth | None, problem: Problem
) -> dict[str, list[float]]:
    """The metrics of each image and how well it explains y: `residual` in the units of y, `residual_ratio` in sigma.

    An estimate is first aligned with the truth over the symmetries that f declares. A blind estimate adds what its
    kernel is like.
    """
    values = {n: v.tolist() for n, v in _evaluate(names, estimate.x, truth, problem.f).items()}
    residual, ratio = metrics.feasibility(problem, estimate)
    values |= {"residual": residual.tolist(), "residual_ratio": ratio.tolist()}
    if truth is not None and truth.theta is not None and "kernel" in truth.theta:
        found = None if estimate.theta is None else estimate.theta.get("kernel")
        values["kernel_similarity"] = metrics.kernel_similarity(found, truth.theta["kernel"]).tolist()
    return values


def _evaluate(names: Sequence[str], x_hat: Tensor, truth: Truth | None, f: Operator) -> dict[str, Tensor]:
    if truth is None:
        return {name: torch.full((len(x_hat),), torch.nan) for name in names}
    return metrics.evaluate(names, x_hat, truth.x.to(x_hat), f.symmetries, f.margin)


def failures(cell: Cell, images: Sequence[int], reason: str, detail: object) -> list[dict[str, Any]]:
    """A row for each image that came to nothing, with the reason."""
    text = " ".join(f"{reason}: {detail}".split())[:500]
    shared = _shared(cell, device.choose(cell.cfg["device"]))
    return [shared | _names(cell, image) | {"status": "failed", "reason": text} for image in images]


def _names(cell: Cell, image: int) -> dict[str, Any]:
    try:
        fingerprint = cell.dataset.fingerprint(image)
    except (BadImage, OSError):
        fingerprint = "unreadable"
    return {"image": image, "image_id": fingerprint}


def _shared(cell: Cell, at: torch.device) -> dict[str, Any]:
    """What all rows of a cell say alike."""
    cfg = cell.cfg
    return {
        "cell": cell.hash,
        "dataset": cfg["dataset"]["name"],
        "split": cfg["split"],
        "size": cfg["size"],
        "degradation": cell.degradation["name"],
        "noise": json.dumps(cell.degradation["noise"], sort_keys=True),
        "method": cell.method["name"],
        "profile": cell.profile,
        "tuned": cell.tuned,
        "options": json.dumps(cell.options, sort_keys=True, default=str),
        "seed": cfg["seed"],
        "protocol": PROTOCOL,
        "weights": json.dumps(cell.identity["weights"], sort_keys=True),
        "device": device.describe(at),
        **versions(),
    }


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
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip()


def _curves(names: Sequence[str], snapshots: list[Snapshot], truth: Truth | None, f: Operator) -> dict[str, list[Any]]:
    """The metrics of what the solver showed on its way, at log-spaced steps."""
    curves: dict[str, list[Any]] = {name: [] for name in names}
    for shot in snapshots:
        for name, value in _evaluate(names, shot.x_hat, truth, f).items():
            curves[name].append(value.tolist())
    curves["step"] = [s.step for s in snapshots]
    curves["seconds"] = [s.seconds for s in snapshots]
    curves["loss"] = [s.loss.tolist() for s in snapshots if s.loss is not None and s.loss.ndim]
    return curves


def _oracle(names: Sequence[str], scores: dict[str, float], curves: dict[str, list[Any]], i: int) -> dict[str, float]:
    """The best along the way, of each metric by itself, picked with the truth in hand: never a method's score."""
    best = {}
    for name in names:
        pick = max if metrics.METRICS[name].higher_is_better else min
        seen = [c[i] for c in curves[name] if c[i] == c[i]]
        best[f"oracle_{name}"] = pick([scores[name], *seen]) if scores[name] == scores[name] else float("nan")
    return best


def _hash(y: Tensor) -> str:
    return hashlib.sha256(y.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def _png(x: Tensor) -> bytes:
    """The image at 8 bits, lossless; of a complex image the magnitude."""
    from PIL import Image

    pixels = ((metrics.as_image(x[None])[0].clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(buffer, "png")
    return buffer.getvalue()
