"""The probe of early stopping: every rule looks on the same run, and each chooses an iterate of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sipbench import configs, device
from sipbench.bench.probe import BEST, Seen
from sipbench.problem import Problem, Stopper

SOLVER = "solver"  # the name of the solver's streams among those of the problem


class Rules:
    """Shows each iterate to stopping rules, and keeps every so many iterates for the curve and for the best of all.

    The solver itself must not stop: a rule cannot choose what was never made.

    Args:
        rules: by name a node, which is called with `like`, zeros of the iterates' shape, and with `rng`, streams of its
            own, and makes a `Stopper`.
        every: iterations from one kept iterate to the next; they are kept in half precision.
    """

    def __init__(self, problem: Problem, *, rules: Mapping[str, Any], every: int = 1) -> None:
        if not rules:
            raise ValueError("a probe of rules needs one rule at least")
        if BEST in rules:
            raise ValueError(f"{BEST} is the name of the iterate of the highest PSNR: a rule needs another")
        if every < 1:
            raise ValueError(f"every is a whole number from 1 on, not {every}")
        like = torch.zeros(problem.shape, dtype=problem.y.dtype, device=problem.device)
        self.rules: dict[str, Stopper] = {
            name: configs.build(dict(node), like=like, rng=problem.rng.child(_stream(name)))
            for name, node in rules.items()
        }
        self.every, self.shown, self.batch = every, 0, problem.shape[0]
        self.frames: list[tuple[int, Tensor]] = []
        self.losses: list[Tensor] = []
        self.spent = dict.fromkeys(rules, 0.0)

    def show(self, k: int, x_hat: Tensor, loss: Tensor | None) -> None:
        self.shown = k + 1
        if k % self.every == 0:
            self.frames.append((k, x_hat.to("cpu", torch.float16)))
            self.losses += [] if loss is None else [loss.float().cpu()]
        for name, rule in self.rules.items():
            began = time.perf_counter()
            rule.update(k, x_hat, loss=loss)
            device.wait(x_hat.device)
            self.spent[name] += time.perf_counter() - began

    def seen(self, seconds: float) -> Seen:
        """Of each rule: the iterate that it returned and until where it ran, its patience included; its time as a share
        of the solver's; and what an image would have taken with it, the rule's own time included.
        """
        if not self.shown:
            raise RuntimeError("the method showed no iterate: its probe has seen nothing")
        columns: dict[str, list[Any]] = {}
        for name, rule in self.rules.items():
            stopped, share = rule.stopped.tolist(), self.spent[name] / seconds
            until = [min(k + rule.patience, self.shown) for k in stopped]
            step = seconds / self.shown / self.batch
            columns[f"{name}_stopped"], columns[f"{name}_until"] = stopped, until
            columns[f"{name}_share"] = [share] * self.batch
            columns[f"{name}_seconds"] = [n * step * (1 + share) for n in until]
        if self.losses:
            columns["along_loss"] = torch.stack(self.losses, 1).tolist()
        return Seen(columns, {name: rule.best for name, rule in self.rules.items()}, self.frames)


def _stream(rule: str) -> str:
    """The name of a rule's random streams: its own, but for one that is called as the solver's are."""
    return rule if rule != SOLVER else f"rule {rule}"
