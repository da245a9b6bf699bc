"""Weights & Biases: a copy of what a cell gave, for looking at. The store stays the only source.

It may be off, offline (no network is touched) or online. A wandb that is absent or fails costs one line of warning and
some seconds, never a result.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar

from sipbench.bench.cell import Cell
from sipbench.errors import unknown

MODES = ("disabled", "offline", "online")
PATIENCE = 10.0  # seconds that a start or an end may take
QUIET = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
LEAKS = ("WANDB_SERVICE",)  # set by wandb itself: a process started later would look for a service that is gone


@contextmanager
def session(cell: Cell, warn: Callable[[str], None] | None = None) -> Iterator[Log]:
    """A run for one cell: `with session(cell) as log: log.batch(rows)`."""
    log = Log(cell, warn or _to_stderr)
    try:
        yield log
    except BaseException:
        log.close(exit_code=1)
        raise
    log.close()


class Log:
    """Logs batches as they land; the table, the curves and the pictures when the cell ends.

    Attributes:
        broken: the modes that would not start in this process; they are not tried again for every cell.
    """

    broken: ClassVar[set[str]] = set()

    def __init__(self, cell: Cell, warn: Callable[[str], None]) -> None:
        self.cell, self.warn = cell, warn
        self.rows: list[dict[str, Any]] = []
        self._run: Any = None
        self._wanted: dict[str, Any] = cell.cfg.get("wandb") or {"mode": "disabled"}
        mode = str(self._wanted["mode"])
        if mode not in MODES:
            raise unknown("wandb.mode", mode, MODES)
        if mode != "disabled" and mode not in self.broken:
            self._try(self._start)
            if self._run is None:
                self.broken.add(mode)

    def batch(self, rows: Sequence[dict[str, Any]]) -> None:
        """Rows of a finished batch."""
        if self._run is not None:
            self.rows += rows
            self._try(lambda: self._run.log({"images": len(self.rows), **_means(self.rows)}))

    def close(self, exit_code: int = 0) -> None:
        """Send what needs all rows, and end the run."""
        if self._run is not None and self.rows:
            self._try(self._send)
        if self._run is not None:
            self._try(lambda: self._run.finish(exit_code=exit_code))
        self._run = None

    def _start(self) -> None:
        cell, names = self.cell, [self.cell.cfg["dataset"]["name"], self.cell.degradation["name"]]
        folder = Path(cell.cfg["results"]).resolve() / "wandb"
        folder.mkdir(parents=True, exist_ok=True)
        with _environment(QUIET):
            import wandb

            self._run = wandb.init(
                project=self._wanted["project"],
                group="/".join(names),
                name=f"{cell.method['name']}-s{cell.cfg['seed']}",
                tags=[tag[:64] for tag in (*names, cell.method["name"], cell.profile)],
                config={**cell.cfg, "options": cell.options, "cell": cell.hash},
                dir=str(folder),
                mode=self._wanted["mode"],
                reinit="create_new",
                settings=_settings(wandb),
            )
        self._run.define_metric("curve/*", step_metric="curve/step")

    def _send(self) -> None:
        import wandb
        from PIL import Image

        for point in curves(self.rows):
            self._run.log(point)
        columns: list[Any] = [
            k for k in {k: None for row in self.rows for k in row} if k != "png" and not k.startswith("curve_")
        ]
        data: list[Any] = [[row.get(k) for k in columns] for row in self.rows]
        table = wandb.Table(columns=columns, data=data, allow_mixed_types=True)
        shown = [row for row in self.rows if row.get("png")][: self._wanted.get("images", 4)]
        images = [wandb.Image(Image.open(io.BytesIO(r["png"])), caption=f"image {r['image']}") for r in shown]
        self._run.log({"rows": table, **({"reconstructions": images} if images else {})})
        self._run.summary.update({**_means(self.rows), "failed": sum(r["status"] != "ok" for r in self.rows)})

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
            _abandon(run)


def curves(rows: Sequence[dict[str, Any]]) -> list[dict[str, float]]:
    """The mean over images of each curve, step by step; an image that has stopped no longer counts."""
    points: dict[int, dict[str, list[float]]] = {}
    for row in rows:
        steps = row.get("curve_step")
        for key in (k for k in row if k.startswith("curve_") and k not in ("curve_step", "curve_seconds")):
            for step, value in zip([] if steps is None else steps, [] if row[key] is None else row[key], strict=False):
                points.setdefault(int(step), {}).setdefault(key.replace("curve_", "curve/"), []).append(float(value))
    return [{"curve/step": step, **{k: fmean(v) for k, v in points[step].items()}} for step in sorted(points)]


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean of every score over the images that have it."""
    names = [k.removeprefix("oracle_") for row in rows for k in row if k.startswith("oracle_")]
    names += ["residual", "residual_ratio", "seconds", "evaluations", "peak_memory_mib"]
    columns = {n: [float(r[n]) for r in rows if r.get(n) is not None and r[n] == r[n]] for n in dict.fromkeys(names)}
    return {f"mean/{name}": fmean(values) for name, values in columns.items() if values}


def _settings(wandb: Any) -> Any:
    """Short waits, no console, no code, nothing about the machine; a setting this version lacks is left out."""
    wanted = {
        "silent": True,
        "console": "off",
        "init_timeout": PATIENCE,
        "login_timeout": PATIENCE,
        "finish_timeout": 3 * PATIENCE,
        "x_service_wait": 3 * PATIENCE,
        "summary_timeout": int(PATIENCE),
        "disable_git": True,
        "disable_code": True,
        "x_disable_stats": True,
        "x_disable_meta": True,
        "x_disable_machine_info": True,
    }
    return wandb.Settings(**{k: v for k, v in wanted.items() if k in wandb.Settings.model_fields})


def _abandon(run: Any) -> None:
    """End a run that failed, as far as it lets us."""
    try:
        if run is not None:
            run.finish(exit_code=1)
    except (Exception, SystemExit):
        return


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Variables that wandb's side process inherits, taken back at once."""
    before = {name: os.environ.get(name) for name in (*values, *LEAKS)}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)
