"""How far a plan is: what is done, running, failed and missing, told from files alone, on any machine, at any time."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sipbench.bench import index, store
from sipbench.cluster import files, lease, presence
from sipbench.cluster.agenda import TRAINING
from sipbench.cluster.plan import Plan, Planned
from sipbench.safety.text import line


@dataclass(frozen=True)
class Standing:
    """Of one cell. Every image is done, failed, running or missing.

    Attributes:
        state: done, failed, running, missing, n/a, or mistake: it lacks something.
        reason: why images failed, or why nobody has done what is missing.
        seconds: what an image took, all draws of it, where that is known.
        changed: how many images were done by other code than was submitted.
    """

    label: str
    seed: int
    hash: str
    images: int
    done: int = 0
    failed: int = 0
    running: int = 0
    missing: int = 0
    state: str = "done"
    reason: str = ""
    seconds: float | None = None
    changed: int = 0


@dataclass(frozen=True)
class Worker:
    """One that is at work on anything below the results folder.

    Attributes:
        since: seconds that it has been there.
        silent: seconds since its last sign of life, by the clock of the file system.
        doing: what each of its processes does, for how long, and which step it is at.
        lost: whether it has been silent for so long that what it holds may be taken over.
    """

    name: str
    host: str
    job: str
    since: float
    silent: float
    images: int
    doing: list[dict[str, Any]] = field(default_factory=list)
    lost: bool = False


@dataclass(frozen=True)
class Status:
    name: str
    cells: list[Standing]
    workers: list[Worker]

    def total(self, what: str) -> int:
        """Images that are done, failed, running, missing or changed; those of cells that are n/a do not count."""
        return sum(getattr(cell, what) for cell in self.cells if cell.state != "n/a")

    @property
    def code(self) -> int:
        """0: all is done; 1: images failed or are missing; 2: a cell cannot be done as it is. By result files alone."""
        if any(cell.state == "mistake" for cell in self.cells):
            return 2
        return int(bool(self.total("failed") + self.total("running") + self.total("missing")))

    @property
    def hands(self) -> int:
        """The processes that are at work."""
        return sum(len(worker.doing) for worker in self.workers if not worker.lost)

    @property
    def seconds_left(self) -> float | None:
        """For the processes that are at work, or for one; None where no cell of a method tells how long it takes."""
        known: dict[str, list[float]] = {}
        for cell in self.cells:
            if cell.seconds is not None:
                known.setdefault(cell.label.rpartition(" / ")[2], []).append(cell.seconds)
        total = 0.0
        for cell in self.cells:
            if left := cell.missing + cell.running:
                own = known.get(cell.label.rpartition(" / ")[2])
                if cell.state == "n/a" or cell.state == "mistake":
                    continue
                if cell.seconds is None and not own:
                    return None
                each = cell.seconds if cell.seconds is not None else sum(own or ()) / len(own or (1,))
                total += left * each
        return total / max(1, self.hands)

    def plain(self) -> dict[str, Any]:
        """As JSON says it."""
        counts = {what: self.total(what) for what in ("images", "done", "failed", "running", "missing", "changed")}
        return {"name": self.name, "code": self.code, "seconds_left": self.seconds_left, **counts, **asdict(self)}


def status(plan: Plan) -> Status:
    """Of a plan, frozen or not."""
    said = presence.everybody(plan.results)
    alive = {one["worker"]: one for one in said if not presence.gone(one)}
    workers = _workers(plan.results, alive)
    quick = {worker.name for worker in workers if not worker.lost}
    held = lease.holders(plan.results)
    live = {cell: {key for key, owner in keys.items() if owner in quick} for cell, keys in held.items()}
    notes = plan.notes()
    folders = {one.hash: plan.results / one.folder for one in plan.cells}
    rows = index.read(plan.results, folders.values())
    cells = [_standing(plan.results / "leases", one, rows[folders[one.hash]], live, notes) for one in plan.cells]
    return Status(plan.name, cells, workers)


def _standing(
    leases: Path, one: Planned, rows: Any, live: Mapping[str, set[str]], notes: Mapping[str, Any]
) -> Standing:
    same: dict[str, Any] = {"label": line(one.label), "seed": one.seed, "hash": one.hash, "images": len(one.images)}
    if one.refused:
        return Standing(**same, state="mistake", reason=line(one.refused))
    have = store.settled(rows)
    rows = rows[rows["image"].isin(one.images)]
    bad, good = rows[rows["status"] != "ok"], rows[rows["status"] == "ok"]
    left = set(one.images) - have
    mine = live.get(one.hash, set())
    running = left & {i for key in mine for i in lease.images_of(leases / one.hash, key)}
    note = notes.get(one.hash) or {}
    training = left and any(TRAINING in live.get(name, set()) for name in one.lessons)
    state = "done" if not left else "running" if running or training else "missing"
    state = "failed" if state == "done" and len(bad) else state
    state = "n/a" if left and note.get("kind") == "n/a" else state
    reason = store.reasons(bad)[0] if len(bad) else str(note.get("reason", "")) if left else ""
    seconds = _seconds(good)
    counts: dict[str, Any] = {
        "done": len(set(one.images) & have) - len(bad),
        "failed": len(bad),
        "running": len(running),
    }
    counts |= {"missing": len(left) - len(running), "changed": store.changed(rows)}
    return Standing(**same, **counts, state=state, reason=line(reason), seconds=seconds)


def _seconds(good: Any) -> float | None:
    """What an image took, by its rows: their seconds are of one draw."""
    if "seconds" not in good or not good["seconds"].notna().any():
        return None
    draws = good["draws"].fillna(1) if "draws" in good else 1
    return float((good["seconds"] * draws).mean())


def _workers(results: Path, alive: Mapping[str, dict[str, Any]]) -> list[Worker]:
    now, found = _now(results) if alive else 0.0, []
    for name, said in alive.items():
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):  # it left a moment ago, or is damaged
            silent = max(0.0, now - presence.file_of(results, name).stat().st_mtime)
            doing = [_doing(one, float(said["now"])) for one in said["doing"]]
            since = float(said["now"]) - float(said["began"]) + silent
            host, job = line(said["host"]), line(said["job"])
            lost = silent >= presence.expiry()
            found.append(Worker(line(name), host, job, since, silent, int(said["images"]), doing, lost))
    return found


def _doing(one: dict[str, Any], now: float) -> dict[str, Any]:
    kept = {
        key: line(one[key]) if key == "label" else one[key] for key in ("label", "step", "of", "cell") if key in one
    }
    return kept | {"seconds": max(0.0, now - float(one["began"]))}


def _now(results: Path) -> float:
    """The time of the file system, which has written the others' files too: a file that is made now bears it."""
    path = results / "workers" / f".now-{uuid.uuid4().hex[:8]}.tmp"
    try:
        files.write(path, {})
        return path.stat().st_mtime
    except OSError:  # where nothing can be written
        return time.time()
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)
