"""A solver on trial: what it is, the small problem it is given, and what happens while it runs."""

from __future__ import annotations

import contextlib
import copy
import io
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from sipbench import configs, device
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.needs import wants_prior
from sipbench.bench.run import Bench
from sipbench.bench.watch import Counted, counting
from sipbench.degradation import Degradation, small
from sipbench.errors import UserError, unknown
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior
from sipbench.problem import Estimate, Problem
from sipbench.testing import surroundings
from sipbench.testing.tracing import Trace


class Broke(Exception):
    """The solver raised; the message says what and where."""


@dataclass
class Meter:
    """Watches a run: counts its steps, and ends it after `limit` of them."""

    limit: int | None = None
    steps: int = 0
    calls: int = 0

    def step(self, k: int, n: int) -> bool:
        go_on = self.limit is None or self.steps < self.limit
        self.steps += go_on
        return go_on

    def show(self, x_hat: Tensor, loss: Tensor | None) -> None:
        x_hat.detach()

    def count_call(self, *_: object) -> None:
        """A use of the forward map."""
        self.calls += 1


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
    """A solver and two images to try it on; each kind of run is done once, when a check asks for it."""

    bench: Bench
    untrained: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, target: str, degradation: str, size: int, options: Mapping[str, Any]) -> Trial:
        """From a method's name, a file path.py:function or a dotted name. NotApplicable says what it lacks."""
        named = target in configs.names("method")
        if not named and "." not in target:
            raise unknown("method", target, configs.names("method"))
        method = configs.read("method", target) if named else {"name": target, "solver": {"_target_": target}}
        cell = _cell(method, configs.read("degradation", degradation), size)
        typed = {**cell.method.get("check", {}), **options}
        cell = replace(cell, typed=typed, degradation=small(cell.degradation))
        at = device.choose("auto")
        nodes = cell.method.get("networks") or {}
        networks = {name: _network(node).to(at) for name, node in nodes.items()}
        bench = Bench(cell, Degradation.of(cell.degradation), _prior(cell), networks, at, _priors(cell))
        bench.check()
        return cls(bench, list(networks))

    @property
    def title(self) -> str:
        """The problem in words: its name and the shapes of image and measurement."""
        x, y = (" x ".join(map(str, shape[1:])) for shape in (self.problem.shape, self.problem.y.shape))
        return f"{self.bench.cell.degradation['name']}: two images of {x}, each measured as {y}"

    def pose(self, images: list[int]) -> Problem:
        return self.bench.pose(images)

    @cached_property
    def problem(self) -> Problem:
        return self.pose([0, 1])

    @cached_property
    def base(self) -> Run:
        return self.run(self.problem)

    @cached_property
    def alone(self) -> list[Run]:
        """Each image by itself."""
        return [self.run(self.problem.select(slice(i, i + 1))) for i in range(2)]

    @cached_property
    def precise(self) -> Trial | None:
        """The same trial in double precision; None where the solver cannot run in it."""
        networks = {name: copy.deepcopy(net).double() for name, net in self.bench.networks.items()}
        trial = Trial(replace(self.bench, networks=networks))
        trial.problem = replace(self.problem, y=self.problem.y.double())
        try:
            return trial if trial.base.x.dtype == torch.float64 else None
        except Broke:
            return None

    def run(self, problem: Problem, *, seed: int = 0, limit: int | None = None) -> Run:
        """Run the solver once on a copy of the problem, with everything around it watched and put back."""
        meter, trace, printed = Meter(limit), Trace(), io.StringIO()
        networks, priors = self.bench.networks, self.bench.priors
        solver = partial(self.bench.cell.solver, **configs.built(self.bench.cell.options), **networks, **priors)
        y, rng = self.bench.handed(problem.y), problem.rng.select(slice(None))
        posed = replace(problem, y=y, f=copy.deepcopy(problem.f), rng=rng, _watch=meter)
        posed.f.register_forward_pre_hook(meter.count_call)
        began = time.perf_counter()
        try:
            counter = counting(posed, networks, priors.values())
            with surroundings.guarded(posed, networks, seed) as effects, counter as evaluations:
                with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), trace:
                    result = solver(posed)
                    device.wait(self.bench.device)
        except Exception as error:
            raise Broke(_where(error)) from error
        seconds = time.perf_counter() - began
        estimate = result if isinstance(result, Estimate) else Estimate(result)
        if y.dtype != problem.y.dtype and isinstance(estimate.x, Tensor) and estimate.x.dtype == y.dtype:
            estimate = replace(estimate, x=estimate.x.to(problem.y.dtype))
        return Run(estimate, seconds, evaluations(), meter, trace, printed.getvalue(), effects)


@cache
def _surroundings(size: int) -> Any:
    """A config whose method and degradation are still to be put in. Composing takes longer than many a check."""
    return configs.compose(["dataset=faces", f"size={size}", "split=validation", "prior=none"])


def _cell(method: dict[str, Any], degradation: dict[str, Any], size: int) -> Cell:
    from omegaconf import open_dict

    cfg = copy.deepcopy(_surroundings(size))
    with open_dict(cfg):
        cfg.method, cfg.degradation = method, degradation
    return Cell.of(cfg, [])


def _prior(cell: Cell) -> Counted | None:
    """A Gaussian prior where the solver takes one, of pixels or of codes that hold the same pixels in another order."""
    needs = cell.method.get("needs")
    if needs is not None and not wants_prior(cell.method):
        return None
    channels, height, width = Degradation.of(cell.degradation).x_shape(cell.dataset)
    if "prior.latent" not in (needs or []):
        return Counted(IsotropicGaussian((channels, height, width)))
    if height % 2 or width % 2:
        raise NotApplicable("the checks' codes are those of images with even sides")
    inner = IsotropicGaussian((4 * channels, height // 2, width // 2))
    return Counted(LatentPrior(inner, Shuffle((channels, height, width))))


def _priors(cell: Cell) -> dict[str, Counted]:
    """A Gaussian prior for each part of theta that the method has one of."""
    return {name: Counted(IsotropicGaussian(cell.theta_shapes[name.removesuffix("_prior")])) for name in cell.priors}


@dataclass(frozen=True)
class Shuffle:
    """An autoencoder that loses nothing: four neighbours become four channels."""

    image_shape: tuple[int, int, int]

    def encode(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_unshuffle(x, 2)

    def decode(self, z: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(z, 2)


def _network(node: Mapping[str, Any]) -> nn.Module:
    """The architecture with random weights: the contract does not depend on what was learnt."""
    architecture = {k: v for k, v in node.items() if k not in ("weights", "get")}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = configs.build(architecture)
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.01)
    return network.requires_grad_(False).eval()


def _where(error: Exception) -> str:
    """An error in one line, with the innermost line of the solver's own code."""
    if isinstance(error, UserError):
        return str(error)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    frames = [f for f in frames if "site-packages" not in f.filename]
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{at}"
