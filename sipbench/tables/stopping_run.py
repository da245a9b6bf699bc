"""`sipbench table early_stopping`: run an untrained method to its end, let every stopping rule look on, and score both.

The rules see the iterates alone, and one run serves them all. The truth joins when the run is over: then the iterate
that each rule chose is scored, and beside it the best one, which only the truth can tell (`oracle`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sipbench import configs, metrics
from sipbench.bench import guard, record
from sipbench.bench.run import Bench, Report
from sipbench.bench.watch import Follow
from sipbench.configs import built
from sipbench.errors import UserError
from sipbench.problem import Rng, Stopper
from sipbench.report.progress import Progress
from sipbench.tables import stopping, stopping_sheets
from sipbench.tables.stopping import Run


def run_stopping(name: str, profile: str, words: list[str]) -> int:
    """Compute what the table lacks, print and write it."""
    spec = stopping.load(name, profile, words)
    todo = [(run, missing) for run in spec.runs if (missing := run.missing())]
    began = time.monotonic()
    progress = Progress([(run.title, len(missing)) for run, missing in todo])
    for run, missing in todo:
        progress.cell(run.title)
        bench, size = Bench.of(run.cell), run.cell.batch_size
        for k in range(0, len(missing), size):
            rows = batch(run, bench, missing[k : k + size], progress.step)
            for row in rows:
                run.write(row["image"], row)
            progress.landed(rows)
    progress.close()
    print(f"{sum(len(m) for _, m in todo)} images in {time.monotonic() - began:.0f} s", file=sys.stderr)
    frame = stopping_sheets.collect(spec)
    paths = stopping_sheets.write(spec, frame)
    print(stopping_sheets.render(spec, frame))
    print("written: " + ", ".join(str(path) for path in paths))
    return int(bool(frame["failed"].gt(0).any()))


def batch(run: Run, bench: Bench, images: Sequence[int], report: Report | None = None) -> list[dict[str, Any]]:
    """The rows of a batch, each with what it takes to repeat it; what goes wrong becomes rows with the reason."""
    made_with = record.provenance(bench.device)
    try:
        rows = [row | {"status": "ok", "reason": ""} for row in watched(run, bench, images, report)]
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]
        said = {"status": "failed", "reason": reason, "traceback": guard.story(error)}
        rows = [{"image": image} | said for image in images]
    return [row | made_with for row in rows]


def watched(run: Run, bench: Bench, images: Sequence[int], report: Report | None) -> list[dict[str, Any]]:
    """Solve, the rules looking on; then score what each chose."""
    problem = bench.pose(images)
    film = Film(report, rules=judges(run, problem.y, problem.shape, problem.rng), every=run.every)
    solver = partial(run.cell.solver, **built(run.cell.options))
    film.start()
    own = replace(problem, y=bench.handed(problem.y), rng=problem.rng.child("solver"), _watch=film)
    with guard.Guard(own, {}) as watched_by:
        solver(own)
    watched_by.check()
    seconds = film.seconds
    truth = bench.truth(images, problem)
    assert truth is not None
    rows = score(run, images, truth.x, film, seconds, problem.f.symmetries)
    return [row | {"y_sha256": record.y_hash(y)} for row, y in zip(rows, problem.y, strict=True)]


def judges(run: Run, y: Tensor, shape: Sequence[int], rng: Rng) -> dict[str, tuple[Stopper, int]]:
    """Each rule, ready to look on, and the iteration after which it no longer does."""
    like, made = torch.zeros(tuple(shape), dtype=y.dtype, device=y.device), {}
    for name, rule in run.rules.items():
        options = {k: v for k, v in rule.items() if k not in ("_target_", "title", "limit")}
        made[name] = (configs.locate(rule["_target_"])(like=like, rng=rng.child(name), **options), rule.get("limit"))
    return {name: (judge, run.iterations if limit is None else limit) for name, (judge, limit) in made.items()}


@dataclass
class Film(Follow):
    """Keeps every so many iterates in half precision, and shows each to the rules. It holds no truth."""

    rules: dict[str, tuple[Stopper, int]] = field(default_factory=dict)
    every: int = 1
    frames: list[Tensor] = field(default_factory=list)
    losses: list[Tensor] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    def show(self, x_hat: Tensor, loss: Tensor | None) -> None:
        k = self.shown
        self.shown += 1
        with self._aside(x_hat.device):
            if k % self.every == 0:
                self.frames.append(x_hat.detach().to("cpu", torch.float16, copy=True))
                self.losses += [] if loss is None else [loss.detach().float().cpu()]
            for name, (rule, limit) in self.rules.items():
                began = time.perf_counter()
                if k < limit:
                    rule.update(k, x_hat.detach(), loss=loss)
                self.spent[name] = self.spent.get(name, 0.0) + time.perf_counter() - began


def score(
    run: Run, images: Sequence[int], x: Tensor, film: Film, seconds: float, symmetries: tuple[str, ...]
) -> list[dict[str, Any]]:
    """What each rule returned, and the best of what was there."""
    names = ("psnr", "ssim")
    along = torch.stack([metrics.evaluate(("psnr",), f.float(), x, symmetries)["psnr"] for f in film.frames])
    best = along.argmax(0)
    picked = torch.stack([film.frames[int(k)][i] for i, k in enumerate(best)]).float()
    oracle = metrics.evaluate(names, picked, x, symmetries)
    chosen = {
        name: metrics.evaluate(names, rule.best.float().cpu(), x, symmetries) for name, (rule, _) in film.rules.items()
    }
    rows = []
    for i, image in enumerate(images):
        rules = {
            name: {
                **{metric: float(chosen[name][metric][i]) for metric in names},
                "stopped": int(rule.stopped[i]),
                "until": min(int(rule.stopped[i]) + rule.patience, limit),
                "share": film.spent[name] / seconds,
            }
            for name, (rule, limit) in film.rules.items()
        }
        rows.append(
            {
                "image": image,
                "rules": rules,
                "oracle": {m: float(oracle[m][i]) for m in names} | {"at": int(best[i]) * run.every},
                "seconds": seconds / film.shown / len(images),
                "curve": [round(float(v), 3) for v in along[:, i]],
                "loss": [float(loss[i]) for loss in film.losses],
            }
        )
    return rows
