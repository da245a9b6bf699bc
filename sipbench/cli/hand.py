"""A process of a worker: `sipbench work` under its supervisor, forked off one that has imported what takes long."""

from __future__ import annotations

import os
import sys

import hydra.main  # noqa: F401
import pandas  # noqa: F401

from sipbench import cli
from sipbench.cluster import asked, labour, presence, telling  # noqa: F401

LOADED = labour.source()  # the code as it was imported, before the fork


def main(parent: int, pipe: int, *words: str) -> None:
    """Work until nothing is left, telling at this end of a pipe, and end with the exit code of the command."""
    presence.die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    try:
        os.environ |= {telling.PIPE: str(pipe), telling.LOADED: LOADED}
        sys.argv = ["sipbench", "work", *words]
        code = cli.main(sys.argv[1:])
    except KeyboardInterrupt:  # told to stop before it began
        code = 75
    sys.exit(code)
