"""`sipbench tune`: a small Hydra sweep over a solver's options on validation images, and the best setting.

The images are of the validation split, never of the test split; every method has the same budget of settings. Cells go
through the store, so that a sweep goes on where it stopped and any launcher serves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.cli import hydra as hydra_run
from sipbench.cli import sweep
from sipbench.errors import UserError

BUDGET = 8  # settings of one method on one problem, unless budget=N
IMAGES = 4
LARGER = ("psnr", "ssim")  # metrics of which more is better


def tune(words: list[str]) -> int:
    """Run the sweep, print and write its table; exit code 0 where every setting was measured."""
    words, by = _take(words, "by", "psnr")
    words, budget = _take(words, "budget", str(BUDGET))
    if any(w.startswith("split=") for w in words):
        raise UserError("tune always works on split=validation: the test images are for the table")
    named = {w.partition("=")[0].lstrip("+") for w in words}
    words = ["split=validation", *([] if "images" in named else [f"images={IMAGES}"]), *words]
    words += [] if "metrics" in named else ["metrics=[psnr,ssim]"]
    words += _searched(words, named)
    jobs = hydra_run.expand(words)
    if not any(w.startswith("method.solver.") and "," in w for w in words):
        raise UserError(_nothing(words))
    cells = [Cell.of(configs.compose(job), job) for job in jobs]
    for group in _problems(cells).values():
        if len(group) > int(budget):
            most = f"the budget is {budget}, the same for every method of a table (budget=N changes it)"
            raise UserError(f"{group[0].label}: {len(group)} settings; {most}")
    code = sweep.sweep(words)
    for group in _problems(cells).values():
        _conclude(group, by, words)
    return code


def _searched(words: list[str], named: set[str]) -> list[str]:
    """The values that the method's own config names under `search`, for all degradations or by degradation."""
    if any(name.startswith("method.solver.") for name in named):
        return []
    methods = [w.partition("=")[2] for w in words if w.startswith("method=")]
    if len(methods) != 1 or "," in methods[0]:
        raise UserError("tune which method? sipbench tune method=dps degradation=sr4 method.solver.zeta=0.3,1,3")
    search = configs.read("method", methods[0]).get("search") or {}
    if any(isinstance(values, dict) for values in search.values()):
        tasks = [w.partition("=")[2] for w in words if w.startswith("degradation=")]
        if len(tasks) != 1 or tasks[0] not in search:
            tasks = ", ".join(search)
            raise UserError(f"the search of {methods[0]} is one for each of {tasks}: name one as degradation=")
        search = search[tasks[0]]
    return [f"method.solver.{name}={','.join(map(str, values))}" for name, values in search.items()]


def _nothing(words: list[str]) -> str:
    method = next((w.partition("=")[2] for w in words if w.startswith("method=")), "NAME")
    return f"nothing to tune: name values, as in method.solver.OPTION=1,2,3, or list them under search in {method}.yaml"


def _problems(cells: Iterable[Cell]) -> dict[tuple[str, str, str], list[Cell]]:
    """The cells of each (dataset, degradation, method)."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        key = (cell.cfg["dataset"]["name"], cell.degradation["name"], cell.method["name"])
        groups.setdefault(key, []).append(cell)
    return groups


def _conclude(cells: list[Cell], by: str, words: list[str]) -> None:
    """One row a setting, the best first; what to write into the method's config, and the command that found it."""
    import pandas as pd

    frame: Any = pd.DataFrame([_row(cell) for cell in cells])
    if by not in frame or frame[by].isna().all():
        raise UserError(f"no setting has a {by}: {', '.join(c for c in frame.columns if c in cells[0].cfg['metrics'])}")
    frame = frame.sort_values(by, ascending=by not in LARGER, na_position="last").reset_index(drop=True)
    cell = cells[0]
    path = Path(cell.cfg["results"], "tuning", f"{'-'.join(next(iter(_problems(cells))))}.csv")
    with store.plainly(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.land(path, frame.to_csv(index=False).encode())
    print(frame.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    best = {name: frame[name].iloc[0] for name in cell.chosen if frame[name].astype(str).nunique() > 1}
    chosen = ", ".join(f"{k}: {v}" for k, v in best.items())
    print(f"best by {by}, for conf/method/{cell.method['name']}.yaml:")
    print(f"  {cell.degradation['name']}: {{{chosen}}}    # sipbench tune {' '.join(_typed(words))}")
    print(f"written: {path}")


def _row(cell: Cell) -> dict[str, Any]:
    rows = store.read(cell.folder)
    good = rows[rows["status"] == "ok"] if len(rows) else rows
    wanted = [m for m in (*cell.cfg["metrics"], "residual_ratio", "seconds") if m in good]
    scores = {name: float(good[name].mean()) if len(good) else math.nan for name in wanted}
    return dict(cell.chosen) | scores | {"images": len(good)}


def _typed(words: list[str]) -> list[str]:
    """The words without what tune itself says."""
    return [w for w in words if w != "split=validation" and not w.startswith(("metrics=", "results=", "weights="))]


def _take(words: list[str], name: str, default: str) -> tuple[list[str], str]:
    given = [w.partition("=")[2] for w in words if w.startswith(f"{name}=")]
    return [w for w in words if not w.startswith(f"{name}=")], (given or [default])[-1]
