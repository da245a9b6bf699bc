"""What a solver must leave as it found it: random states, torch's settings, and the problem it was given."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import nn

from sipbench.bench.guard import restore, settings
from sipbench.bench.leavings import differences, random_states, restore_random
from sipbench.problem import Problem


@dataclass(frozen=True)
class Effects:
    """What a run did besides returning: inputs written, settings changed, global generators moved."""

    written: list[str]
    settings: list[str]
    random: list[str]


@contextmanager
def guarded(
    problem: Problem, networks: Mapping[str, nn.Module], seed: int, *, watched: bool = True
) -> Iterator[Effects]:
    """Put back the surroundings of a run that starts with the global generators at this seed, and say what moved.

    Of one that is not watched the inputs are not looked at, which for large ones takes as long as to solve.
    """
    effects = Effects([], [], [])
    outside, before, owned = random_states(), settings(), belongings(problem, networks) if watched else {}
    lazy = {f"problem.f.{name}" for name, buffer in problem.f._buffers.items() if buffer is None}
    seed_globals(seed)
    states = random_states()
    try:
        yield effects
    finally:
        effects.random.extend(differences(states, random_states()))
        restore_random(outside)
        effects.settings.extend(restore(before))
        if watched:
            effects.written.extend(differences(owned, _without(lazy, belongings(problem, networks))))


def seed_globals(seed: int) -> None:
    """Set every global generator to what no solver would set it, to see whether one listens to it."""
    seed += 918_273
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a millisecond where there is no other device
    random.seed(seed)
    np.random.seed(seed)


def belongings(problem: Problem, networks: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Everything a solver is handed, in a form that can be compared later."""
    owned: dict[str, Any] = {f"problem.{f.name}": id(getattr(problem, f.name)) for f in fields(problem)}
    owned |= {"problem.shape ": tuple(problem.shape), "problem.setting ": dict(problem.setting)}
    owned["the values of problem.y"] = problem.y.detach().clone()
    owned |= {"problem.y.requires_grad": problem.y.requires_grad, "problem.y.grad": id(problem.y.grad)}
    for label, module in (("problem.f", problem.f), *networks.items()):
        owned[f"{label}.training"] = module.training
        for name, tensor in (*module.named_buffers(), *module.named_parameters()):
            owned[f"{label}.{name}"] = (tensor.detach().clone(), tensor.requires_grad, id(tensor.grad))
    return owned


def _without(names: set[str], owned: dict[str, Any]) -> dict[str, Any]:
    """The belongings but for these: an operator works out its factors when it is first asked for them."""
    return {name: value for name, value in owned.items() if name not in names}
