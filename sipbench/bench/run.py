"""One cell: load, degrade, solve, score, store. Everything a number rests on stands on this page.

    dataset --x--> degradation --y--> Problem --> solver --x_hat--> metrics --> store

x goes round the solver, never through it: it is loaded to make y, let go, and loaded again once the solver is done.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from types import MappingProxyType
from typing import Any

import torch

from sipbench import configs, device
from sipbench.bench import applies, exact, given, guard, probe, record, store, validate
from sipbench.bench.cell import Cell
from sipbench.bench.draws import ensemble, joined
from sipbench.bench.identity import check_code
from sipbench.bench.load import forget, load_networks, load_prior, load_priors, said_shape, untrained
from sipbench.bench.record import Outcome
from sipbench.bench.score import Truth
from sipbench.bench.turn import Alone, Left, Turn, in_turn
from sipbench.bench.watch import Counted, Follow, PeakMemory, counting
from sipbench.datasets.reading import BadImage
from sipbench.degradation import Degradation
from sipbench.errors import UserError, noted, of_launcher, part_of
from sipbench.metrics import deblurred
from sipbench.operators.base import BlindOperator, Operator
from sipbench.problem import Problem, Rng

Report = Callable[[int, int], None]


def run(
    cell: Cell,
    report: Report | None = None,
    images: Collection[int] | None = None,
    marks: Mapping[str, Any] = MappingProxyType({}),
    turn: Turn | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """Do what is missing of a cell; each finished batch is stored, then yielded as its rows.

    What cannot be done at all is said at once, before the first batch is asked for. With `images` only these are done,
    in the batches that the whole cell has. With `isolate` a process of its own does it. `marks` are further columns;
    a `turn` leaves batches to other processes that have them.
    """
    if cell.isolate:
        from sipbench.bench import isolated

        return isolated.run(cell, report, images, marks, turn=turn)
    bench = Bench.of(cell)
    bench.check_trained()
    check_code(cell)
    store.prepare(cell)
    return _batches(bench, report, images, marks, turn or Alone())


def _batches(
    bench: Bench, report: Report | None, images: Collection[int] | None, marks: Mapping[str, Any], turn: Turn
) -> Iterator[list[dict[str, Any]]]:
    left = Left(bench.cell, images)
    yield from in_turn(bench.cell, left, lambda batch: bench.rows(batch, report), marks, turn)


@dataclass(frozen=True)
class Bench:
    """A cell with its parts loaded.

    Attributes:
        networks: the method's trained networks, by the name of the keyword they are passed as.
        priors: its priors of parts of theta, likewise.
        lacking: the parts that its recipe has not trained: they have random weights, and solve nothing.
    """

    cell: Cell
    degradation: Degradation
    prior: Any
    networks: dict[str, torch.nn.Module]
    device: torch.device
    priors: dict[str, Any] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()

    @classmethod
    def of(cls, cell: Cell, *, check: bool = True) -> Bench:
        """Load what the cell needs, and say at once what it lacks."""
        at = device.choose(cell.device)
        device.make_deterministic(at)
        lacking = tuple(untrained(cell))  # asked before anything is loaded: another process may be training it
        needed = cell.prior is not None and ("prior" in cell.weights or _analytic(cell))
        unstated = cell.method.get("needs") is None  # such a solver is handed a prior where there is one of its images
        if unstated and needed and (said := said_shape(cell)):
            needed = said == applies.shape(cell)
        prior = Counted(load_prior(cell, at)) if needed else None
        if prior is not None and unstated and not applies.fits(prior, cell):
            prior = None
        degradation, networks = Degradation.of(cell.degradation), load_networks(cell, at)
        bench = cls(cell, degradation, prior, networks, at, load_priors(cell, at), lacking)
        if check:
            applies.check(cell, degradation, prior, networks, bench.priors)
        return bench

    def check_trained(self) -> None:
        """Refuse to solve with what is not trained yet."""
        if self.lacking:
            how = "sipbench.training.learned.prepare(cell)"
            raise UserError(f"{self.cell.label}: its {' and '.join(self.lacking)} is not trained yet: {how}")

    def rows(self, images: list[int], report: Report | None, at_once: int = 0) -> list[dict[str, Any]]:
        """The rows of one batch. Out of memory halves it; whatever else goes wrong becomes rows with the reason.

        `at_once` is how many copies of a measurement a solver that draws is handed at most; 0 says the batch size.
        """
        copies = len(images) * (1 if self.cell.moves_ensemble else self.cell.draws)
        at_once = min(at_once or self.cell.batch_size, copies)
        try:
            return self._rows(images, report, at_once)
        except BadImage as error:
            if len(images) == 1:
                return record.failures(self.cell, images, f"unreadable image: {error}")
            half = 1
        except record.Unfit as error:
            return record.failures(self.cell, images, str(error))
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            if of_launcher(error):
                raise
            if not device.out_of_memory(error):
                return record.failures(self.cell, images, self._why(error), error)
            device.release(self.device)
            if len(images) == at_once == 1:
                return record.failures(self.cell, images, f"out of memory with one image: {error}", error)
            half, at_once = len(images) // 2, max(1, at_once // 2)
        return sum((self.rows(part, report, at_once) for part in (images[:half], images[half:]) if part), [])

    def _why(self, error: BaseException) -> str:
        """Why a batch came to nothing; of a network for other images torch alone says that a weight has a size."""
        told = ": ".join(filter(None, [part_of(error), type(error).__name__, str(error)]))
        channels = applies.shape(self.cell)[0]
        said = applies.other_channels(self.cell, channels) if isinstance(error, RuntimeError) else ""
        return f"{said} ({told})" if said else told

    def _rows(self, images: Sequence[int], report: Report | None, at_once: int) -> list[dict[str, Any]]:
        outcome = self.draw(images, report, at_once)
        problem = self.pose(images)  # anew: nothing that the solver had in its hands takes part in its score
        return record.rows(self.cell, images, self.truth(images, problem), self.as_known(problem, images), outcome)

    def draw(self, images: Sequence[int], report: Report | None, at_once: int) -> Outcome:
        """All draws of these images, `at_once` copies of a measurement at a time; of one that draws once, the one."""
        n = self.cell.draws
        if n == 1 or self.cell.moves_ensemble:
            scored = self.as_known(self.pose(images), images) if self.cell.probe else None
            outcome = self.solve(self.told(images), report, self.solver_streams(images, range(1)), scored)
            return outcome if n == 1 else ensemble(outcome, n)
        each, parts = max(1, at_once // len(images)), []
        for first in range(0, n, each):
            draws = range(first, min(first + each, n))
            problem = self.told([image for _ in draws for image in images])
            parts.append(self.solve(problem, report, self.solver_streams(images, draws)))
            if why := record.unlike(parts[-1].estimate.x, problem):
                raise record.Unfit(why)
        return joined(parts, len(images))

    def pose(self, images: Sequence[int]) -> Problem:
        """y from x, on the CPU so that every device agrees; x is not kept. A measured dataset gives y itself."""
        cell, rng = self.cell, self.streams(images)
        if cell.measured:
            cell.dataset.check(images, cell.degradation)
            y, f = self.degradation.accept(self.load(images), rng)
            if cell.paired:
                given.check(cell.dataset, images, f, y)
        else:
            pictures = self.load(images)
            with noted(f"the degradation {cell.names[1]}"):
                y, f = self.degradation.measure_exactly(self.degradation.x(pictures, rng), rng)
        f = f.sealed() if isinstance(f, BlindOperator) else f
        noise = self.degradation.noise if self.degradation.reveal_noise else None
        setting = {"dataset": cell.names[0], "degradation": cell.names[1]}
        public = rng.child("public", self.device)
        return Problem(y.to(self.device), f.to(self.device), noise, f.shape, self.prior, public, setting)

    def load(self, images: Sequence[int]) -> torch.Tensor:
        """What the dataset has of these images."""
        with noted(f"the dataset {self.cell.names[0]}"):
            found = self.cell.dataset.load(images)
        validate.loaded(self.cell.dataset, images, found)
        return found

    def told(self, images: Sequence[int]) -> Problem:
        """The problem as the solver hears it: with another f or noise where the degradation's `told` says so."""
        problem, said = self.pose(images), self.degradation.told
        if said is None:
            return problem
        f = said.build(problem.shape, self.streams(images))
        f = f.sealed() if isinstance(f, BlindOperator) else f
        return replace(problem, f=f.to(self.device), noise=said.noise if said.reveal_noise else None)

    def as_known(self, problem: Problem, images: Sequence[int]) -> Problem:
        """The problem as a score may take it: the noise level of a real measurement is not known unless it was told."""
        told = not self.cell.measured or self.cell.noise_told or self.cell.dataset.brings(images, self.cell.degradation)
        return problem if told else replace(problem, noise=None)

    def truth(self, images: Sequence[int], problem: Problem) -> Truth | None:
        """x, and theta where f is blind, made again for the score; None for measurements without one."""
        if self.cell.paired:
            theta = self.theta(images, problem.f)
            return given.truth(self.cell.dataset, images, problem, theta, self.best(problem, theta))
        if self.cell.measured:
            return None
        x = self.degradation.x(self.load(images), self.streams(images))
        theta = self.theta(images, problem.f)
        return Truth(x, theta, self.best(problem, theta), self.posteriors(images, problem))

    def theta(self, images: Sequence[int], f: Operator) -> Mapping[str, torch.Tensor] | None:
        """What a blind f left open, drawn again for the score; of a real measurement what its dataset knows."""
        if self.cell.measured or not f.blind:
            return given.theta(self.cell.dataset, images, f) if self.cell.paired else None
        rng = self.streams(images)
        return self.degradation.theta(self.degradation.build(f.shape, rng), rng)

    def best(self, problem: Problem, theta: Mapping[str, torch.Tensor] | None) -> Callable[[], torch.Tensor | None]:
        """How to deblur y with the true kernel; done once, and only if it is asked for. None where f is no blur."""
        given = getattr(problem.f, "given", None)
        if theta is None or given is None:
            return lambda: None
        A = given({name: part.to(problem.device) for name, part in theta.items()})
        return cache(partial(deblurred, A, problem.y, self.degradation.noise.sigma))

    def posteriors(self, images: Sequence[int], problem: Problem) -> Callable[[int], Any] | None:
        """What judges draws of these images, from their exact posteriors; None where none is known."""
        return exact.posteriors(self.cell, self.degradation.noise, images, problem)

    def streams(self, images: Sequence[int]) -> Rng:
        """The root streams of these images. A dataset may have its own: a saved measurement brings its."""
        cell = self.cell
        own = _asked(cell.dataset, "streams", images, cell.seed)
        return Rng.of(cell.seed, f"{cell.source['name']}/{cell.split}", images) if own is None else own

    def solver_streams(self, images: Sequence[int], draws: Iterable[int]) -> Rng:
        """The solver's streams for these draws of each image, draw by draw; draw 0 has those of a single draw."""
        first = self.streams(images).child("public").child("solver")
        keys = []
        for k in draws:
            own = _asked(self.cell.dataset, "solver_streams", images, k)
            keys += (own or (first.child(f"draw {k}") if k else first)).keys
        return Rng(keys, self.device)

    def solve(
        self, problem: Problem, report: Report | None, streams: Rng | None = None, scored: Problem | None = None
    ) -> Outcome:
        """The solver's own time, evaluations and memory; loading, warm-up and metrics are outside the clock.

        The solver works on a y of its own, and what else it is lent is watched: see `guard`. A probe is handed the
        problem as it is `scored`, where the solver is told another, with parts of its own.
        """
        self.check_trained()
        streams = problem.rng.child("solver") if streams is None else streams
        options = configs.typed(self.cell.solver, configs.built(self.cell.options), problem)
        solver = partial(self.cell.solver, **options, **self.networks, **self.priors)
        self._warm_up(problem)
        watching = probe.probe_of(self.cell.probe, self._own(scored or problem)) if self.cell.probe else None
        follow = Follow(report, self.cell.budget_seconds, watching)
        own = replace(problem, y=self.handed(problem.y), rng=streams, _watch=follow)
        own = replace(own, noise=copy.deepcopy(problem.noise))
        watched = guard.Guard(own, {"problem.prior": self.prior, **self.networks, **self.priors})
        try:
            with watched, counting(problem, self.networks, self.priors.values()) as evaluations:
                memory = PeakMemory(self.device)
                follow.start()
                result = solver(own)
                device.wait(self.device)
                seconds = follow.seconds
        finally:
            if watched.written:
                self._load_anew()
        watched.check()
        if seconds < 0:
            raise guard.Trespass("it set the clock")
        seen = probe.seen_by(watching, problem, seconds)
        return Outcome(guard.own(result), seconds, evaluations(), memory.read(), follow.snapshots, seen=seen)

    def _own(self, problem: Problem) -> Problem:
        """The problem with a measurement, a forward map and a noise that nobody else has in their hands."""
        f, noise = copy.deepcopy(problem.f), copy.deepcopy(problem.noise)
        return replace(problem, y=self.handed(problem.y), f=f, noise=noise)

    def handed(self, y: torch.Tensor) -> torch.Tensor:
        """A copy of y in the precision that the solver is to work in."""
        return y.to(torch.promote_types(y.dtype, getattr(torch, self.cell.precision)), copy=True)

    def _load_anew(self) -> None:
        """Priors and networks as they were: a solver wrote into what it was lent."""
        forget()
        fresh = Bench.of(self.cell, check=False)
        for name in ("prior", "networks", "priors"):
            object.__setattr__(self, name, getattr(fresh, name))

    @cached_property
    def _optimises(self) -> bool:
        return configs.mentions(self.cell.method["solver"]["_target_"], "torch.optim")

    def _warm_up(self, problem: Problem) -> None:
        """One evaluation of everything heavy, so that no first call is on the clock."""
        if self._optimises:
            torch.optim.SGD([torch.zeros(1)])  # with its first optimiser torch imports its compiler: a second and more
        with torch.no_grad():
            x = torch.zeros(problem.shape, device=self.device)
            if not problem.f.blind and (made := problem.f(x).shape) != problem.y.shape:
                said = f"its forward map makes {tuple(made)} of {len(x)} images, one by one {tuple(problem.y.shape)}"
                raise UserError(f"{self.cell.names[1]}: {said}: it mixes images, or keeps no buffer of each")
            for prior in (self.prior, *self.priors.values()):
                if prior is not None:
                    z = torch.zeros((len(x), *prior.shape), device=self.device)
                    prior.decode(prior.denoise(z, prior.times(1)[0]))


def _asked(dataset: Any, name: str, *args: Any) -> Any:
    """What a dataset says of its streams, if it says anything."""
    method = getattr(dataset, name, None)
    return None if method is None else method(*args)


def _analytic(cell: Cell) -> bool:
    return cell.takes_prior and cell.prior is not None and "path" not in cell.prior
