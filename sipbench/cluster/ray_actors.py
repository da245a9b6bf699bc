"""Workers as actors of a Ray cluster: detached ones, which go on when the process that made them is gone.

    python -m sipbench.cluster.ray_actors NAME WORKERS [ADDRESS]     end them

An actor starts the worker's command and ends with it. If its node is lost, Ray starts it elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sipbench.cluster.plan import Plan
from sipbench.cluster.telling import WITH_PARENT
from sipbench.errors import UserError

SPACE = "sipbench"  # where Ray keeps the names of the actors
RESTARTS = 10


class Actor:
    """One worker, under Ray."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str, log: str) -> None:
        self._start = partial(_started, list(command), {**os.environ, **environment}, folder, log)
        self._process = self._start()
        threading.Thread(target=self._wait, args=(_itself(),), daemon=True).start()

    def pid(self) -> int:
        """The process of the worker."""
        return self._process.pid

    def stop(self) -> None:
        """Tell it to stop; what is finished is stored."""
        self._process.send_signal(signal.SIGTERM)

    def _wait(self, itself: Any) -> None:
        """When the worker ends in order, so does the actor, and its place is free; one that was killed begins anew."""
        import ray  # pyright: ignore

        for _ in range(RESTARTS):
            if self._process.wait() >= 0:
                break
            self._process = self._start()
        ray.kill(itself, no_restart=True)


def _started(command: list[str], environment: dict[str, str], folder: str, log: str) -> subprocess.Popen[bytes]:
    with open(log, "ab") as file:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=file)


def submit(
    plan: Plan, workers: int, command: Sequence[str], options: Mapping[str, str], environment: Mapping[str, str]
) -> str:
    """Make the actors; the name that all of theirs begin with."""
    ray = _connected(options.get("address", "auto"))
    needs = {
        "num_cpus": _number("cpus", options.get("cpus", "1")),
        "num_gpus": _number("gpus", options.get("gpus", "0")),
    }
    own = {name: environment[name] for name in ("PYTHONPATH",) if name in environment} | {WITH_PARENT: "1"}
    kind, made = ray.remote(Actor), []
    for n in range(workers):
        log = str(plan.folder / "logs" / f"ray-{n}.log")
        named = {"name": f"{plan.name}-{n}", "namespace": SPACE, "lifetime": "detached", "max_restarts": RESTARTS}
        with contextlib.suppress(ValueError):  # there is none of that name
            ray.get_actor(named["name"], namespace=SPACE)
            raise UserError(f"{named['name']} is at work already: sipbench status {plan.name}")
        made.append(kind.options(**named, **needs).remote(list(command), own, str(Path.cwd()), log))
    ready, waiting = ray.wait([one.pid.remote() for one in made], num_returns=len(made), timeout=20)
    if waiting:
        print(f"{len(waiting)} of {len(made)} actors wait for a place in the cluster", file=sys.stderr)
    ray.shutdown()
    return plan.name


def stop(name: str, workers: int, address: str = "auto") -> int:
    """End the workers of a plan; how many there were."""
    ray, found = _connected(address), 0
    for n in range(workers):
        with contextlib.suppress(ValueError):
            actor = ray.get_actor(f"{name}-{n}", namespace=SPACE)
            actor.stop.remote()
            found += 1
    ray.shutdown()
    return found


def _connected(address: str) -> Any:
    try:
        import ray  # pyright: ignore
    except ImportError as error:
        raise UserError("Ray is not installed: pip install 'sipbench[ray]'") from error
    try:
        ray.init(address=address, namespace=SPACE, log_to_driver=False, logging_level="ERROR")
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"no Ray cluster answers at {address} ({reason}): ray start --head, or address=HOST:6379"
        ) from error
    return ray


def _itself() -> Any:
    import ray  # pyright: ignore

    return ray.get_runtime_context().current_actor


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UserError(f"{name} is a number such as 1 or 0.5, not {text!r}") from error


if __name__ == "__main__":
    print(f"{stop(sys.argv[1], int(sys.argv[2]), *sys.argv[3:4])} workers are told to stop")
