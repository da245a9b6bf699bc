"""Scores anew from what is stored. A claim that another number would be printed for is found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sipbench import metrics
from sipbench.bench import packing, protocol, store
from sipbench.bench.cell import Cell
from sipbench.bench.record import y_hash
from sipbench.bench.rescore import fits, scores, unsolved
from sipbench.bench.run import Bench
from sipbench.bench.score import GAPS
from sipbench.leaderboard.handed import Handed, other_protocol
from sipbench.problem import Estimate

Record = dict[str, Any]
UNKNOWN = ("oracle_", "curve_", "along_")  # what only the run itself could tell: it is not passed on
COSTS = ("seconds", "evaluations")  # claims that nothing here can check: they are numbers of something, at least
NAN, INFINITE = float("nan"), float("inf")
OURS = "scored_on"  # a column of all rows that are passed on, and of no others


class Refused(Exception):
    """Why a cell is rejected, in one line."""


@dataclass(frozen=True)
class Judge:
    """A problem of the table at one seed: its measurements and its truth, made here."""

    cell: Cell

    @classmethod
    def of(cls, setting: Cell, seed: int) -> Judge:
        return cls(replace(unsolved(setting), seed=seed))

    @cached_property
    def bench(self) -> Bench:
        return Bench.of(self.cell, check=False)

    @cached_property
    def names(self) -> list[str]:
        """The metrics that can be computed here."""
        return [name for name in self.cell.metrics if metrics.available(name) is None and fits(self.cell, name)]

    @cached_property
    def hashes(self) -> dict[int, str]:
        """The hash of each measurement."""
        found = {}
        for images in self._batches(self.cell.images):
            y = self.bench.pose(images).y
            found |= {image: y_hash(y[i]) for i, image in enumerate(images)}
        return found

    def rows(self, cell: Handed) -> tuple[list[Record], bool]:
        """The rows of a handed-in cell with scores made here, and whether they are: not where no estimate was kept."""
        read = store.read(cell.folder)
        if lost := [name for name in ("image", "status", "protocol", "y_sha256") if name not in read]:
            raise Refused(f"its rows have no column {lost[0]}")
        own = read[read["image"].isin(self.cell.images)]
        if not len(own):
            raise Refused("it has none of the table's images")
        said = own.to_dict("records")
        for row in said:
            self._check(row)
        images = [int(row["image"]) for row in said if row["status"] == "ok"]
        kept = store.kept(cell, images)
        if len(kept) < len(images) or (cell.measured and not cell.paired):
            return said, False
        made = {int(one["image"]): one for one in self._scores(cell, images, kept)}
        unsaid = set(_unsaid(cell, self.names))
        for row in said:
            if row["status"] == "ok":
                _agree(row, made[int(row["image"])], self.names, unsaid)
        pictures = store.read(cell.folder, ["image", "png"])
        png = dict(zip(pictures["image"], pictures["png"], strict=True)) if "png" in pictures else {}
        return [self._row(row, made.get(int(row["image"])), kept, png) for row in said], True

    def _check(self, row: Record) -> None:
        image = int(row["image"])
        if why := other_protocol(row["protocol"]):
            raise Refused(f"protocol of image {image}: {why}")
        if row.get("seed", self.cell.seed) != self.cell.seed:
            raise Refused(f"image {image}: its row is of seed {row['seed']}, here {self.cell.seed}")
        if row["status"] == "ok" and row["y_sha256"] != self.hashes[image]:
            raise Refused(f"image {image}: its measurement y is another: {row['y_sha256']}, here {self.hashes[image]}")
        for name in COSTS if row["status"] == "ok" else ():
            if not 0 <= row.get(name, NAN) < INFINITE:
                raise Refused(f"image {image}: it is said to have taken {row.get(name, 'no')} {name}")

    def _scores(self, cell: Handed, images: list[int], kept: dict[int, bytes]) -> list[Record]:
        made = []
        for batch in self._batches(images):
            try:
                for image in batch:
                    _finite(image, store.opened(cell, image, kept[image], packing.unpacked))
                made += scores(self.bench, cell, batch, self.names, kept)
            except Refused:
                raise
            except Exception as error:  # a file of a stranger: what it holds may be anything
                said = " ".join(str(error).split())[:160]
                raise Refused(f"what it stored of images {batch[0]} to {batch[-1]} cannot be scored: {said}") from error
        return made

    def _row(self, row: Record, made: Record | None, kept: dict[int, bytes], png: dict[int, Any]) -> Record:
        """What is passed on of a row: no score and no curve that was not made here."""
        claims = (*metrics.METRICS, *self.names, *GAPS.values())  # of a part as well: NAME_psnr
        own = {k: v for k, v in row.items() if not (k in claims or k.endswith(tuple(f"_{name}" for name in claims)))}
        own = {k: v for k, v in own.items() if not k.startswith(UNKNOWN)} | {OURS: None}
        if made is None:
            return own
        image = int(row["image"])
        return own | made | {"kept": True, "estimate": kept[image], "png": png.get(image)}

    def _batches(self, images: Sequence[int]) -> list[list[int]]:
        size = max(1, self.cell.batch_size)
        return [list(images[at : at + size]) for at in range(0, len(images), size)]


def _finite(image: int, estimate: Estimate) -> None:
    """Refuse an estimate that would have been a failed image."""
    parts = [estimate.x, *(estimate.theta or {}).values(), *([] if estimate.samples is None else [estimate.samples])]
    if not all(bool(part.isfinite().all()) for part in parts):
        raise Refused(f"image {image} is said to be solved, and its stored estimate is not finite")


def _unsaid(cell: Handed, names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The images that are said to be solved, and metrics that whoever solved them had, of which no number is claimed.

    Without the weights of its backbone a metric has none for a whole file.
    """
    for path in store.files(cell.folder, "rows"):
        table = store.table(path, ["image", "status", *names])
        rows = [row for row in table.to_pylist() if row["status"] == "ok"] if table is not None else []
        for name in (name for name in names if rows and name in rows[0]):
            lost = [row["image"] for row in rows if row[name] is None or row[name] != row[name]]
            if len(lost) < len(rows) or metrics.METRICS[name].backbone is None:
                yield from ((int(image), name) for image in lost)


def _agree(row: Record, made: Record, names: Sequence[str], unsaid: Collection[tuple[int, str]]) -> None:
    """Refuse claims that are not what the estimate gives; those by other metrics are not compared."""
    if row.get("metrics_version") != protocol.versions()["metrics"]:
        return
    for name in names:
        claimed, found = row.get(name), made.get(name)
        where = f"image {int(row['image'])}"
        if claimed is None or found is None or claimed != claimed:
            if (int(row["image"]), name) in unsaid and found is not None and found == found:
                raise Refused(f"{where} claims a {name} that is no number, and its stored estimate gives {found:.4f}")
            continue
        if not same(name, float(claimed), float(found)):
            raise Refused(f"{where} claims {name} {claimed:.4f}, and its stored estimate gives {found:.4f}")


def same(name: str, a: float, b: float) -> bool:
    """Whether two values of a metric would be printed alike, up to the last place."""
    return a == b or abs(a - b) <= tolerance(name)


def tolerance(name: str) -> float:
    """Half of the last place that a table prints."""
    metric = metrics.METRICS[name]
    return 0.5 * 10.0 ** -(2 if metric.unit == "dB" else metric.places)
