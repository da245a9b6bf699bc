"""Weights & Biases: a copy of what is stored of a cell, for looking at. The store stays the only source.

It may be off, offline (no network is touched) or online. A wandb that is absent or fails costs one line of warning and
some seconds, never a result.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from statistics import fmean
from typing import Any, ClassVar

from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.validate import WANDB
from sipbench.errors import unknown
from sipbench.report.wandb_quiet import abandon, environment, settings
from sipbench.safety import sizes

CURVES = ("curve", "along")  # what a solver showed at log-spaced steps; what its probe saw
KINDS = tuple(f"{kind}_" for kind in CURVES)


@contextmanager
def session(cell: Cell, warn: Callable[[str], None] | None = None) -> Iterator[Log]:
    """A run for one cell: `with session(cell) as log: log.batch(rows)`. What is stored already is logged with it."""
    log = Log(cell, warn or _to_stderr)
    try:
        yield log
    except BaseException:
        log.close(exit_code=1)
        raise
    log.close()


def log_stored(cell: Cell) -> None:
    """Log what is stored of a finished cell, where a log is asked for."""
    if cell.wandb["mode"] != "disabled":
        with session(cell) as log:
            log.batch(())


class Log:
    """Logs batches as they land; the table, the curves and the pictures when the cell ends.

    Attributes:
        broken: the modes that would not start in this process; they are not tried again for every cell.
    """

    broken: ClassVar[set[str]] = set()

    def __init__(self, cell: Cell, warn: Callable[[str], None]) -> None:
        self.cell, self.warn = cell, warn
        self.rows: dict[int, dict[str, Any]] = {}
        self._run: Any = None
        self._wanted: dict[str, Any] = dict(cell.wandb)
        mode = str(self._wanted["mode"])
        if mode not in WANDB:
            raise unknown("wandb.mode", mode, WANDB)
        if mode != "disabled" and mode not in self.broken:
            self._try(self._start)
            self.rows = _stored(cell) if self._run is not None else {}
            if self._run is None:
                self.broken.add(mode)

    def batch(self, rows: Sequence[dict[str, Any]]) -> None:
        """Rows of a finished batch, beside those that were there before; an image that is solved again counts once."""
        if self._run is not None:
            self.rows |= {int(row["image"]): row for row in rows}
            self._try(lambda: self._run.log({"images": len(self.rows), **_means(self._all())}))

    def close(self, exit_code: int = 0) -> None:
        """Send what needs all rows, and end the run."""
        if self._run is not None and self.rows:
            self._try(self._send)
        if self._run is not None:
            self._try(lambda: self._run.finish(exit_code=exit_code))
        self._run = None

    def _start(self) -> None:
        cell, names, own = self.cell, [*self.cell.names[:2]], self._wanted.get("tags")
        folder = cell.results.resolve()
        (folder / "wandb").mkdir(parents=True, exist_ok=True)  # wandb makes it by itself, and elsewhere where it cannot
        with environment():
            import wandb

            self._run = wandb.init(
                project=self._wanted["project"],
                group=self._wanted.get("group") or "/".join(names),
                name=f"{cell.method['name']}-s{cell.seed}",
                tags=[tag[:64] for tag in (*names, cell.method["name"], cell.profile, *(own or ()))],
                config={**asdict(cell), "options": cell.options, "cell": cell.hash},
                dir=str(folder),
                mode=self._wanted["mode"],
                reinit="create_new",
                settings=settings(wandb),
            )
        for kind in CURVES:
            self._run.define_metric(f"{kind}/*", step_metric=f"{kind}/step")

    def _send(self) -> None:
        import wandb

        rows = self._all()
        for point in curves(rows):
            self._run.log(point)
        columns: list[Any] = [k for k in {k: None for row in rows for k in row} if _told(k)]
        data: list[Any] = [[row.get(k) for k in columns] for row in rows]
        table = wandb.Table(columns=columns, data=data, allow_mixed_types=True)
        shown = [row for row in rows if row.get("png")][: self._wanted.get("images", 4)]
        images = [wandb.Image(_picture(r["png"]), caption=f"image {r['image']}") for r in shown]
        self._run.log({"rows": table, **({"reconstructions": images} if images else {})})
        self._run.summary.update({**_means(rows), "failed": sum(r["status"] != "ok" for r in rows)})

    def _all(self) -> list[dict[str, Any]]:
        """The rows in the order of their images."""
        return [self.rows[image] for image in sorted(self.rows)]

    def _try(self, action: Callable[[], Any]) -> None:
        """Whatever goes wrong is said once, and wandb is left alone from there on."""
        try:
            action()
        except (Exception, SystemExit) as error:
            run, self._run = self._run, None
            reason = " ".join(str(error).split())[:200].rstrip(". ") or type(error).__name__
            self.warn(
                f"wandb: {reason}. Going on without it; the results are stored. Turn it off with wandb.mode=disabled."
            )
            abandon(run)


def _stored(cell: Cell) -> dict[int, dict[str, Any]]:
    """What is stored of the cell's images, as it was when it landed: what a row lacks is not in it."""
    rows, pictures = store.read(cell.folder), store.read(cell.folder, ["image", "png"])
    if not len(rows):
        return {}
    if "png" in pictures:
        rows = rows.merge(pictures, on="image", how="left")
    records = rows[rows["image"].isin(cell.images)].to_dict("records")
    return {int(record["image"]): {k: v for k, v in record.items() if _given(v)} for record in records}


def _given(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and value != value)


def _told(column: str) -> bool:
    """Whether a column belongs into the table: no picture, curve, array or traceback."""
    return column not in (*store.HEAVY, "traceback") and not column.startswith(KINDS)


def curves(rows: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """The mean over images of each curve, step by step; an image that has stopped no longer counts."""
    return [point for kind in CURVES for point in _curves(rows, kind)]


def _curves(rows: Sequence[dict[str, Any]], kind: str) -> Iterator[dict[str, float]]:
    points: dict[int, dict[str, list[float]]] = {}
    for row in rows:
        steps = row.get(f"{kind}_step")
        for key in (k for k in row if k.startswith(f"{kind}_") and k not in (f"{kind}_step", f"{kind}_seconds")):
            for step, value in zip([] if steps is None else steps, [] if row[key] is None else row[key], strict=False):
                if _given(value):
                    name = key.replace(f"{kind}_", f"{kind}/")
                    points.setdefault(int(step), {}).setdefault(name, []).append(float(value))
    for step in sorted(points):
        yield {f"{kind}/step": step, **{name: fmean(values) for name, values in points[step].items()}}


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean of every score over the images that have it, those of what a probe chose among them."""
    found = dict.fromkeys(k for row in rows for k in row)
    names = [k.removeprefix("oracle_") for k in found if k.startswith("oracle_")]
    names += [k for k in found if k.endswith("_gap")]
    names += ["residual", "residual_ratio", "seconds", "evaluations", "peak_memory_mib"]
    columns = {n: [float(r[n]) for r in rows if r.get(n) is not None and r[n] == r[n]] for n in dict.fromkeys(names)}
    return {f"mean/{name}": fmean(values) for name, values in columns.items() if values}


def _picture(png: bytes) -> Any:
    """A stored picture, decoded."""
    with sizes.picture(io.BytesIO(png)) as image:
        image.load()
        return image


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
