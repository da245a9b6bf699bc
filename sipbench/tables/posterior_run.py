"""`sipbench table posterior`: draw from posteriors that are known, and say how near the draws are."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sipbench import configs
from sipbench.bench import record
from sipbench.bench.needs import unmet
from sipbench.bench.run import Report
from sipbench.bench.watch import Counted, Follow, counting
from sipbench.configs import built
from sipbench.errors import UserError
from sipbench.metrics.posterior import Judge
from sipbench.noise import Gaussian
from sipbench.operators.blur import Blur
from sipbench.operators.convolution import Convolution
from sipbench.priors.base import Prior
from sipbench.priors.latent import LatentPrior
from sipbench.problem import Estimate, Problem, Rng
from sipbench.report.progress import Progress
from sipbench.tables import posterior, posterior_sheets
from sipbench.tables.posterior import PosteriorSpec, Task
from sipbench.testing.stand_ins import Shuffle


def run_posterior(name: str, profile: str, words: list[str]) -> int:
    """Compute what the table lacks, print and write it. Exit code 1 where a solver failed."""
    spec = posterior.load(name, profile, words)
    reasons = {(task.method, task.name): obstacle(task) for task in spec.tasks}
    todo = [(task, spec.missing(task)) for task in spec.tasks if reasons[task.method, task.name] is None]
    began = time.monotonic()
    compute(spec, [(task, missing) for task, missing in todo if missing])
    print(f"{sum(len(m) for _, m in todo)} measurements in {time.monotonic() - began:.0f} s", file=sys.stderr)
    records = posterior_sheets.collect(spec, reasons)
    paths = posterior_sheets.write(spec, records)
    print(posterior_sheets.render(spec, records))
    print("written: " + ", ".join(str(path) for path in paths))
    return int(any(record["failed"] for record in records))


def compute(spec: PosteriorSpec, todo: list[tuple[Task, list[int]]]) -> None:
    """Do these measurements; each row is stored as soon as it is there."""
    judges: dict[tuple[str, int], Judge] = {}
    progress = Progress([(f"{task.name}/{task.method}", len(missing)) for task, missing in todo], unit="measurements")
    for task, missing in todo:
        progress.cell(f"{task.name} / {task.method}")
        for k in missing:
            judge = judges.get((task.name, k)) or judges.setdefault((task.name, k), judged(task, k))
            row = measurement_row(task, k, judge, progress.step)
            task.write(k, row | record.provenance(torch.device("cpu")))
            progress.landed([row])
    progress.close()


def obstacle(task: Task) -> str | None:
    """Why a method cannot do a problem, or None. A misspelt option is an error, not an obstacle."""
    if not task.exists:
        return "its solver is not part of sipbench yet"
    posed = pose(task, 0, copies=1)
    reason = unmet(task.node, "this problem", posed.f, posed.noise, posed.prior)
    if reason is None:
        _ = task.cell.solver
    return reason


def measurement_row(task: Task, measurement: int, judge: Judge, report: Report | None = None) -> dict[str, Any]:
    """The row of one measurement; what goes wrong becomes a row with the reason."""
    try:
        x, cost = draw(task, measurement, report)
    except UserError:
        raise
    except Exception as error:
        return {"status": "failed", "reason": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    lost = int((~x.flatten(1).isfinite().all(1)).sum())
    if lost:
        return {"status": "failed", "reason": f"{lost} of {len(x)} draws are not finite", **cost}
    return {"status": "ok", "reason": "", **judge.scores(x), **cost}


def draw(task: Task, measurement: int, report: Report | None = None) -> tuple[Tensor, dict[str, float]]:
    """Draws of a solver, one an image of a batch of copies of one measurement, or the ensemble of a single one.

    Beside them the seconds of all, and the evaluations of one.
    """
    problem, solver = pose(task, measurement), partial(task.cell.solver, **built(task.cell.options))
    follow = Follow(report)
    with counting(problem, {}) as evaluations:
        follow.start()
        result = solver(replace(problem, _watch=follow))
        seconds = follow.seconds
    x = result.x if isinstance(result, Estimate) else result
    if task.copies == 1 and isinstance(result, Estimate) and result.samples is not None:
        x = result.samples[0]
    return x.detach(), {"seconds": seconds, "evaluations": evaluations() * task.copies / task.n}


def pose(task: Task, measurement: int, *, copies: int | None = None) -> Problem:
    """Copies of one measurement y = f(x) + noise, x from the prior, and a stream a draw; double precision."""
    n = task.copies if copies is None else copies
    prior, same = _prior(task), Rng.of(0, f"posterior/{task.name}", [measurement] * n)
    shape, sigma = tuple(prior.image_shape), float(task.problem["sigma"])
    f = configs.build(task.problem["operator"], (n, *shape), same.child("operator").portable)
    if isinstance(f, Blur):
        f.convolution = Together(f.convolution.image, f.convolution.kernel, f.convolution.boundary)
    x = configs.build(task.problem["prior"]).sample(same.child("x").portable)
    y = Gaussian(sigma)(f(x), same.child("noise").portable)
    streams = Rng.of(measurement, f"posterior/{task.name}/draws", range(n))
    setting = {"dataset": "posterior", "degradation": task.name}
    return Problem(y, f, Gaussian(sigma), (n, *shape), Counted(prior), streams, setting)  # pyright: ignore


def judged(task: Task, measurement: int) -> Judge:
    """The exact posterior of a measurement, ready to judge draws."""
    posed, prior = pose(task, measurement, copies=1), configs.build(task.problem["prior"])
    return Judge(prior.posterior(posed.f, posed.y, task.problem["sigma"]), task.n, seed=measurement)


class Together(Convolution):
    """A convolution of all copies at once: they need not round as each would by itself."""

    def filtered(self, x: Tensor, transfer: Tensor) -> Tensor:
        return self._filtered(x, transfer)

    def filtered_back(self, y: Tensor, transfer: Tensor) -> Tensor:
        return self._filtered_back(y, transfer)


class Recoded(Prior):
    """An image prior as one of codes: a permutation of the pixels leaves white noise white."""

    def __init__(self, images: Prior, codec: Shuffle) -> None:
        super().__init__(images.schedule)
        c, h, w = images.image_shape
        self.images, self.codec, self.shape = images, codec, (4 * c, h // 2, w // 2)

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.codec.encode(self.images.denoise(self.codec.decode(x_t), t))


def _prior(task: Task) -> Prior:
    """The problem's prior, on the schedule and as the kind that the method is made for."""
    needs, kind = (task.node.get("needs") or [], task.node.get("prior")) if task.exists else ([], None)
    schedule = task.entry.get("schedule") or ("flow" if kind == "flow" else "vp")
    prior = configs.build({**task.problem["prior"], "schedule": schedule})
    if "prior.latent" not in needs:
        return prior
    codec = Shuffle(prior.image_shape)
    return LatentPrior(Recoded(prior, codec), codec)
