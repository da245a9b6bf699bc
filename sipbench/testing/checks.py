"""The contract of a solver, a function for each clause. Each looks at a trial and says what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from sipbench.bench.needs import wants_prior
from sipbench.testing.findings import Finding, verdict
from sipbench.testing.trial import Broke, Run, Trial

EXACT = 1e-7  # between an image in a batch and by itself, float64
TOLERANCE = 1e-4  # the same in float32, where an iteration makes rounding grow


def output(trial: Trial) -> Finding:
    x, shape = trial.base.x, tuple(trial.problem.shape)
    if not isinstance(x, Tensor):
        seen, good = f"{type(x).__name__}", False
    else:
        seen = f"{tuple(x.shape)} {str(x.dtype).removeprefix('torch.')} on {x.device}"
        good = tuple(x.shape) == shape and x.dtype == trial.problem.y.dtype and x.device == trial.problem.device
        samples = trial.base.estimate.samples
        if good and samples is not None and (samples.ndim != 5 or samples.shape[::2] != (shape[0], *shape[1::2])):
            seen, good = f"samples {tuple(samples.shape)}, which are (B, S, C, H, W)", False
        for name in ("stopped", "converged"):
            said = getattr(trial.base.estimate, name)
            if good and said is not None and tuple(said.shape) != shape[:1]:
                seen, good = f"{name} {tuple(said.shape)}, which is one value an image", False
    advice = "return the image as a tensor, or Estimate(x=image, ...); no channel or batch dimension added or dropped"
    return verdict("output", good, seen, f"a tensor {shape} float32 on the device of problem.y", advice)


def finite(trial: Trial) -> Finding:
    bad = int((~trial.base.x.isfinite()).sum())
    advice = "look for a division by a norm that is zero, a square root of a negative number, or too large a step"
    return verdict("finite", not bad, f"{bad} values are nan or infinite", "none", advice)


def in_range(trial: Trial) -> Finding:
    """Images span [-1, 1]. One on [0, 1] has nothing below zero."""
    x = trial.base.x.detach()
    low, high = float(x.min()), float(x.max())
    seen = f"values from {low:.2f} to {high:.2f}"
    if low >= -0.05 and high > 0.1:
        return Finding("range", "WARN", seen, "[-1, 1]", "this looks like [0, 1]: return 2 * x - 1")
    return verdict("range", max(-low, high) < 2, seen, "about [-1, 1]", "check the scale of y", otherwise="WARN")


def no_graph(trial: Trial) -> Finding:
    bad = trial.base.x.requires_grad
    seen = "the output still carries its graph" if bad else "none"
    return verdict("graph", not bad, seen, "a tensor without a graph", "return x.detach(), or work in torch.no_grad()")


def silent(trial: Trial) -> Finding:
    text = " ".join(trial.base.printed.split())
    advice = (
        "drop print and tqdm: `for k in problem.steps(n)` shows progress, problem.show(x_hat, loss=...) keeps curves"
    )
    return verdict("silence", not text, f"printed {text[:80]!r}" if text else "nothing printed", "nothing", advice)


def untouched(trial: Trial) -> Finding:
    names = trial.base.effects.written
    advice = "work on a copy: y.clone(), copy.deepcopy(net); beware of functions that end in _ and of +="
    return verdict(
        "inputs", not names, f"changed: {', '.join(names)}" if names else "as they were", "unchanged", advice
    )


def settings_kept(trial: Trial) -> Finding:
    names = trial.base.effects.settings
    advice = "change a setting in a `with` block only: with torch.no_grad(): ..., and pass dtype= and device= by hand"
    return verdict("settings", not names, "; ".join(names) or "as they were", "unchanged", advice)


def no_global_random(trial: Trial) -> Finding:
    lines, moved = list(trial.base.trace.draws), trial.base.effects.random
    seen = "; ".join(lines[:3]) or (f"the state of {' and '.join(moved)} moved" if moved else "not used")
    advice = (
        "draw from problem.rng, which has one stream an image: problem.rng.normal_like(x), "
        "problem.rng.uniform(C, H, W); seed a network's weights with problem.rng too, and set no seed"
    )
    return verdict("global random state", not lines and not moved, seen, "never used", advice)


def deterministic(trial: Trial) -> Finding:
    other = trial.run(trial.problem, seed=1)
    if _gap(trial.base.x, other.x) == 0:
        return Finding("deterministic", "PASS", "twice the same, to the bit")
    again = trial.run(trial.problem)
    listens = _gap(trial.base.x, again.x) == 0
    seen = f"two runs differ by {_gap(trial.base.x, other.x):.1g}" + (", as the global seeds do" if listens else "")
    advice = "draw from problem.rng only" if listens else "keep nothing between calls; look for clocks, sets and caches"
    return verdict("deterministic", False, seen, "the same bytes", advice)


def batch(trial: Trial) -> Finding:
    """Images solved together are as each by itself."""
    return _compare("batch independence", trial, lambda t: _gap(t.base.x, torch.cat([run.x for run in t.alone])))


def neighbour(trial: Trial) -> Finding:
    """The first image does not feel that the second measurement is ten times louder."""

    def gap(t: Trial) -> float:
        y = torch.cat([t.problem.y[:1], 10 * t.problem.y[1:]])
        return _gap(t.base.x[:1], t.run(replace(t.problem, y=y)).x[:1])

    return _compare("loud neighbour", trial, gap)


def order(trial: Trial) -> Finding:
    def gap(t: Trial) -> float:
        swapped = t.pose([1, 0])
        return _gap(t.base.x, t.run(replace(swapped, y=swapped.y.to(t.problem.y.dtype))).x.flip(0))

    return _compare("order independence", trial, gap)


def evaluations(trial: Trial) -> Finding:
    """The network evaluations an image are counted, and are the same in a batch."""
    needs = wants_prior(trial.bench.cell.method)
    seen = f"{trial.base.evaluations:g} an image"
    if needs and not trial.base.evaluations:
        advice = "evaluate the prior through problem.prior.denoise, or drop prior from `needs`"
        return Finding("evaluations", "FAIL", seen, "more than 0: it says that it needs a prior", advice)
    exact = trial.precise or trial
    each, together = [run.evaluations for run in exact.alone], exact.base.evaluations
    good = min(each) <= together <= max(each)
    seen += "" if good else f" together, {' and '.join(f'{e:g}' for e in each)} alone"
    advice = "the number of steps may not depend on the other images: decide for each image by itself"
    return verdict("evaluations", good, seen, "the same number, together or alone", advice)


def budget(trial: Trial) -> Finding:
    """An iterative solver counts through problem.steps, and returns what it has when the steps end."""
    meter = trial.base.meter
    if not meter.steps:
        single = meter.calls <= 3 and trial.base.evaluations <= 1
        seen = "one pass, no loop" if single else f"{meter.calls} calls of f, {trial.base.evaluations:g} evaluations"
        advice = "loop with `for k in problem.steps(n)`: it shows progress and keeps to a budget"
        return verdict("budget", single, seen, "a loop over problem.steps", advice, otherwise="WARN")
    if meter.steps == 1:
        return Finding("budget", "PASS", "a single step")
    stopped = trial.run(trial.problem, limit=1)
    whole = isinstance(stopped.x, Tensor) and stopped.x.shape == trial.base.x.shape and bool(stopped.x.isfinite().all())
    less = _work(stopped) < _work(trial.base) or not _work(trial.base)
    seen = f"of {meter.steps} steps 1 was granted: " + ("returned" if whole and less else "did not end well")
    advice = "when problem.steps ends early, leave the loop and return the current estimate"
    return verdict("budget", whole and less, seen, "ends, with a finite image of the right shape", advice)


def any_device(trial: Trial) -> Finding:
    lines = list(trial.base.trace.homeless)
    seen = "; ".join(lines[:3]) or "every tensor is made where it is told"
    advice = (
        "a tensor made like this lies on the CPU: pass device=problem.device, or make it with zeros_like(problem.y)"
    )
    return verdict("device", not lines, seen, "device= named", advice, otherwise="WARN")


OUTPUT: tuple[Callable[[Trial], Finding], ...] = (output, finite)
REST: tuple[Callable[[Trial], Finding], ...] = (
    in_range, no_graph, silent, untouched, settings_kept, no_global_random, deterministic,
    batch, neighbour, order, evaluations, budget, any_device,
)  # fmt: skip


def _compare(name: str, trial: Trial, measure: Callable[[Trial], float]) -> Finding:
    """A difference in float64, where rounding has no room to grow; in float32 where the solver cannot run in it."""
    exact = trial.precise
    limit, kind = (EXACT, "float64") if exact else (TOLERANCE, "float32")
    try:
        gap = measure(exact or trial)
    except Broke as error:
        return Finding(
            name, "FAIL", str(error), "runs with one image and with two", "keep the batch dimension, even of 1"
        )
    advice = (
        "keep norms, means, step sizes, thresholds and stopping per image (x.flatten(1).norm(dim=1), not x.norm(); "
        "f.norm is of the whole batch, f.select(slice(i, i + 1)).norm of an image), networks in eval mode, and draw "
        "from problem.rng"
    )
    return verdict(name, gap <= limit, f"differs by {gap:.1g} in {kind}", f"at most {limit:g}", advice)


def _gap(a: Tensor, b: Tensor) -> float:
    return (
        float((a.detach() - b.detach()).abs().nan_to_num(nan=float("inf")).max())
        if a.shape == b.shape
        else float("inf")
    )


def _work(run: Run) -> float:
    return run.evaluations + run.meter.calls + run.meter.own
