"""The public names for notebooks: pose a problem, solve it, score what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.run import Bench
from sipbench.problem import Estimate, Problem

if TYPE_CHECKING:
    import pandas as pd


def pose(
    dataset: str = "faces",
    degradation: str = "sr4",
    images: int | Sequence[int] = 8,
    size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    overrides: Sequence[str] = (),
) -> tuple[Problem, Tensor | None]:
    """A problem, and apart from it the truth that only `score` may see (None for real measurements).

    Args:
        images: how many of the test split, or which.
        size: pixels along one side; None takes the dataset's usual size.
        overrides: more settings as on the command line, such as "degradation.noise.sigma=0.1".
    """
    chosen = images if isinstance(images, int) else list(images)
    words = [f"dataset={dataset}", f"degradation={degradation}", f"images={chosen}", f"seed={seed}"]
    words += [f"device={device}", *([f"size={size}"] if size else []), *overrides]
    cell = _cell([*words, "method=pinv", "prior=none"])
    bench = Bench.of(cell, check=False)
    problem = bench.pose(cell.images)
    truth = bench.truth(cell.images, problem)
    words = [w for w in words if not w.startswith("images=")]
    setting = {**problem.setting, "overrides": tuple(words), "images": tuple(cell.images)}
    return replace(problem, setting=setting), truth.x if truth is not None else None


def solve(problem: Problem, method: str = "pinv", **options: Any) -> Estimate:
    """What a method makes of a problem. Options are the solver's keyword arguments, under the paper's names."""
    bench = _bench(problem, method, options)
    public = {k: problem.setting[k] for k in ("dataset", "degradation")}  # not how to pose it again, truth and all
    return bench.solve(replace(problem, prior=bench.prior, setting=public), None).estimate


def score(estimate: Estimate | Tensor, truth: Tensor | None, problem: Problem) -> pd.DataFrame:
    """One row an image: the metrics, and how well the estimate explains the measurement.

    Where f is blind the row also says how like the true kernel the estimate's is.
    """
    import pandas as pd

    from sipbench.bench.record import Truth, score_images

    found = estimate if isinstance(estimate, Estimate) else Estimate(estimate)
    cell = _cell([*problem.setting["overrides"], f"images={list(problem.setting['images'])}"])
    theta = Bench.of(cell, check=False).theta(cell.images, problem.f) if problem.f.blind else None
    known = None if truth is None else Truth(truth, theta)
    found = replace(found, x=found.x.detach().float())
    return pd.DataFrame(score_images(cell.cfg["metrics"], found, known, problem))


def _bench(problem: Problem, method: str, options: dict[str, Any]) -> Bench:
    cell = _cell([*problem.setting["overrides"], f"method={method}"])
    return Bench.of(replace(cell, chosen=options))


def _cell(words: list[str]) -> Cell:
    return Cell.of(configs.compose(words), words)
