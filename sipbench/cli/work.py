"""`sipbench work`: a worker that does what is missing of a sweep or a table, beside as many others as there are."""

from __future__ import annotations

import os
import signal
import sys

from sipbench.errors import UserError

HELP = """\
sipbench work [SWEEP | TABLE key=value ... | -m key=value,value ...]     do what is missing, beside other workers

  SWEEP                       the name that sipbench submit printed; without any word the sweep submitted last
  TABLE [profile=demo] ...    the cells of a table; -m and words: all combinations
  until=3600 | until=18:30    stop by then; under SLURM by the end of the job, whichever comes first
  workers_per_gpu=1           so many processes on each GPU that is visible here, or so many on the CPU
  threads=N                   of each process, in place of its share of the cores
  idle=600                    wait so long for batches that other workers hold before leaving them to them
  isolate=true                each solver in a process of its own, which may crash or hang alone
  results=FOLDER              the folder that the workers share

Start as many as you like, on any machine that sees the folder, and end them as you like: a batch is done by one of
them at a time, what a dead one held is taken over, and what is finished stays. It ends when nothing is left or its time
is up, with exit code 0; sipbench status says what is done. SIGTERM, Ctrl-C and a terminal that is closed (not under
nohup) stop it at once, SIGUSR2 after its batch.

Example:  sipbench work table1 until=18:30
"""
OWN = ("until", "workers_per_gpu", "threads", "idle", "isolate")
RESTARTS = 100  # of a job that puts itself back into its queue


def main(words: list[str]) -> int:
    """A worker, or in its processes the work itself."""
    from sipbench.cluster.telling import WORKER

    return _process(words) if WORKER in os.environ else _worker(words)


def _process(words: list[str]) -> int:
    from pathlib import Path

    from sipbench.cli.hydra import expand
    from sipbench.cluster import plan as plans
    from sipbench.cluster.asked import plan_of
    from sipbench.cluster.labour import labour

    plans.wait_for(plans.results_of(words), next(iter(words), ""))
    plan = plan_of(words, expand)
    if Path(plan.started_in).is_dir():
        os.chdir(plan.started_in)
    return labour(plan, asked_anew=plan.name not in words)


def _worker(words: list[str]) -> int:
    from sipbench.cluster import deadline, presence, share
    from sipbench.cluster.plan import check_name, results_of
    from sipbench.cluster.supervisor import Supervisor, requeue
    from sipbench.cluster.telling import ISOLATE, WITH_PARENT, say

    if os.environ.pop(WITH_PARENT, ""):
        presence.die_with_parent(signal.SIGTERM)
    own, others = _own(words)
    results = results_of(others)
    if name := next((word for word in others if "=" not in word and word not in ("-m", "--multirun")), ""):
        check_name(results, name)
    each = share.whole("workers_per_gpu", own["workers_per_gpu"] or "1")
    device = next((word.partition("=")[2] for word in reversed(others) if word.startswith("device=")), None)
    places = share.places(each, device)
    seconds = min(deadline.typed(own["until"]), deadline.of_job())
    idle = deadline.typed(own["idle"] or "600")
    if own["isolate"] not in (None, "true", "false"):
        raise UserError(f"isolate is true or false, not {own['isolate']!r}")
    os.environ |= {ISOLATE: "1"} if own["isolate"] == "true" else {}
    worker = Supervisor(results, others, places, share.threads(results, len(places), own["threads"]), seconds, idle)
    code = worker.run()
    if worker.left and os.environ.get("SIPBENCH_REQUEUE"):
        if int(os.environ.get("SLURM_RESTART_COUNT") or 0) < RESTARTS and requeue():
            say("back into the queue: something is left to do", sys.stdout)
    return code


def _own(words: list[str]) -> tuple[dict[str, str | None], list[str]]:
    """The options of the worker itself, and the words that say what it works on."""
    found: dict[str, str | None] = dict.fromkeys(OWN)
    others = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name in OWN:
            found[name] = value
        else:
            others.append(word)
    return found, others
