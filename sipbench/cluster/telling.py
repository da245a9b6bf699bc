"""What a worker tells: whoever reads along, and each of its processes the supervisor, by a pipe that both inherit.

{"hold": [FOLDER, KEY, NUMBER], "label": ..., "images": 8, "cell": HASH}    it has begun a batch
{"limit": 300}                                                    it may take so long, or null
{"step": 20, "of": 100}                                               how far its solver is
{"let": 8}                                                            it is done, and so many images landed
{"left": true}                                                        it ends, and something is left to do
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import Any, TextIO

PIPE = "SIPBENCH_PIPE"
WORKER = "SIPBENCH_WORKER"
LOADED = "SIPBENCH_LOADED"  # a hash of the code that a process has imported
UNTIL = "SIPBENCH_UNTIL"
FIRST = "SIPBENCH_FIRST"
WITH_PARENT = "SIPBENCH_WITH_PARENT"  # a worker whose parent is an actor ends with it
HANG = "SIPBENCH_HANG"
IDLE = "SIPBENCH_IDLE"
ISOLATE = "SIPBENCH_ISOLATE"  # solvers of a worker have processes of their own
OFTEN = 2.0  # seconds between two lines about steps


def say(text: object, stream: TextIO | None = None) -> None:
    """A line for whoever reads along. No work ends since nobody does any more, or the log's disk is full."""
    to = sys.stderr if stream is None else stream
    try:
        print(text, file=to, flush=True)
    except OSError:
        with contextlib.suppress(OSError):
            unheard = os.open(os.devnull, os.O_WRONLY)
            os.dup2(unheard, to.fileno())
            os.close(unheard)


class Teller:
    """The end of the pipe that speaks."""

    def __init__(self) -> None:
        self._pipe, self._told = int(os.environ[PIPE]), 0.0

    def tell(self, **said: Any) -> None:
        try:
            os.write(self._pipe, f"{json.dumps(said)}\n".encode())
        except OSError as error:  # nobody is there any more: what was finished is stored
            raise KeyboardInterrupt from error

    def step(self, step: int, of: int) -> None:
        now = time.monotonic()
        if now - self._told > OFTEN:
            self._told = now
            self.tell(step=step, of=of)
