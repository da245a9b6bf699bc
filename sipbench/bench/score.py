"""From an estimate to figures: the metrics of each image, along the way too. The truth joins only here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sipbench import metrics
from sipbench.bench.probe import BEST, Seen
from sipbench.bench.watch import Snapshot
from sipbench.metrics.posterior import Judge
from sipbench.operators.base import Operator
from sipbench.problem import Estimate, Problem

GAPS = {"psnr": "gap", "ssim": "ssim_gap"}  # by metric, the column that says how far a chosen iterate is below it


@dataclass(frozen=True)
class Truth:
    """What only the score may see: x, and where f is blind theta, and how to deblur y with the true kernel.

    Of a dataset that is a density also what judges so many draws of each image, from its exact posterior.

    Attributes:
        near: which x each of some estimates is held against, where there are several; x is one of them.
        margin: the border of x that is not known, or None where only f leaves one out.
    """

    x: Tensor
    theta: Mapping[str, Tensor] | None = None
    best: Callable[[], Tensor | None] = lambda: None
    posteriors: Callable[[int], Sequence[Judge]] | None = None
    near: Callable[[Tensor], Tensor] | None = None
    margin: tuple[int, int] | None = None

    def like(self, x_hat: Tensor) -> Tensor:
        """The x that these estimates are held against."""
        return (self.x if self.near is None else self.near(x_hat)).to(x_hat)

    def within(self, f: Operator) -> tuple[int, int]:
        """The border that is not compared."""
        return f.margin if self.margin is None else self.margin


def score_images(
    names: Sequence[str], estimate: Estimate, truth: Truth | None, problem: Problem
) -> dict[str, list[float]]:
    """The metrics of each image and how well it explains y: `residual` in the units of y, `residual_ratio` in sigma.

    An estimate is first aligned with the truth over the symmetries that f declares. A blind estimate adds what its
    kernel is like. Without a truth only the figures that need none are there; the others are not a number.
    """
    values = {n: v.tolist() for n, v in evaluate(names, estimate.x, truth, problem.f).items()}
    residual, ratio = metrics.feasibility(problem, estimate)
    values |= {"residual": residual.tolist(), "residual_ratio": ratio.tolist()}
    if truth is not None and truth.theta is not None and "kernel" in truth.theta:
        found = None if estimate.theta is None else estimate.theta.get("kernel")
        values["kernel_similarity"] = metrics.kernel_similarity(found, truth.theta["kernel"]).tolist()
    return values


def evaluate(names: Sequence[str], x_hat: Tensor, truth: Truth | None, f: Operator) -> dict[str, Tensor]:
    """Each metric, (B,); not a number without a truth."""
    if truth is None:
        return {name: torch.full((len(x_hat),), torch.nan) for name in names}
    return metrics.evaluate(names, x_hat, truth.like(x_hat), f.symmetries, truth.within(f), truth.best)


def curves(names: Sequence[str], snapshots: list[Snapshot], truth: Truth | None, f: Operator) -> dict[str, list[Any]]:
    """The metrics of what the solver showed on its way, at log-spaced steps."""
    found: dict[str, list[Any]] = {name: [] for name in names}
    for shot in snapshots:
        for name, value in evaluate(names, shot.x_hat, truth, f).items():
            found[name].append(value.tolist())
    found["step"] = [s.step for s in snapshots]
    found["seconds"] = [s.seconds for s in snapshots]
    found["loss"] = [s.loss.tolist() for s in snapshots if s.loss is not None and s.loss.ndim]
    return found


def oracle(names: Sequence[str], scores: dict[str, float], curves: dict[str, list[Any]], i: int) -> dict[str, float]:
    """The best along the way, of each metric by itself, picked with the truth in hand: never a method's score.

    A metric that has no better side has no best.
    """
    best = {}
    for name in names:
        if metrics.METRICS[name].higher_is_better is None:
            best[f"oracle_{name}"] = float("nan")
            continue
        pick = max if metrics.METRICS[name].higher_is_better else min
        seen = [c[i] for c in curves[name] if c[i] == c[i]]
        best[f"oracle_{name}"] = pick([scores[name], *seen]) if scores[name] == scores[name] else float("nan")
    return best


def score_seen(
    names: Sequence[str], seen: Seen | None, truth: Truth | None, problem: Problem
) -> tuple[dict[str, Sequence[Any]], dict[str, Tensor]]:
    """The columns that a probe adds, one value an image each, and the iterates that are kept, the best among them."""
    if seen is None:
        return {}, {}
    columns, chosen = dict(seen.columns), dict(seen.chosen)
    if seen.frames:
        steps, frames = [k for k, _ in seen.frames], [x for _, x in seen.frames]
        psnr = torch.stack([evaluate(("psnr",), x.float(), truth, problem.f)["psnr"] for x in frames])
        columns |= {"along_step": [steps] * len(psnr[0]), "along_psnr": psnr.T.tolist()}
        if truth is not None:
            best = psnr.where(~psnr.isnan(), -torch.inf).argmax(0).tolist()
            chosen[BEST] = torch.stack([frames[k][i] for i, k in enumerate(best)])
            columns[f"{BEST}_stopped"] = [steps[k] for k in best]
    return columns | score_chosen(names, chosen, truth, problem), chosen


def score_chosen(
    names: Sequence[str], chosen: Mapping[str, Tensor], truth: Truth | None, problem: Problem
) -> dict[str, list[float]]:
    """What `score_images` says of each iterate that was chosen, as `NAME_psnr`.

    Beside it what the best has in its place, as `oracle_NAME_psnr`, and how far below that it is, as `NAME_gap`.
    """
    scores = {
        part: score_images(names, Estimate(x.to(problem.device).float()), truth, problem) for part, x in chosen.items()
    }
    columns = {f"{part}_{name}": values for part, found in scores.items() for name, values in found.items()}
    best = scores.pop(BEST, {})
    for part, found in scores.items():
        for name in (name for name in names if name in best):
            columns[f"oracle_{part}_{name}"] = best[name]
            if name in GAPS:
                columns[f"{part}_{GAPS[name]}"] = [b - v for b, v in zip(best[name], found[name], strict=True)]
    return columns
