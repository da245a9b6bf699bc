"""From draws to figures: of their mean, of their spread, and of how much they hold of the truth or of a posterior.

mean_psnr ...           each metric of the mean of the draws
spread                  the standard deviation of a pixel over the draws, averaged over the pixels
coverage50, coverage90  the part of the true pixels in the draws' central interval of 50 or 90 %
posterior_...           how near the draws are to a posterior that is known exactly
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sipbench import metrics
from sipbench.bench.score import Truth, evaluate
from sipbench.metrics.posterior import LEVELS, coverage
from sipbench.metrics.shifts import inside
from sipbench.operators.base import Operator
from sipbench.problem import Estimate, Problem

MEAN, OF_POSTERIOR = "mean_", "posterior_"
Values = dict[str, list[float]]


@dataclass(frozen=True)
class Draws:
    """What is known of the draws of a batch of images: their mean and standard deviation, (B, C, H, W), and they.

    Attributes:
        samples: (B, k, C, H, W), or None where they were too large to be kept.
    """

    mean: Tensor
    std: Tensor
    samples: Tensor | None = None

    @classmethod
    def of(cls, samples: Tensor, f: Operator) -> Draws:
        """Where f has symmetries, each draw is first aligned with the first: it is a mean of one thing."""
        like = samples[:, 0]
        aligned = [metrics.align(draw, like, f.symmetries, f.margin) for draw in samples.unbind(1)]
        same = torch.stack(aligned, 1) if f.symmetries else samples
        return cls(same.mean(1), same.std(1), samples)


def score_draws(
    names: Sequence[str], draws: Draws, estimate: Estimate, truth: Truth | None, problem: Problem
) -> Values:
    """The figures of these draws by column, a list over the images; not a number where what it takes is not there."""
    f, images = problem.f, [name for name in names if not metrics.METRICS[name].of_draws]
    mean = draws.mean.float()
    values = {f"{MEAN}{name}": v.tolist() for name, v in evaluate(images, mean, truth, f).items()}
    if not f.blind:  # whose draws have kernels of their own
        residual, ratio = metrics.feasibility(problem, replace(estimate, x=mean))
        values |= {f"{MEAN}residual": residual.tolist(), f"{MEAN}residual_ratio": ratio.tolist()}
    values["spread"] = inside(draws.std, f.margin).flatten(1).mean(1).tolist()
    for level in LEVELS:
        values[f"coverage{round(100 * level)}"] = _coverage(draws.samples, truth, f, level, len(mean))
    return values | _posterior([name for name in names if name not in images], draws.samples, truth, len(mean))


def _coverage(samples: Tensor | None, truth: Truth | None, f: Operator, level: float, n: int) -> list[float]:
    """Of each image, the part of the true pixels in the draws' central interval; all draws as the truth lies."""
    if samples is None or truth is None:
        return [float("nan")] * n
    x, margin = truth.like(samples[:, 0]), truth.within(f)
    aligned = [inside(metrics.align(draw, x, f.symmetries, margin), margin) for draw in samples.unbind(1)]
    x = inside(x, margin)
    return [coverage(torch.stack([d[i] for d in aligned]), x[i : i + 1].double(), level) for i in range(n)]


def _posterior(names: Sequence[str], samples: Tensor | None, truth: Truth | None, n: int) -> Values:
    """The figures of the exact posterior, where the dataset is a density."""
    if not names or samples is None or truth is None or truth.posteriors is None:
        return {name: [float("nan")] * n for name in names}
    judges = truth.posteriors(samples.shape[1])
    found = [judge.scores(x.cpu()) for judge, x in zip(judges, samples, strict=True)]
    return {name: [scores[name.removeprefix(OF_POSTERIOR)] for scores in found] for name in names}
