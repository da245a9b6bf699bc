"""What was asked for: the cells of a table or of a sweep, frozen when they were submitted.

    results/sweeps/NAME/cells.jsonl   a line each: its words, hash, images, and all that its hash is made of
    results/sweeps/NAME/plan.json     what it is called, the words that were typed, and the source that made it
    results/sweeps/NAME/notes/        what cannot be done, and why

What is submitted is what runs. A worker composes the words again and compares: a cell that is another one by then, as
its solver or a weight file changed, is refused. Where other code of the harness changed, which leaves a cell's name as
it is, each row says so in its column `source_changed`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench import configs
from sipbench.checkpoints import at_home
from sipbench.cluster import files
from sipbench.errors import UserError, unknown
from sipbench.safety import sizes

if TYPE_CHECKING:
    from sipbench.bench.cell import Cell


MOST = 10**6  # images of a cell
OF_A_SWEEP = re.compile(r"[^/]+-[0-9a-f]{8}")  # how a plan is called
PATIENCE, PAUSE = 90.0, 1.0  # seconds: NFS may take a minute to show what another machine wrote


@dataclass(frozen=True)
class Planned:
    """A cell as it was when it was submitted.

    Attributes:
        folder: where its rows lie, below the results folder.
        weights: what has to be loaded for it; cells that share it are done one after the other.
        lessons: what its recipe trains, by the names of the folders that it is laid down in.
        refused: why it cannot be done at all, of a sweep's cell that lacks something; it has no hash then.
    """

    label: str
    words: tuple[str, ...]
    hash: str = ""
    folder: str = ""
    images: tuple[int, ...] = ()
    batch_size: int = 1
    seed: int = 0
    metrics: tuple[str, ...] = ()
    retry_failed: bool = False
    weights: str = ""
    lessons: tuple[str, ...] = ()
    refused: str = ""
    identity: Any = None

    @classmethod
    def of(cls, cell: Cell, words: Sequence[str]) -> Planned:
        return cls(
            label=cell.label,
            words=tuple(words),
            hash=cell.hash,
            folder=str(cell.folder.relative_to(cell.results)),
            images=tuple(cell.images),
            batch_size=cell.batch_size,
            seed=cell.seed,
            metrics=cell.metrics,
            retry_failed=cell.retry_failed,
            weights=_digest(sorted(cell.identity["weights"].items())),
            lessons=tuple(sorted({one.folder(cell.results).name for one in cell.lessons.values()})),
            identity=cell.identity,
        )

    @property
    def key(self) -> str:
        """What two words for the same cell have in common."""
        return self.hash or f"{self.label}, seed {self.seed}: {self.refused}"

    @property
    def batches(self) -> list[tuple[int, ...]]:
        """Its images, batch by batch."""
        return [self.images[i : i + self.batch_size] for i in range(0, len(self.images), self.batch_size)]

    def cell(self, plan: Plan) -> Cell:
        """Composed anew, with the images and scores that were frozen."""
        from sipbench.bench.cell import Cell

        words = list(self.words)
        made = Cell.of(configs.compose(words), words)
        group = {"group": made.wandb.get("group") or plan.name, "tags": [*(made.wandb.get("tags") or ()), plan.name]}
        frozen = {"chosen_images": list(self.images), "batch_size": self.batch_size, "metrics": self.metrics}
        return replace(made, **frozen, results=plan.results, wandb={**made.wandb, **group})

    def change(self, cell: Cell) -> str:
        """What of the cell is no longer what was submitted, or nothing."""
        if cell.hash == self.hash:
            return ""
        before, now = self.identity or {}, cell.identity
        parts = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
        return f"{self.hash} became {cell.hash}: its {', '.join(parts) or 'name'} changed"


@dataclass(frozen=True)
class Plan:
    """Cells that were asked for together.

    Attributes:
        typed: the words that were typed.
        source: of the code and configs that it was made with.
        started_in: the folder that relative paths are meant from.
    """

    name: str
    typed: tuple[str, ...]
    results: Path
    cells: tuple[Planned, ...]
    source: str = ""
    made: str = ""
    started_in: str = ""

    @classmethod
    def of(cls, kind: str, typed: Sequence[str], cells: Iterable[Planned], results: Path) -> Plan:
        """Named by what is in it: the same cells asked for again are the same plan."""
        planned = tuple(cells)
        content = [[one.hash or one.refused, one.words, one.images, one.batch_size, one.metrics] for one in planned]
        made = time.strftime("%Y-%m-%d %H:%M:%S")
        name = f"{kind}-{_digest(content)}"
        return cls(name, tuple(typed), results.resolve(), planned, source(), made, str(Path.cwd()))

    @property
    def folder(self) -> Path:
        return self.results / "sweeps" / self.name

    @cached_property
    def by_hash(self) -> dict[str, Planned]:
        return {one.hash: one for one in self.cells if one.hash}

    def freeze(self) -> None:
        """Write it down; what is there already is the same plan, unless it is damaged."""
        if frozen(self.results, self.name):
            with contextlib.suppress(UserError):
                load(self.results, self.name)
                return
        from sipbench.bench.store import write_whole

        lines = [json.dumps(_line(one), sort_keys=True) for one in self.cells]
        write_whole(self.folder / "cells.jsonl", "".join(f"{line}\n" for line in lines).encode())
        about = {k: v for k, v in asdict(replace(self, cells=())).items() if k not in ("cells", "results")}
        write_whole(self.folder / "plan.json", json.dumps(about, indent=2).encode())

    def begin_anew(self) -> None:
        """Forget why cells could not be done, and what was tried again: it is asked for once more, and last."""
        os.utime(self.folder / "plan.json")
        for pattern in ("*.json", "retried-*.once"):
            for path in (self.folder / "notes").glob(pattern):
                path.unlink(missing_ok=True)

    def note(self, cell: Planned, kind: str, reason: str) -> None:
        """Why a cell cannot be done. `n/a`: nobody can; `changed` and `error`: the one who tried could not."""
        files.write(self.folder / "notes" / f"{cell.hash}.json", {"kind": kind, "reason": reason})

    def notes(self) -> dict[str, dict[str, Any]]:
        """What was noted, by hash."""
        folder = self.folder / "notes"
        found = {name[:-5]: files.read(folder / name) for name in files.listed(folder) if name.endswith(".json")}
        return {name: note for name, note in found.items() if note}

    def once(self, what: str) -> bool:
        """Whether this process is the first of all to ask: what is done once a plan is done by who hears yes."""
        path = self.folder / "notes" / f"{what}.once"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def once_each(cells: Iterable[Planned]) -> list[Planned]:
    """Each cell once, with all images and scores that were asked of it: these are no part of its name."""
    made: dict[str, Planned] = {}
    for one in cells:
        first = made.setdefault(one.key, one)
        images = dict.fromkeys([*first.images, *one.images])
        metrics = dict.fromkeys([*first.metrics, *one.metrics])
        made[one.key] = replace(first, images=tuple(images), metrics=tuple(metrics))
    return list(made.values())


def results_of(words: Sequence[str]) -> Path:
    """The results folder that the words, or else the environment, name."""
    named = configs.Overrides([word for word in words if "=" in word]).get("results")
    return at_home(named or os.environ.get("SIPBENCH_RESULTS", "results")).resolve()


def load(results: Path, name: str) -> Plan:
    """A plan that was frozen."""
    folder = results / "sweeps" / name
    about = files.read(folder / "plan.json")
    if about is None and not folder.is_dir():
        raise unknown(f"sweep in {results}", name, names(results))
    try:
        if about is None:
            raise ValueError("its plan.json cannot be read")
        lines = (folder / "cells.jsonl").read_text(encoding="utf-8").splitlines()
        cells = tuple(_planned(json.loads(line)) for line in lines)
        typed, made = tuple(map(str, about["typed"])), str(about["made"])
        return Plan(name, typed, results.resolve(), cells, str(about["source"]), made, str(about["started_in"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"damaged sweep {folder}: {error}. Submit it again.") from error


def frozen(results: Path, name: str) -> bool:
    """Whether a sweep of this name is there: asked by its name, as NFS may list a folder as it was a minute ago."""
    return _is_word(name) and (results / "sweeps" / name / "plan.json").is_file()


def wait_for(results: Path, name: str) -> None:
    """Until a sweep is there that was frozen on another machine a moment ago; a word that names none is no such."""
    if not OF_A_SWEEP.fullmatch(name) or frozen(results, name):
        return
    print(f"{name} is not in {results} yet: waiting {PATIENCE:g} s for it to be shown", file=sys.stderr, flush=True)
    end = time.monotonic() + PATIENCE
    while not frozen(results, name) and time.monotonic() < end:
        time.sleep(PAUSE)


def check_name(results: Path, name: str) -> None:
    """Refuse at once what can name neither a table nor a sweep, also one that is not shown here yet."""
    if not OF_A_SWEEP.fullmatch(name) and not frozen(results, name) and name not in configs.names("table"):
        raise no_such(results, name)


def no_such(results: Path, name: str) -> UserError:
    """A word that names nothing to work on."""
    return unknown("sweep or table", name, [*names(results), *configs.names("table")])


def names(results: Path) -> list[str]:
    """The plans that are frozen below a results folder, the oldest first."""
    try:
        there = [results / "sweeps" / name / "plan.json" for name in os.listdir(results / "sweeps")]
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    found = [path for path in there if path.is_file()]
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def source() -> str:
    """A hash of all code and configs of the harness and its solvers, as they lie on the disk."""
    return _source(tuple((path, sizes.stamp(path)) for path in sorted(_sources())))


@lru_cache(1)
def _source(files: tuple[tuple[Path, sizes.Stamp], ...]) -> str:
    digest = hashlib.sha256()
    for path, _ in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _sources() -> Iterator[Path]:
    package = Path(__file__).parents[1]
    for folder in (package, package.parent / "baselines"):
        yield from folder.rglob("*.py")
    yield from Path(configs.root()).rglob("*.yaml")


def _line(one: Planned) -> dict[str, Any]:
    said = {k: v for k, v in asdict(one).items() if v not in ("", (), None)}
    whole = one.images == tuple(range(len(one.images)))
    return said | {"images": len(one.images) if whole else list(one.images)}


def _planned(line: dict[str, Any]) -> Planned:
    images = line["images"]
    if isinstance(images, int) and images > MOST:
        raise ValueError(f"a cell of it claims {images:,} images")
    lists: dict[str, Any] = {k: tuple(map(str, line.get(k) or ())) for k in ("words", "metrics", "lessons")}
    lists["images"] = tuple(range(images)) if isinstance(images, int) else tuple(map(int, images))
    folder = Path(str(line.get("folder", "")))
    if (
        folder.is_absolute()
        or ".." in folder.parts
        or not all(map(_is_word, [line.get("hash", "x"), *lists["lessons"]]))
    ):
        raise ValueError("a cell of it leads out of the results folder")
    return Planned(**line | lists)


def _is_word(name: object) -> bool:
    """Whether it names a file and leads to no other folder."""
    return isinstance(name, str) and Path(name).name == name and name not in ("", "..") and "\0" not in name


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:8]
