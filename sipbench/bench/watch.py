"""Following a solver from outside: progress, time, budget, and snapshots for curves and the oracle.

It holds no truth: what it keeps is scored after the solver has returned.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sipbench.bench.guard import plain
from sipbench.bench.probe import Probe
from sipbench.problem import Problem

GROWTH = 1.25  # snapshots are this far apart, as a ratio of their steps


@dataclass
class Snapshot:
    """What a solver showed at one step."""

    step: int
    seconds: float
    x_hat: Tensor
    loss: Tensor | None


@dataclass
class Follow:
    """Counts what a solver does. Its own time is taken off the solver's clock.

    Args:
        report: told (step, of how many) now and then.
        budget: seconds after which `problem.steps` ends.
        probe: shown a copy of every iterate.
    """

    report: Callable[[int, int], None] | None = None
    budget: float | None = None
    probe: Probe | None = None
    snapshots: list[Snapshot] = field(default_factory=list)
    overhead: float = 0.0
    shown: int = 0
    _next: float = 1.0
    _began: float = field(default_factory=time.perf_counter)
    _told: float = 0.0

    def start(self) -> None:
        self._began, self.overhead = time.perf_counter(), 0.0

    @property
    def seconds(self) -> float:
        """The solver's own time so far."""
        return time.perf_counter() - self._began - self.overhead

    def step(self, k: int, n: int) -> bool:
        now = time.perf_counter()
        if self.report is not None and now - self._told > 0.5:
            self._told = now
            self.report(k, n)
            self.overhead += time.perf_counter() - now
        return self.budget is None or self.seconds < self.budget

    def show(self, x_hat: Tensor, loss: Tensor | None) -> None:
        self.shown += 1
        due = self.shown >= self._next
        if not due and self.probe is None:
            return
        with self._aside(x_hat.device):
            if due:
                self._next = max(self.shown + 1, self.shown * GROWTH)
                kept = None if loss is None else loss.detach().float().to("cpu", copy=True)
                picture = plain(x_hat.detach()).float().to("cpu")
                self.snapshots.append(Snapshot(self.shown, self._stopped, picture, kept))
            if self.probe is not None:
                self.probe.show(self.shown - 1, plain(x_hat), plain(loss))

    @contextmanager
    def _aside(self, device: torch.device) -> Iterator[None]:
        """Time spent here is not the solver's; what it had queued on the device still is."""
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        self._stopped = began - self._began - self.overhead
        yield
        self.overhead += time.perf_counter() - began


class Counted:
    """A prior that counts its network evaluations, one for each image denoised; those of its copies too."""

    def __init__(self, prior: object, counts: list[int] | None = None) -> None:
        self._prior = prior
        self._counts = [0] if counts is None else counts

    @property
    def evaluations(self) -> int:
        return self._counts[0]

    def denoise(self, x_t: Tensor, t: Tensor) -> Tensor:
        self._counts[0] += len(x_t)
        return self._prior.denoise(x_t, t)  # pyright: ignore

    def __deepcopy__(self, memo: dict[int, Any]) -> Counted:
        return Counted(copy.deepcopy(self._prior, memo), self._counts)

    def __getattr__(self, name: str) -> object:
        if name == "_prior":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._prior, name)


@contextmanager
def counting(
    problem: Problem, networks: dict[str, torch.nn.Module], priors: Iterable[Counted] = ()
) -> Iterator[Callable[[], float]]:
    """Count evaluations an image: of the prior (where it is Counted), of further priors and of the networks."""
    calls = 0

    def count(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal calls
        calls += len(inputs[0]) if inputs else problem.shape[0]

    counted = [prior for prior in (problem.prior, *priors) if isinstance(prior, Counted)]
    before = sum(prior.evaluations for prior in counted)
    hooks = [net.register_forward_pre_hook(count) for net in networks.values()]

    def evaluations() -> float:
        return (sum(prior.evaluations for prior in counted) - before + calls) / problem.shape[0]

    try:
        yield evaluations
    finally:
        for hook in hooks:
            hook.remove()


class PeakMemory:
    """The most memory in use beyond what was in use at the start, in MiB."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._start = torch.cuda.memory_allocated(device) / 2**20
        else:
            _reset_high_water()
            self._start = _status("VmRSS")

    def read(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20 - self._start
        return max(_status("VmHWM") - self._start, 0.0)  # in this order what is no number stays none


def _reset_high_water() -> None:
    """Ask the kernel to measure the peak from here; where it does not allow that, the peak is the process's."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return


def _status(key: str) -> float:
    """A line of /proc/self/status in MiB; not a number where there is none."""
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith(key))
    except (OSError, StopIteration):
        return float("nan")
    return int(line.split()[1]) / 1024
