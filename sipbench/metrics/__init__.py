"""Metrics: what compares an estimate with the truth, image by image, and what asks whether it explains y.

An image metric is a function ``(x_hat, x) -> (B,)`` of images (B, C, H, W) in [-1, 1]; it maps them to its own range.
Values are per image and never pooled over a batch. A non-finite estimate is the harness's to catch: its values mean
nothing here, but nothing crashes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from sipbench import configs
from sipbench.errors import unknown
from sipbench.metrics import backbones, perception
from sipbench.metrics.alignment import (
    align,
    error_ratio,
    point_error,
    psnr_aligned,
    ratio_below,
    relative_error,
    relative_error_db,
    success,
)
from sipbench.metrics.declared import declared
from sipbench.metrics.deconvolution import deblurred
from sipbench.metrics.feasibility import feasibility, residual
from sipbench.metrics.fidelity import psnr, psnr_y, ssim, ssim_gaussian
from sipbench.metrics.kernels import kernel_similarity
from sipbench.metrics.perception import lpips_alex, lpips_vgg
from sipbench.metrics.shifts import inside

__all__ = [
    "METRICS",
    "HEADINGS",
    "Metric",
    "align",
    "as_image",
    "available",
    "deblurred",
    "error_ratio",
    "evaluate",
    "feasibility",
    "kernel_similarity",
    "lpips_alex",
    "lpips_vgg",
    "obstacle",
    "point_error",
    "psnr",
    "psnr_aligned",
    "psnr_y",
    "relative_error",
    "residual",
    "ssim",
    "ssim_gaussian",
    "success",
]


class ImageMetric(Protocol):
    """What compares estimates (B, C, H, W) with the truth, image by image."""

    def __call__(self, x_hat: Tensor, x: Tensor, /) -> Tensor:
        """One value an image, (B,)."""
        ...


@dataclass(frozen=True)
class Metric:
    """An image metric, how a table shows it, and on what images it is defined.

    Attributes:
        function: what it computes.
        higher_is_better: which way is up; None where a value in between is right.
        title: the heading of its column.
        unit: "dB" or nothing.
        smallest: the least height and width.
        channels: the numbers of channels it takes; empty says any.
        backbone: the network whose weights it needs, or None.
        whole: of a complex image it compares real and imaginary part; the others compare magnitudes.
        aligned: whether the estimate is first moved over the symmetries of the problem.
        against_best: it also takes a deblurring with the true kernel, which only blind deblurring has.
        places: the decimals that a table prints, where it has no unit.
        proportion: it is 0 or 1 of an image, so that its mean is a share.
        of_draws: it compares many draws with an exact posterior, which only a dataset that is a density has: a `Judge`
            of metrics/posterior.py gives it. A single image has none.
    """

    function: ImageMetric | Callable[[Tensor, Tensor, Tensor], Tensor]
    higher_is_better: bool | None
    title: str
    unit: str = ""
    smallest: int = 1
    channels: tuple[int, ...] = ()
    backbone: str | None = None
    whole: bool = False
    aligned: bool = True
    against_best: bool = False
    of_draws: bool = False
    places: int = 3
    proportion: bool = False

    @property
    def arrow(self) -> str:
        return "" if self.higher_is_better is None else "↑" if self.higher_is_better else "↓"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether it is defined on images of this shape (B, C, H, W)."""
        if self.of_draws:
            return False
        return min(shape[-2:]) >= self.smallest and (not self.channels or shape[1] in self.channels)


def undefined(x_hat: Tensor, x: Tensor) -> Tensor:
    """What a figure of draws makes of one image: not a number."""
    return x_hat.new_full((len(x_hat),), torch.nan)


OWN: dict[str, Metric] = {
    "psnr": Metric(psnr, True, "PSNR", unit="dB"),
    "psnr_aligned": Metric(psnr_aligned, True, "PSNR (aligned)", unit="dB"),
    "ssim": Metric(ssim, True, "SSIM", smallest=7),
    "ssim_gaussian": Metric(ssim_gaussian, True, "SSIM (Gaussian)", smallest=6),
    "lpips_alex": Metric(lpips_alex, False, "LPIPS", smallest=perception.SMALLEST, channels=(1, 3), backbone="alex"),
    "lpips_vgg": Metric(lpips_vgg, False, "LPIPS (VGG)", smallest=perception.SMALLEST, channels=(1, 3), backbone="vgg"),
    "psnr_y": Metric(psnr_y, True, "PSNR (luma)", unit="dB", smallest=9, channels=(3,)),
    "relative_error": Metric(relative_error, False, "relative error", whole=True),
    "relative_error_db": Metric(relative_error_db, False, "error, dB", unit="dB", whole=True),
    "relative_error_unaligned": Metric(relative_error, False, "relative error, not aligned", whole=True, aligned=False),
    "point_error": Metric(point_error, False, "error × 10³", whole=True, places=2),
    "success": Metric(success, True, "success", whole=True, proportion=True),
    "error_ratio": Metric(error_ratio, False, "error ratio", against_best=True),
    "success_2": Metric(partial(ratio_below, 2.0), True, "ratio < 2", against_best=True, proportion=True),
    "success_3": Metric(partial(ratio_below, 3.0), True, "ratio < 3", against_best=True, proportion=True),
    "posterior_ratio": Metric(undefined, False, "W/floor", of_draws=True, places=2),
    "posterior_distance": Metric(undefined, False, "W", of_draws=True, places=4),
    "posterior_floor": Metric(undefined, None, "floor", of_draws=True, places=4),
    "posterior_mmse_gap": Metric(undefined, False, "MMSE gap", unit="dB", of_draws=True),
    "posterior_inside50": Metric(undefined, None, "inside 50 %", of_draws=True, places=2),
    "posterior_inside90": Metric(undefined, None, "inside 90 %", of_draws=True, places=2),
    "posterior_coverage50": Metric(undefined, None, "coverage 50 %", of_draws=True, places=2),
    "posterior_coverage90": Metric(undefined, None, "coverage 90 %", of_draws=True, places=2),
}


