"""What every method is held against: its public code, whose update is written here a second time from its formulas.

A module of this package lists the methods of one family under `PEERS`. Both sides get the same measurement, the same
weights and the same draws, and run a few steps in double precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Peer:
    """A method beside its public code.

    code: the public repository, or the paper. run: what this suite returns, and what the public update returns.
    within: the largest relative difference between the two, as the badge in the method's YAML says.
    """

    code: str
    run: Callable[[], tuple[Tensor, Tensor]]
    within: float


def difference(ours: Tensor, theirs: Tensor) -> float:
    """|ours - theirs| / |theirs|."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).norm() / theirs.norm())
