"""Where a table is written: one of which something was changed never over the whole one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sipbench.configs import Overrides

SAME = (
    "results",
    "data",
    "weights",
    "device",
    "batch_size",
    "jobs",
    "keep_images",
    "retry_failed",
    "trusted",
    "isolate",
    "kill_after",
    "memory_limit",
)  # it shows the same


def telling(typed: Iterable[str]) -> Overrides:
    """Those of the words that were typed that change what the table shows."""
    return Overrides(typed).without(*SAME, "wandb.", "hydra.")


def is_partial(typed: Iterable[str]) -> bool:
    """Whether any of them does."""
    return len(telling(typed)) > 0


def place(results: Path, profile: str, partial: bool) -> Path:
    """results/PROFILE, or results/partial/PROFILE."""
    return results / "partial" / profile if partial else results / profile
