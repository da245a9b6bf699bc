"""Random SIGKILLs over workers on one folder: nothing may be lost, nothing be there twice, no file be corrupt.

    python benchmarks/kills.py [--kills 200] [--workers 4] [--seed 0] [--minutes 60] [--into FOLDER]

Workers (`sipbench work`) share cells of many small batches. Again and again one of them is killed at a random moment,
the supervisor, the process that it begins or a fork of that, most often where it is in the middle of a batch, and one
that is gone is started again. When all kills are done they come to an end, and the folder is looked at. The solver
writes down each image that it begins and finishes, with its process: what was finished twice must have been lost by a
kill the first time. Prints the figures; exit code 1 where one is not as it must be.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from sipbench.bench import sealed, store
from sipbench.cluster import lease

ROOT = Path(__file__).parents[1]
IMAGE_SECONDS = 0.25
AT_WORK = 0.75  # of the kills, which wait for a batch to land and hit a worker that holds one: starting takes long
PATIENCE = 60.0  # seconds that such a kill waits
SOLVER = """\
import hashlib, os, time

def told(what, problem):
    lines = [f"{what} {os.getpid()} {y_of(y)}\\n" for y in problem.y]
    file = os.open(PATH, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, "".join(lines).encode())
    os.close(file)

def y_of(y):
    return hashlib.sha256(y.numpy().tobytes()).hexdigest()[:16]

def solve(problem, *, pause=PAUSE):
    told("begun", problem)
    time.sleep(pause * len(problem.y))
    x = problem.f.pinv(problem.y) + 0.01 * problem.rng.normal(*problem.shape[1:])
    told("ended", problem)
    return x
