"""What a worker does next: a batch that is missing, or the training that it waits for, held by a lease.

Cells that load the same weights come one after the other, first those of a first seed. Workers begin at different
places of that list, so that each keeps what it has loaded; one long cell is worked on by all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sipbench.cluster import files, lease
from sipbench.cluster.landed import Landed
from sipbench.cluster.lease import Lease
from sipbench.cluster.plan import Plan, Planned
from sipbench.cluster.presence import Watch
from sipbench.errors import UserError
from sipbench.safety.text import line

TRAINING = "training"  # the key of a training's lease


@dataclass(frozen=True)
class Job:
    """What a worker holds: images of a cell, or the training of one of its lessons.

    Attributes:
        lesson: the name of what is to be trained; empty for a batch.
    """

    cell: Planned
    lease: Lease
    images: tuple[int, ...] = ()
    lesson: str = ""

    @property
    def label(self) -> str:
        if self.lesson:
            return line(f"training {self.lesson}")
        return named(self.cell.label, self.cell.seed, self.images)


class Agenda:
    """The jobs of a plan, as one worker sees them.

    Attributes:
        skipped: why this worker leaves a cell alone, by hash.
    """

    def __init__(self, plan: Plan, worker: str) -> None:
        self.plan, self.worker, self.skipped = plan, worker, dict[str, str]()
        self.landed, self.watch = Landed(plan.results), Watch(plan.results)
        self._finished, self._tried, self._trained = set[str](), set[str](), set[str]()
        self._notes: dict[str, bool] = {}
        self._order = _ordered(plan, worker)
        self._last: Planned | None = None

    def next(self) -> Job | None:
        """A job that nobody else has, or None: nothing is left, or the others have it."""
        for cell in self._pending():
            job = self._training(cell) if self._untrained(cell) else self._batch(cell)
            if job is not None:
                self._last = cell
                return job
        return None

    def left(self) -> bool:
        """Whether anything is missing that this worker could do, were it not for others."""
        return next(self._pending(), None) is not None

    def whole(self) -> Iterator[Planned]:
        """The cells of which every batch has landed, or is not tried any more."""
        return (cell for cell in self.plan.cells if cell.hash in self._finished)

    def skip(self, cell: Planned, reason: str) -> None:
        """Leave a cell alone from here on."""
        self.skipped[cell.hash] = reason

    def tried(self, job: Job) -> None:
        """A batch was done. Failed images of one are tried again once, not for ever."""
        self._tried.add(_key(job.cell, job.images))

    def _pending(self) -> Iterator[Planned]:
        """The cells that are not done, the one that was worked on last first."""
        found = [self._last] if self._last is not None else []
        na = self._impossible()
        for cell in [*found, *(one for one in self._order if one is not self._last)]:
            if cell.hash in self._finished or cell.hash in self.skipped or cell.hash in na:
                continue
            try:
                left = self.landed.left(cell)
            except UserError as error:
                self.plan.note(cell, "error", str(error))
                self.skip(cell, str(error))
                continue
            if left and any(self._open(cell, batch, left) for batch in cell.batches):
                yield cell
            else:
                self._finished.add(cell.hash)

    def _impossible(self) -> set[str]:
        """The cells that no worker can do; a note is read once."""
        for name in files.listed(self.plan.folder / "notes"):
            if name.endswith(".json") and name not in self._notes:
                said = files.read(self.plan.folder / "notes" / name)
                self._notes[name] = bool(said and said.get("kind") == "n/a")
        return {name[:-5] for name, na in self._notes.items() if na}

    def _open(self, cell: Planned, batch: tuple[int, ...], left: set[int]) -> bool:
        if not left.intersection(batch):
            return False
        key = _key(cell, batch)
        if key in self._tried:
            return False
        return not (cell.retry_failed and (self.plan.folder / "notes" / f"retried-{key}.once").exists())

    def _batch(self, cell: Planned) -> Job | None:
        left = self.landed.left(cell)
        for batch in cell.batches:
            if self._open(cell, batch, left):
                folder = self.plan.results / "leases" / cell.hash
                held = lease.claim(folder, key_of(batch), self.worker, self.watch, batch)
                if held is None:
                    continue
                todo = tuple(i for i in batch if i in self.landed.left(cell))  # it may have landed just before
                if todo and self._open(cell, batch, set(todo)):
                    return Job(cell, held, batch)
                held.release()
        return None

    def _untrained(self, cell: Planned) -> list[str]:
        found = []
        for name in cell.lessons:
            if name not in self._trained:
                if (self.plan.results / "trained" / name / "facts.json").is_file():
                    self._trained.add(name)
                else:
                    found.append(name)
        return found

    def _training(self, cell: Planned) -> Job | None:
        for name in self._untrained(cell):
            held = lease.claim(self.plan.results / "leases" / name, TRAINING, self.worker, self.watch)
            if held is not None:
                if name in self._untrained(cell):
                    return Job(cell, held, lesson=name)
                held.release()
        return None


def named(cell: str, seed: int, images: Sequence[int]) -> str:
    """A batch of a cell as it is told of."""
    first, last = min(images), max(images)
    many = f"image {first}" if first == last else f"images {first} to {last}"
    return line(f"{cell}, seed {seed}, {many}")


def key_of(batch: Sequence[int]) -> str:
    """How a batch's lease is called."""
    from sipbench.bench.store import file_of

    return file_of(batch).removeprefix("rows-").removesuffix(".parquet")


def _key(cell: Planned, batch: tuple[int, ...]) -> str:
    return f"{cell.hash}-{key_of(batch)}"


def _ordered(plan: Plan, worker: str) -> list[Planned]:
    """By rank of the seed, then by what is loaded; the groups of a rank begin at another one for each worker."""
    seeds: dict[str, list[int]] = {}
    ranks: dict[int, dict[str, list[Planned]]] = {}
    for cell in (one for one in plan.cells if one.hash):
        own = seeds.setdefault(cell.label, [])
        if cell.seed not in own:
            own.append(cell.seed)
        ranks.setdefault(own.index(cell.seed), {}).setdefault(cell.weights, []).append(cell)
    found: list[Planned] = []
    for rank in sorted(ranks):
        groups = list(ranks[rank].values())
        at = int(hashlib.sha256(worker.encode()).hexdigest(), 16) % len(groups)
        found += [cell for group in (*groups[at:], *groups[:at]) for cell in group]
    return found
