"""Who makes the host wait: each method on the pretended device, for some steps and for twice as many.

Run by tests/test_waiting.py in a process of its own: python -m tests.waiting METHOD ... prints a line of JSON a method.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from dataclasses import replace
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
from tests import card

STEPS = 4
COUNTS = ("iterations", "steps")  # the option that says how many steps there are


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

    def step(self, k: int, n: int) -> bool:
        return super().step(k, n) and k < self.limit


def trial(method: str) -> Trial:
    """The method on the first small problem that it is for."""
    for name in PROBLEMS:
        try:
            return Trial.of(method, name, 32, {})
        except NotApplicable:
            continue
    raise NotApplicable(f"{method}: none of {', '.join(PROBLEMS)}")


def on_card(stand_in: Any) -> Counted:
    """A network prior of the shape of the one that stands in."""
    inner = NetworkPrior(Tiny(stand_in.shape).to(card.CARD), LINEAR)
    return Counted(LatentPrior(inner, stand_in.codec) if stand_in.kind == "latent" else inner)


def waits(method: str) -> dict[str, Any]:
    """The lines that wait, each with how often for so many steps, and for twice as many; the harness's own apart."""
    tried = trial(method)
    tried._size_networks()
    bench, found = tried.bench, list[Counter[str]]()
    with card.waiting():
        networks = {name: net.to(card.CARD) for name, net in bench.networks.items()}
        prior = bench.prior and on_card(bench.prior)
        priors = {name: on_card(prior) for name, prior in bench.priors.items()}
        bench = replace(bench, device=card.CARD, networks=networks, prior=prior, priors=priors)
        problem = bench.pose([0, 1])
    for steps in (STEPS, 2 * STEPS):
        found.append(lines(bench, problem, steps))
    return {name: (found[0][name], count) for name, count in found[1].items()}


def lines(bench: Any, problem: Problem, steps: int) -> Counter[str]:
    """The lines that wait while the solver does so many steps."""
    options = dict(configs.built(bench.cell.options))
    asked = next((name for name in COUNTS if name in options), "steps")
    options[asked] = 2 * STEPS
    watch = Limited(report=lambda k, n: None)
    watch.limit = steps
    with card.waiting() as found:
        own = replace(problem, rng=problem.rng.child("solver"), _watch=watch)
        bench.cell.solver(own, **options, **bench.networks, **bench.priors)
    assert not watch.shown or steps - 1 <= watch.shown <= steps, f"{watch.shown} steps, not {steps}"
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.Generator = card.Generator  # pyright: ignore
    for name in sys.argv[1:]:
        began = time.perf_counter()
        print(json.dumps([name, waits(name), time.perf_counter() - began]), flush=True)