"""


@dataclass
class Trial:
    """Workers on a folder, and who was killed.

    Attributes:
        killed: the processes that were killed, or ended with their supervisor.
        held: how many kills hit a worker that held a batch.
        landed: how many batches were there at the last of these.
    """

    folder: Path
    words: list[str]
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    supervisors: int = 0
    children: int = 0
    held: int = 0
    restarts: int = 0
    landed: int = 0

    @property
    def kills(self) -> int:
        return self.supervisors + self.children

    def start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "sipbench.cli", "work", *self.words, "threads=1"]
        with open(self.folder / "work.log", "ab") as log:
            return subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, env=environment())

    def kill(self, chance: random.Random) -> None:
        """Kill a supervisor or its child, and start a worker in the place of one that is gone."""
        busy = self.busy() if chance.random() < AT_WORK else []
        if busy:
            time.sleep(chance.uniform(0.0, 1.0))  # at any moment of one batch or of the next
        worker = self.workers[chance.choice(busy or range(len(self.workers)))]
        child, own = chance.random() < 0.5, below(worker.pid)
        self.held += bool(busy)
        if child and own:
            victim = chance.choice(own)
            self.children += 1
            self.killed.update([victim, *below(victim)])
            end(victim)
        else:
            self.supervisors += 1
            self.killed.update(own)
            worker.kill()
            worker.wait()
        self.revive()

    def revive(self) -> None:
        for n, worker in enumerate(self.workers):
            if worker.poll() is not None:
                self.workers[n] = self.start()
                self.restarts += 1

    def busy(self) -> list[int]:
        """Those of the workers that hold a batch, as soon as one has landed since the last such kill."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            landed = len(list((self.folder / "results").glob("runs/*/*/*/*/rows-*.parquet")))
            owners = {owner for held in lease.holders(self.folder / "results").values() for owner in held.values()}
            found = [n for n, one in enumerate(self.workers) if any(f"-{one.pid}-" in owner for owner in owners)]
            if (found and landed > self.landed) or all(one.poll() is not None for one in self.workers):
                self.landed = landed
                return found
            time.sleep(0.02)
        return []


def below(pid: int) -> list[int]:
    """The processes that this one started, and they in turn: of a worker the one that forks, and its forks."""
    try:
        own = [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [one for child in own for one in (child, *below(child))]


def end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SIPBENCH_EXPIRY": "20"}


def expected(kills: int) -> tuple[int, int]:
    """How many seeds and images an image method is run on: enough work for all of the kills."""
    return max(1, kills // 40), 48


def run(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Kill and start workers until it is over; the figures."""
    seeds, images = expected(asked.kills)
    solver = SOLVER.replace("PATH", repr(str(folder / "calls.txt"))).replace("PAUSE", str(IMAGE_SECONDS))
    (folder / "mine.py").write_text(solver)
    words = ["-m", "method=mine.py:solve", "degradation=sr4,inpaint70", f"seed={','.join(map(str, range(seeds)))}"]
    words += [f"images={images}", "batch_size=2", "size=32", "metrics=[psnr]"]
    trial, chance, began = Trial(folder, words), random.Random(asked.seed), time.monotonic()
    trial.workers = [trial.start() for _ in range(asked.workers)]
    while trial.kills < asked.kills and time.monotonic() - began < 60 * asked.minutes:
        time.sleep(chance.uniform(asked.shortest, asked.longest))
        trial.kill(chance)
    codes = [worker.wait() for worker in trial.workers]
    figures: dict[str, Any] = {"kills": trial.kills, "of supervisors": trial.supervisors, "of children": trial.children}
    figures |= {"kills while a batch was held": trial.held, "workers started again": trial.restarts}
    figures |= {"seconds": round(time.monotonic() - began), "exit codes at the end": sorted(set(codes))}
    return figures | look(folder, 2 * seeds * images, trial.killed)


def look(folder: Path, images: int, killed: set[int]) -> dict[str, Any]:
    """What is in the folder, in figures."""
    results, corrupt, frames = folder / "results", 0, []
    for cell in store.cells(results):
        for path in cell.glob("rows-*.parquet"):
            try:
                sealed.read(path, list(store.HEAVY), store.HEAVY)
                frames.append(sealed.read(path, None, store.HEAVY).to_pandas())
            except sealed.Damaged:
                corrupt += 1
    rows = pd.concat(frames)
    given_up = int(rows["reason"].astype(str).str.contains("ended its process 3 times").sum())
    twice = int(rows.duplicated(["cell", "image"]).sum())
    ended: dict[str, list[int]] = defaultdict(list)
    begun = 0
    for line in (folder / "calls.txt").read_text().splitlines():
        what, pid, y = line.split()
        begun += what == "begun"
        if what == "ended":
            ended[y].append(int(pid))
    again = {y: pids for y, pids in ended.items() if len(pids) > 1}
    unexplained = sum(pid not in killed for pids in again.values() for pid in pids[:-1])
    leftovers = [*results.rglob("*.damaged"), *results.glob("workers/*.json"), *results.glob("leases/*/*")]
    torn = sum(1 for _ in results.glob("runs/*/*/*/*/.*.tmp"))
    return {
        "images": images,
        "rows": len(rows),
        "lost": images - len(rows.drop_duplicates(["cell", "image"])),
        "twice": twice,
        "failed": int((rows["status"] != "ok").sum() - given_up),
        "given up after three kills": given_up,
        "corrupt": corrupt,
        "solves cut off": begun - sum(map(len, ended.values())),
        "solved again": sum(len(pids) - 1 for pids in again.values()),
        "solved again without a kill": unexplained,
        "half written, which count as nothing and go after an hour": torn,
        "leftovers": sorted({str(path.relative_to(results)) for path in leftovers}),
    }


def sound(figures: dict[str, Any]) -> bool:
    """Whether all is as it must be."""
    none = ("lost", "twice", "failed", "corrupt", "solved again without a kill", "leftovers")
    return not any(figures[name] for name in none) and figures["exit codes at the end"] == [0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shortest", type=float, default=0.2)
    parser.add_argument("--longest", type=float, default=3.0)
    parser.add_argument("--minutes", type=float, default=60.0, help="no more kills after so long")
    parser.add_argument("--into", type=Path)
    asked = parser.parse_args()
    folder = asked.into or Path(tempfile.mkdtemp(prefix="kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    figures = run(asked, folder)
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    return 0 if sound(figures) else 1


if __name__ == "__main__":
    sys.exit(main())
