"""Who makes the host wait: each method on the pretended device or a GPU, for some steps and for twice as many.

Run by tests/test_waiting.py in a process of its own: python -m tests.waiting card METHOD ... (or cuda) prints a line of
JSON a method.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from sipbench import configs
from sipbench.bench.cell import NotApplicable
from sipbench.bench.watch import Counted, Follow
from sipbench.priors.latent import LatentPrior
from sipbench.priors.network import NetworkPrior
from sipbench.priors.schedules import LINEAR
from sipbench.problem import Problem
from sipbench.testing.contract import PROBLEMS
from sipbench.testing.trial import Trial

STEPS, SIZE = 3, 32
COUNTS = ("steps", "iterations")  # what says how many steps there are, the one that `check` names first


class Tiny(nn.Module):
    """The least network that a prior can have."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.config = SimpleNamespace(in_channels=shape[0], sample_size=shape[1])
        self.layer = nn.Conv2d(shape[0], shape[0], 3, padding=1)

    def forward(self, x: Tensor, clock: Tensor) -> Any:
        return SimpleNamespace(sample=self.layer(x) * (1 + 1e-3 * clock.view(-1, 1, 1, 1)))


class Limited(Follow):
    """Follows a solver as a cell does, and ends it after so many steps."""

    limit: int = 0
    taken: int = 0

    def step(self, k: int, n: int) -> bool:
        go_on = super().step(k, n) and self.taken < self.limit
        self.taken += go_on
        return go_on


def trial(method: str) -> Trial:
    """The method on the first small problem that it is for."""
    for name in PROBLEMS:
        try:
            return Trial.of(method, name, SIZE, {})
        except NotApplicable:
            continue
    raise NotApplicable(f"{method}: none of {', '.join(PROBLEMS)}")


def network_prior(stand_in: Any, at: torch.device) -> Counted:
    """A prior with a network, of the shape of the one that stands in."""
    inner = NetworkPrior(Tiny(stand_in.shape).to(at), LINEAR)
    return Counted(LatentPrior(inner, stand_in.codec) if stand_in.kind == "latent" else inner)


def waits(method: str, at: torch.device) -> dict[str, Any]:
    """The lines that wait, each with how often for so many steps, and for twice as many."""
    tried = trial(method)
    tried._size_networks()
    with noting(at):
        networks = {name: net.to(at) for name, net in tried.bench.networks.items()}
        prior = tried.bench.prior and network_prior(tried.bench.prior, at)
        priors = {name: network_prior(prior, at) for name, prior in tried.bench.priors.items()}
        bench = replace(tried.bench, device=at, networks=networks, prior=prior, priors=priors)
        problem = bench.pose([0, 1])
    few, many = (lines(bench, problem, steps) for steps in (STEPS, 2 * STEPS))
    return {name: (few[name], count) for name, count in many.items()}


def lines(bench: Any, problem: Problem, steps: int) -> Counter[str]:
    """The lines that wait while the solver does so many steps."""
    options = dict(configs.built(bench.cell.options))
    options[next(name for name in bench.cell.method.get("check", COUNTS) if name in COUNTS)] = 2 * STEPS
    watch = Limited(report=lambda k, n: None)
    watch.limit = steps
    with noting(bench.device) as found:
        own = replace(problem, rng=problem.rng.child("solver"), _watch=watch)
        bench.cell.solver(own, **options, **bench.networks, **bench.priors)
    assert watch.taken == steps, f"{watch.taken} steps, not {steps}"
    return found


@contextmanager
def noting(at: torch.device) -> Iterator[Counter[str]]:
    """How often which line waits: what the card notes, or what torch says of a GPU."""
    if at.type == "card":
        from tests import card  # it registers the device, which a GPU need not have beside it

        with card.waiting() as found:
            yield found
        return
    found = Counter[str]()
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            yield found
        finally:
            torch.cuda.set_sync_debug_mode("default")
    found.update(f"{Path(w.filename).name}:{w.lineno}" for w in said if "synchronizing" in str(w.message))


def hasty(problem: Problem, *, steps: int = 4) -> Tensor:
    """A solver that waits in every way, for the test of the tests."""
    y, x = problem.y, torch.zeros(problem.shape, device=problem.device)
    for k in problem.steps(steps):
        x = x + torch.tensor([0.1 * k], device=y.device)
        if y.abs().max() > 0:
            x[x < 0] = 0.0  # a GPU need not ask for this one
        rest = x.cpu().to(y.device)
        x = x[[1, 0]] + 0 * rest
        y[y > 0].sum()
    return x


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "card":
        from tests import card

        torch.Generator = card.Generator  # pyright: ignore
    for name in sys.argv[2:]:
        print(json.dumps([name, waits(name, torch.device(sys.argv[1], 0))]), flush=True)
