"""A solver on trial: what it is, the small problem it is given, and what happens while it runs."""

from __future__ import annotations

import contextlib
import copy
import io
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_pre_hook

from sipbench import configs, device
from sipbench.bench import applies
from sipbench.bench.run import Bench
from sipbench.bench.watch import counting
from sipbench.degradation import Degradation, small
from sipbench.errors import UserError
from sipbench.operators.base import LinearOperator
from sipbench.problem import Estimate, Problem
from sipbench.testing import surroundings
from sipbench.testing.stand_ins import prior_for, priors_of_theta, remembering, small_cell, unsized, untrained
from sipbench.testing.tracing import Trace


class Broke(Exception):
    """The solver raised; the message says what and where."""


@dataclass
class Meter:
    """Watches a run: counts its steps, and ends it after `limit` of them; uses of f, and of any module at all."""

    limit: int | None = None
    steps: int = 0
    calls: int = 0
    own: int = 0

    def step(self, k: int, n: int) -> bool:
        go_on = self.limit is None or self.steps < self.limit
        self.steps += go_on
        return go_on

    def show(self, x_hat: Tensor, loss: Tensor | None) -> None:
        x_hat.detach()

    def count_call(self, *_: object) -> None:
        """A use of the forward map."""
        self.calls += 1

    def count_own(self, *_: object) -> None:
        """A use of a module, such as a network that the solver made itself."""
        self.own += 1


@dataclass(frozen=True)
class Run:
    """What came back of one run and what it did on the way."""

    estimate: Estimate
    seconds: float
    evaluations: float
    meter: Meter
    trace: Trace
    printed: str
    effects: surroundings.Effects

    @property
    def x(self) -> Tensor:
        return self.estimate.x


@dataclass
class Trial:
    """A solver and two images to try it on; each kind of run is done once, when a check asks for it.

    Attributes:
        traced: whether the first run is followed call by call, which takes twice as long, and what it leaves is seen.
        memory: the pseudo-inverses that its runs have asked for.
    """

    bench: Bench
    untrained: list[str] = field(default_factory=list)
    traced: bool = True
    memory: dict[Any, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, target: str, degradation: str, size: int, options: Mapping[str, Any]) -> Trial:
        """From a method's name, a file path.py:function or a dotted name. NotApplicable says what it lacks."""
        named = target in configs.names("method")
        if not named and ("." not in target or target.endswith(".py")):
            raise configs.absent("method", target)
        method = configs.read("method", target) if named else {"name": target, "solver": {"_target_": target}}
        cell = small_cell(method, configs.read("degradation", degradation), size)
        typed = {**cell.method.get("check", {}), **options}
        cell = replace(cell, typed=typed, degradation=small(cell.degradation))
        at = device.choose("auto")
        nodes = cell.method.get("networks") or {}
        networks = {name: untrained(node).to(at) for name, node in nodes.items()}
        bench = Bench(cell, Degradation.of(cell.degradation), prior_for(cell), networks, at, priors_of_theta(cell))
        applies.check(cell, bench.degradation, bench.prior, networks, bench.priors)
        return cls(bench, list(networks))

    @property
    def title(self) -> str:
        """The problem in words: its name and the shapes of image and measurement."""
        x, y = (" x ".join(map(str, shape[1:])) for shape in (self.problem.shape, self.problem.y.shape))
        return f"{self.bench.cell.degradation['name']}: two images of {x}, each measured as {y}"

    def pose(self, images: list[int]) -> Problem:
        """The problem of these images; what its map works out but once is there for all runs."""
        problem = self.bench.pose(images)
        if isinstance(problem.f, LinearOperator):
            problem.f.svd()
        return problem

    @cached_property
    def problem(self) -> Problem:
        return self.pose([0, 1])

    @cached_property
    def base(self) -> Run:
        self._size_networks()
        return self.run(self.problem, traced=self.traced)

    @cached_property
    def alone(self) -> list[Run]:
        """Each image by itself."""
        return [self.run(self.problem.select(slice(i, i + 1))) for i in range(2)]

    @cached_property
    def precise(self) -> Trial | None:
        """The same trial in double precision; None where the solver cannot run in it."""
        networks = {name: copy.deepcopy(net).double() for name, net in self.bench.networks.items()}
        trial = Trial(replace(self.bench, networks=networks), traced=False)
        trial.problem = replace(self.problem, y=self.problem.y.double())
        try:
            return trial if trial.base.x.dtype == torch.float64 else None
        except Broke:
            return None

    def _size_networks(self) -> None:
        """One run for networks that the first measurement sizes; trained ones get their sizes from their weights."""
        if unsized(self.bench.networks):
            solver = partial(self.bench.cell.solver, **configs.built(self.bench.cell.options), **self.bench.networks)
            try:
                with torch.random.fork_rng():
                    solver(replace(self.problem, f=remembering(self.problem.f, self.memory)), **self.bench.priors)
            except Exception as error:
                raise Broke(_where(error)) from error
            for network in self.bench.networks.values():
                network.requires_grad_(False)

    def run(self, problem: Problem, *, seed: int = 0, limit: int | None = None, traced: bool = False) -> Run:
        """Run the solver once on a copy of the problem, with everything around it put back, and watched if traced."""
        meter, trace, printed = Meter(limit), Trace(), io.StringIO()
        following = trace if traced else contextlib.nullcontext()
        networks, priors = self.bench.networks, self.bench.priors
        solver = partial(self.bench.cell.solver, **configs.built(self.bench.cell.options), **networks, **priors)
        y, rng = self.bench.handed(problem.y), problem.rng.select(slice(None))
        posed = replace(problem, y=y, f=remembering(problem.f, self.memory), rng=rng, _watch=meter)
        posed.f.register_forward_pre_hook(meter.count_call)
        counted = register_module_forward_pre_hook(meter.count_own)
        began = time.perf_counter()
        try:
            counter = counting(posed, networks, priors.values())
            with surroundings.guarded(posed, networks, seed, watched=traced) as effects, counter as evaluations:
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), following:
                    result = solver(posed)
                    device.wait(self.bench.device)
        except Exception as error:
            raise Broke(_where(error)) from error
        finally:
            counted.remove()
        seconds = time.perf_counter() - began
        estimate = result if isinstance(result, Estimate) else Estimate(result)
        if y.dtype != problem.y.dtype and isinstance(estimate.x, Tensor) and estimate.x.dtype == y.dtype:
            estimate = replace(estimate, x=estimate.x.to(problem.y.dtype))
        return Run(estimate, seconds, evaluations(), meter, trace, printed.getvalue(), effects)


def _where(error: Exception) -> str:
    """An error in one line, with the innermost line of the solver's own code."""
    if isinstance(error, UserError):
        return str(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    frames = [f for f in frames if "site-packages" not in f.filename]
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{at}"