class Registry(Mapping[str, Metric]):
    """Every metric by name: those above, then those that a YAML in conf/metric declares, a plugin's too."""

    def __init__(self) -> None:
        self._found: dict[tuple[Path, ...], dict[str, Metric]] = {}

    @property
    def _every(self) -> dict[str, Metric]:
        key = tuple(configs.folders())  # a plugin may come while the process runs
        if key not in self._found:
            taken = {name: metric.title for name, metric in OWN.items()}
            self._found[key] = OWN | {name: Metric(**said) for name, said in declared(taken)}
        return self._found[key]

    def __getitem__(self, name: str) -> Metric:
        return OWN[name] if name in OWN else self._every[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._every)

    def __len__(self) -> int:
        return len(self._every)


class Titles(Mapping[str, str]):
    """The name of each metric by its title."""

    def _every(self) -> dict[str, str]:
        return {metric.title: name for name, metric in METRICS.items()}

    def __getitem__(self, title: str) -> str:
        return self._every()[title]

    def __iter__(self) -> Iterator[str]:
        return iter(self._every())

    def __len__(self) -> int:
        return len(self._every())


METRICS: Mapping[str, Metric] = Registry()
HEADINGS: dict[str, Mapping[str, str]] = {
    "dmplug": {"LPIPS": "lpips_alex", "PSNR": "psnr", "SSIM": "ssim"},
    "sipbench": Titles(),
}
"""What a published table's headings stand for: variants of SSIM and LPIPS are not comparable with each other."""


def available(name: str, *, download: bool = False) -> str | None:
    """None where the metric can be computed, else one line that says what it lacks and how to get it.

    ``download`` allows one attempt in a process to fetch absent weights.
    """
    backbone = _metric(name).backbone
    return None if backbone is None else backbones.missing(backbone, download=download)


def obstacle(name: str, shape: tuple[int, ...]) -> str | None:
    """None where two images of this shape (B, C, H, W) can be scored by it here, else why not, in a line."""
    metric = _metric(name)
    if metric.of_draws:
        return "it compares many draws with an exact posterior, which two images do not have"
    if metric.against_best:
        return "it compares with the deblurring by the true kernel, which only a blind problem has"
    if metric.channels and shape[1] not in metric.channels:
        return f"it is defined on {' or '.join(map(str, metric.channels))} channels, not on {shape[1]}"
    if not metric.fits(shape):
        return f"it is defined from {metric.smallest} x {metric.smallest} pixels on, not on {shape[3]} x {shape[2]}"
    return available(name)


def evaluate(
    names: Iterable[str],
    x_hat: Tensor,
    x: Tensor,
    symmetries: tuple[str, ...] = (),
    margin: tuple[int, int] = (0, 0),
    best: Callable[[], Tensor | None] = lambda: None,
) -> dict[str, Tensor]:
    """Each metric by name, (B,) in double precision on the CPU; NaN where it is unavailable or undefined.

    x_hat is first aligned with x over the symmetries, unless a metric takes it as it is; both lose the margin. ``best``
    makes the deblurring with the true kernel where a metric asks for it. Nothing is downloaded: ask
    ``available(name, download=True)`` before.
    """
    whole = (inside(align(x_hat, x, symmetries, margin), margin), inside(x, margin))
    images = tuple(as_image(v) for v in whole)
    scores = {}
    for name in names:
        metric = _metric(name)
        pair = whole if metric.whole else images
        pair = pair if metric.aligned else (inside(x_hat, margin), whole[1])
        if metric.against_best:
            goal = best()
            pair = (*pair, inside(align(goal.to(x), x, symmetries, margin), margin)) if goal is not None else ()
        if pair and metric.fits(tuple(pair[1].shape)) and available(name) is None:
            scores[name] = metric.function(*(v.clone() for v in pair)).double().cpu()  # one may work in place
        else:
            scores[name] = torch.full((len(x),), torch.nan, dtype=torch.float64)
    return scores


def as_image(x: Tensor) -> Tensor:
    """An image as it is, of a complex one (two channels) the magnitude: [0, 1] becomes [-1, 1]."""
    return 2 * x.norm(dim=1, keepdim=True) - 1 if x.shape[1] == 2 else x


def _metric(name: str) -> Metric:
    if name not in METRICS:
        raise unknown("metric", name, METRICS)
    return METRICS[name]
