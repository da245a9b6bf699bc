"""The public names for notebooks: pose a problem, solve it, score what comes back."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from sipbench import configs
from sipbench.bench import applies, guard, validate
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.needs import unmet, wants_prior
from sipbench.bench.run import Bench
from sipbench.bench.score import Truth, score_images
from sipbench.bench.score_draws import Draws, score_draws
from sipbench.errors import UserError
from sipbench.problem import Estimate, Problem

if TYPE_CHECKING:
    import pandas as pd

YOURS = "your problem"  # how one that was built by hand is named
COMMAND = r"sipbench \w[^;,]*"  # what is to be typed in a shell is that everywhere
WORD = r"(?<![\w.])([a-z_]+(?:\.\w+)*)=([\w./-]+|\[[^\]]*\])"


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
    with _in_python(pose):
        cell = _cell([*words, "method=pinv", "prior=none"])
        bench = Bench.of(cell, check=False)
        problem = bench.told(cell.images)
        truth = bench.truth(cell.images, problem)
    words = [w for w in words if not w.startswith("images=")]
    setting = {**problem.setting, "overrides": tuple(words), "images": tuple(cell.images)}
    return replace(problem, setting=setting), truth.x if truth is not None else None


def solve(
    problem: Problem,
    method: str = "pinv",
    *,
    prior: str | None = None,
    trained_on: str | None = None,
    path: str | None = None,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    **options: Any,
) -> Estimate:
    """What a method makes of a problem. Options are the solver's keyword arguments, under the paper's names.

    A problem that was built by hand is solved with the paper's defaults and the prior that it brings.

    Args:
        prior: another prior than that of the problem's dataset.
        trained_on: the dataset that trained networks come from, and the prior; the problem's own, unless this says.
        path: the file of a network made elsewhere, for the methods that take one.
        recipe: trains first what the method lacks, as conf/recipe/NAME.yaml says; stored below results/trained.
        overrides: more settings as on the command line, such as "recipe.images=64".
    """
    named = {"prior": prior, "trained_on": trained_on, "path": path, "recipe": recipe}
    words = [*(f"{name}={value}" for name, value in named.items() if value is not None), *overrides]
    posed = "overrides" in problem.setting
    with _in_python(solve):
        bench = _posed(problem, method, words, options) if posed else _by_hand(problem, method, words, options)
        validate.taken([bench.cell.method], path)
    public = {k: problem.setting.get(k, YOURS) for k in ("dataset", "degradation")}  # not how to pose it again
    try:
        return bench.solve(replace(problem, prior=bench.prior, setting=public), None).estimate
    except RuntimeError as error:
        if said := applies.other_channels(bench.cell, problem.shape[1]):
            raise NotApplicable(said) from error
        raise


def score(
    estimate: Estimate | Tensor, truth: Tensor | None, problem: Problem, metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """One row an image: the metrics, or those that are named, and how well the estimate explains the measurement.

    An estimate with samples adds the figures of its draws: of their mean, spread and coverage.
    Where f is blind, and the problem was posed here, the row also says how like the true kernel the estimate's is. Of a
    real measurement nobody knows a kernel, nor a noise level that was not told: nothing is said of them.
    """
    found = guard.own(estimate)
    found = replace(found, x=found.x.float())
    if "overrides" not in problem.setting:
        known = None if truth is None else Truth(truth)
        names = metrics or _cell(["method=pinv", "prior=none"]).metrics
        return _scored(names, found, known, problem)
    cell = _cell([*problem.setting["overrides"], f"images={list(problem.setting['images'])}"])
    bench = Bench.of(cell, check=False)
    theta = bench.theta(cell.images, problem.f)
    known = None if truth is None else Truth(truth, theta, bench.best(problem, theta))
    if known is not None and cell.paired:
        known = replace(bench.truth(cell.images, problem) or known, x=known.x)
    return _scored(metrics or cell.metrics, found, known, bench.as_known(problem, cell.images))


def _scored(names: Sequence[str], estimate: Estimate, truth: Truth | None, problem: Problem) -> pd.DataFrame:
    import pandas as pd

    values = score_images(names, estimate, truth, problem)
    if estimate.samples is not None:
        values |= score_draws(names, Draws.of(estimate.samples, problem.f), estimate, truth, problem)
    return pd.DataFrame(values)


def _posed(problem: Problem, method: str, words: list[str], options: dict[str, Any]) -> Bench:
    cell = replace(_cell([*problem.setting["overrides"], f"method={method}", *words]), typed=options)
    if cell.draws > 1:
        raise UserError("draws are made by a cell, as in sipbench method=dps draws=8; solve makes one")
    bench = Bench.of(cell)
    if not bench.lacking:
        return bench
    from sipbench.training.learned import prepare

    prepare(cell)
    return Bench.of(cell)


def _by_hand(problem: Problem, method: str, words: list[str], options: dict[str, Any]) -> Bench:
    """The method without a prior of its own; NotApplicable says what the problem lacks."""
    if set(configs.Overrides(words).keys) & {"prior", "recipe"}:
        why = (
            "a problem that was built by hand brings its prior, Problem(..., prior=...), and nothing is trained for it"
        )
        raise UserError(f"{why}: recipe and prior are for one that was posed")
    cell = _cell([f"method={method}", "prior=none", "profile=paper", f"device={problem.device}", *words])
    node = cell.degradation | {"name": problem.setting.get("degradation", YOURS)}
    bench = Bench.of(replace(cell, typed=options, degradation=node), check=False)
    reason = unmet(cell.method, node["name"], problem.f, problem.noise, problem.prior)
    if reason:
        raise NotApplicable(reason)
    if wants_prior(cell.method) and tuple(problem.prior.image_shape) != tuple(problem.shape[1:]):
        own, wanted = tuple(problem.prior.image_shape), tuple(problem.shape[1:])
        raise NotApplicable(f"the prior of this problem is for images {own}, not {wanted}")
    return replace(bench, prior=problem.prior)


@contextmanager
def _in_python(function: Callable[..., Any]) -> Iterator[None]:
    """A mistake that advises a word of the command line says how that is written here."""
    try:
        yield
    except UserError as error:
        own = inspect.signature(function).parameters
        advised = re.findall(WORD, re.sub(COMMAND, "", str(error)))
        word = next((f"{key}={value.rstrip('.')}" for key, value in advised if key not in own), None)
        if word is not None:
            error.args = (f"{str(error).rstrip('.')}. In Python: overrides=[{word!r}]",)
        raise


def _cell(words: list[str]) -> Cell:
    return Cell.of(configs.compose(words), words)
