"""How wandb is kept quiet: short waits, nothing on the screen, nothing about the machine, nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 10.0  # seconds that a start or an end may take
QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
LEAKS = ("WANDB_SERVICE",)  # set by wandb itself: a process started later would look for a service that is gone


def settings(wandb: Any) -> Any:
    """Short waits, no console, no code, nothing about the machine; a setting this version lacks is left out."""
    wanted = {
        "silent": True,
        "console": "off",
        "init_timeout": PATIENCE,
        "login_timeout": PATIENCE,
        "finish_timeout": 3 * PATIENCE,
        "x_service_wait": 3 * PATIENCE,
        "summary_timeout": int(PATIENCE),
        "disable_git": True,
        "disable_code": True,
        "x_disable_stats": True,
        "x_disable_meta": True,
        "x_disable_machine_info": True,
    }
    return wandb.Settings(**{k: v for k, v in wanted.items() if k in wandb.Settings.model_fields})


def abandon(run: Any) -> None:
    """End a run that failed, as far as it lets us."""
    try:
        if run is not None:
            run.finish(exit_code=1)
    except (Exception, SystemExit):
        return


@contextmanager
def environment() -> Iterator[None]:
    """Variables that wandb's side process inherits, taken back at once."""
    before = {name: os.environ.get(name) for name in (*QUIET, *LEAKS)}
    os.environ.update(QUIET)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
