"""A probe: a part of a cell that watches its solve and adds columns to its rows.

It is handed copies of the iterates and works off the solver's clock. It holds no truth, not even afterwards: it says
what it saw, and the score is made of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from sipbench import configs
from sipbench.errors import UserError
from sipbench.problem import Problem

BEST = "best"  # of all frames that a probe kept, that of the highest PSNR: an oracle, no method's score


@dataclass(frozen=True)
class Seen:
    """What a probe says of a batch.

    Attributes:
        columns: by name, one value an image. A list, one value a step, bears a name that begins with `along_`, and
            `along_step` says which steps these are.
        chosen: by name, one iterate of each image, (B, C, H, W). It is kept and scored as what a solver returned is:
            its figures are the columns `NAME_psnr`, `NAME_ssim`, and so on.
        frames: iterates (B, C, H, W) with their steps. Their PSNR becomes the column `along_psnr`, and of each image
            the one of the highest is chosen under the name `best`; only the truth can tell which that is.
    """

    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    chosen: Mapping[str, Tensor] = field(default_factory=dict)
    frames: Sequence[tuple[int, Tensor]] = ()


class Probe(Protocol):
    """What the `_target_` of conf/probe/NAME.yaml makes of a Problem and its own options, anew for each batch."""

    def show(self, k: int, x_hat: Tensor, loss: Tensor | None) -> None:
        """Iterate k, counted from 0, with the loss of each image where the solver shows one; both are copies."""
        ...

    def seen(self, seconds: float) -> Seen:
        """What there is to say, once the solver has returned after so many seconds of its own for the batch."""
        ...


def check(node: Mapping[str, Any]) -> None:
    """Refuse options that a probe does not know, before anything is solved."""
    options = {k: v for k, v in node.items() if k not in configs.META and not k.startswith("_")}
    try:
        configs.typed(configs.locate(node["_target_"]), options, None)
    except ValueError as error:
        raise UserError(f"probe {node['name']}: {error}") from error


def probe_of(node: Mapping[str, Any] | None, problem: Problem) -> Probe | None:
    """The probe of a cell, ready to watch this problem."""
    return configs.build(dict(node), problem) if node else None


def seen_by(probe: Probe | None, problem: Problem, seconds: float) -> Seen | None:
    """What a probe says, refused where it does not fit the batch."""
    if probe is None:
        return None
    seen, batch = probe.seen(seconds), problem.shape[0]
    if BEST in seen.chosen:
        raise ValueError(f"{BEST} is the name of the iterate of the highest PSNR: the probe's own needs another")
    for name, values in seen.columns.items():
        if len(values) != batch:
            raise ValueError(f"the probe's column {name} has {len(values)} values for {batch} images")
    for name, x in (*seen.chosen.items(), *((f"of step {k}", x) for k, x in seen.frames)):
        if tuple(x.shape) != tuple(problem.shape):
            raise ValueError(f"the probe's iterate {name} is {tuple(x.shape)}, not {tuple(problem.shape)}")
    return seen
