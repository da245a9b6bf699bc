"""`sipbench tune`: a small Hydra sweep over a solver's options on validation images, and the best setting.

The images are of the validation split, never of the test split; every method has the same budget of settings. Cells go
through the store, so that a sweep goes on where it stopped and any launcher serves.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench import configs
from sipbench.configs import Overrides
from sipbench.errors import UserError

if TYPE_CHECKING:
    from sipbench.bench.cell import Cell

HELP = """\
sipbench tune method=NAME degradation=NAME [key=value ...]     choose a solver's options on validation images

  method.solver.NAME=1,2,3   what is tried; else what the method's config names under search
  by=psnr                    what the best setting is best in: any metric, residual_ratio, seconds, ...
  budget=8                   the most settings of a method on a problem, the same for every method of a table
  widen=true                 go on beyond the values that were named while the best lies at their edge and the budget
                             lasts; not for numbers of steps and iterations, which are a cost
  images=4                   of the validation split; the test images are for the table
  +launcher=local            where it runs, as for a sweep

Prints and writes one row a setting, the best first (results/tuning), and what to write into the method's config.

Example:  sipbench tune method=dps degradation=sr4 method.solver.zeta=0.3,1,3
"""
BUDGET = 8  # settings of one method on one problem, unless budget=N
IMAGES = 4
COSTS = ("steps", "iterations", "pixel_iterations", "latent_iterations", "num_steps")
HIGHER = {"kernel_similarity": True, "residual": False, "residual_ratio": False, "seconds": False, "evaluations": False}


def main(words: list[str]) -> int:
    """Run the sweep, print and write its table; exit code 0 where every setting was measured."""
    from sipbench.bench.cells import Cells
    from sipbench.cli import hydra, sweep

    by, rest = Overrides(words).take("by", "psnr")
    most, rest = rest.take("budget", str(BUDGET))
    wide, rest = rest.take("widen", "true")
    budget, higher = _budget(most), _higher(by)
    if wide not in ("true", "false"):
        raise UserError(f"widen is true or false, not {wide!r}")
    _one_recipe(rest)
    typed = _completed(rest, by)
    jobs = hydra.expand(list(typed))
    if not any("," in word for word in typed if word.startswith("method.solver.")):
        raise UserError(_nothing(typed))
    cells = Cells().all(jobs)
    _measurable(cells[0], by)
    for group in _problems(cells).values():
        _one_problem(group, typed)
        if len({str(_flat(cell.typed)) for cell in group}) < 2:
            raise UserError(_nothing(typed))
        if len(group) > budget:
            why = f"the budget is {budget}, the same for every method of a table (budget=N changes it)"
            raise UserError(f"{group[0].label}: {len(group)} settings; {why}")
    code = sweep.sweep(list(typed))
    nothing = []
    for group in _problems(cells).values():
        if wide == "true":
            job = jobs[cells.index(group[0])]
            group, more = _widened(group, by, higher, budget, Overrides(job).without("method.solver."))
            code = max(code, more)
        try:
            _conclude(group, by, higher, typed)
        except UserError as error:
            nothing.append(f"{group[0].label}: {error}")
    if nothing:
        raise UserError("\n  ".join(nothing))
    return code


def _measurable(cell: Cell, by: str) -> None:
    """Refuse to rank by a metric that is not asked for."""
    from sipbench.metrics import METRICS

    if by in METRICS and by not in cell.metrics:
        raise UserError(f"by={by} is not among metrics=[{','.join(cell.metrics)}]: add it, or rank by one of them")


def _one_recipe(words: Overrides) -> None:
    """Refuse to choose how a method is trained: one recipe is for all methods of a comparison."""
    for key in words.keys:
        if key.split(".")[0] in ("recipe", "trained_on") and len(words.choices(key)) > 1:
            why = "tune chooses the solver's options, and one recipe is for all methods"
            raise UserError(
                f"{why}: give {key} one value. What it is worth a sweep shows: sipbench -m {shlex.join(words)}"
            )


def _widened(cells: list[Cell], by: str, higher: bool, budget: int, words: Overrides) -> tuple[list[Cell], int]:
    """The settings, with those beyond the edges that the best of them lies at: one a round, as the budget allows.

    words: what all of them share.
    """
    from sipbench.bench.cell import Cell
    from sipbench.cli import sweep

    code = 0
    while len(cells) < budget:
        scores = [_row(cell, by)[by] for cell in cells]
        further = beyond([_flat(cell.typed) for cell in cells], scores, higher=higher)
        if further is None:
            break
        job = [*words, *(f"method.solver.{name}={value}" for name, value in further.items())]
        code = max(code, sweep.sweep(job))
        cells = [*cells, Cell.of(configs.compose(job), job)]
    return cells, code


def beyond(settings: list[dict[str, Any]], scores: list[float], *, higher: bool) -> dict[str, Any] | None:
    """The best setting with each number that lies at the edge of what was tried moved on by as much; or None.

    Numbers above 0 go on by the ratio of the last two, whole ones down to 1, others by their difference. Steps and
    iterations stay.
    """
    best = (max if higher else min)((i for i, s in enumerate(scores) if s == s), key=scores.__getitem__, default=None)
    if best is None:
        return None
    found = dict(settings[best])
    for name, value in settings[best].items():
        tried = sorted({s[name] for s in settings if type(s[name]) in (int, float)})
        if len(tried) < 2 or value not in (tried[0], tried[-1]) or name.rpartition(".")[2] in COSTS:
            continue
        near = tried[-2] if value == tried[-1] else tried[1]
        moved = value * value / near if tried[0] > 0 else 2 * value - near
        found[name] = max(round(moved), int(tried[0] > 0)) if type(value) is int else _short(moved, value)
    return found if found not in settings else None


def _short(moved: float, value: float) -> float:
    """With three digits, or with as many as it takes to lie beyond a value that is near."""
    shorter = (float(f"{moved:.{digits}g}") for digits in (3, 6, 9))
    return next((one for one in shorter if (one - value) * (moved - value) > 0), moved)


def _budget(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"budget is the number of settings, from 1 on, not {text!r}")
    return int(text)


def _higher(by: str) -> bool:
    """Whether more of it is better."""
    from sipbench.metrics import METRICS

    ways = {name: metric.higher_is_better for name, metric in METRICS.items()} | HIGHER
    known = {name: way for name, way in ways.items() if way is not None}
    if by not in known:
        raise UserError(f"no setting has a {by}: by= is one of {', '.join(known)}")
    return known[by]


def _completed(words: Overrides, by: str) -> Overrides:
    """The words of the sweep: the validation split, few images, the metrics that are wanted, and what is searched."""
    from sipbench.metrics import METRICS

    if "split" in words.keys:
        raise UserError("tune always works on split=validation: the test images are for the table")
    names = ["psnr", "ssim", *([by] if by in METRICS and by not in ("psnr", "ssim") else [])]
    added = {"images": f"images={IMAGES}", "metrics": f"metrics=[{','.join(names)}]"}
    first = [] if "images" in words.keys else [added["images"]]
    last = [] if "metrics" in words.keys else [added["metrics"]]
    full = Overrides(["split=validation", *first, *words, *last])
    return full + _searched(full, set(words.keys))


def _searched(words: Iterable[str], named: set[str]) -> list[str]:
    """The values that the method's own config names under `search`, for all degradations or by degradation."""
    if any(name.startswith("method.solver.") for name in named):
        return []
    typed = Overrides(words)
    methods = typed.choices("method")
    if len(methods) > 1:
        raise UserError(f"tune works on one method at a time: method={methods[0]}")
    if not methods:
        raise UserError("tune which method? sipbench tune method=dps degradation=sr4 method.solver.zeta=0.3,1,3")
    search = configs.read("method", methods[0]).get("search") or {}
    if any(isinstance(values, dict) for values in search.values()):
        tasks = typed.choices("degradation")
        if len(tasks) != 1 or tasks[0] not in search:
            raise UserError(
                f"the search of {methods[0]} is one for each of {', '.join(search)}: name one as degradation="
            )
        search = search[tasks[0]]
    return [f"method.solver.{name}={','.join(map(_word, values))}" for name, values in search.items()]


def _word(value: Any) -> str:
    return "null" if value is None else str(value)


def _nothing(words: Overrides) -> str:
    method = words.get("method", "NAME")
    return f"nothing to tune: name values, as in method.solver.OPTION=1,2,3, or list them under search in {method}.yaml"


def _problems(cells: Iterable[Cell]) -> dict[tuple[str, str, str], list[Cell]]:
    """The cells of each (dataset, degradation, method)."""
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.names, []).append(cell)
    return groups


def _one_problem(cells: list[Cell], typed: Overrides) -> None:
    """Refuse settings that were not tried on the same images, measured alike: the easier problem would win."""
    problems = [(c.source, c.degradation, c.size, c.seed, c.chosen_images, c.draws) for c in cells]
    if any(problem != problems[0] for problem in problems):
        groups = ("method", "degradation", "dataset", "prior")
        keys = [k for k in typed.keys if k not in groups and not k.startswith("method.") and len(typed.choices(k)) > 1]
        raise UserError(f"tune works on one problem at a time: {', '.join(keys)} names several. Give it one value")


def _conclude(cells: list[Cell], by: str, higher: bool, words: Overrides) -> None:
    """One row a setting, the best first; what to write into the method's config, and the command that found it."""
    import pandas as pd

    from sipbench.bench import store
    from sipbench.report.stored import file_name
    from sipbench.safety.text import csv

    frame: Any = pd.DataFrame([_row(cell, by) for cell in cells])
    if frame[by].isna().all():
        raise UserError(f"no setting has a {by}: {', '.join(c for c in frame.columns if frame[c].notna().any())}")
    frame = frame.sort_values(by, ascending=not higher, na_position="last")
    best, varied = cells[frame.index[0]], [n for n in _flat(cells[0].typed) if len({str(v) for v in frame[n]}) > 1]
    path = Path(best.results, "tuning", f"{file_name(best)}.csv")
    store.write_whole(path, csv(frame).encode())
    print(frame.to_string(index=False, float_format=lambda v: f"{v:.4g}"))
    print(f"best by {by}, for conf/method/{best.method['name']}.yaml:")
    print("".join(f"  {line}\n" for line in _entry(best, varied, _typed(words, by))), end="")
    print(f"written: {path}")


def _entry(best: Cell, varied: list[str], command: str) -> list[str]:
    """What the method's config may say of the best setting, and of how it was found."""
    from datetime import date

    import yaml

    tops = dict.fromkeys(name.split(".")[0] for name in varied)
    settings = yaml.safe_dump({n: best.typed[n] for n in tops}, default_flow_style=True, width=1000).strip()
    first, last = best.images[0], best.images[-1]
    images = f"{first} to {last}" if best.images == list(range(first, last + 1)) else ", ".join(map(str, best.images))
    return [
        "demo:",
        f"  {best.names[1]}: {settings}",
        "chosen:",
        f"  - command: {_scalar(command)}",
        f"    tasks: [{best.names[1]}]",
        f"    options: [{', '.join(tops)}]",
        f"    images: {best.split} {images}",
        f'    date: "{date.today().isoformat()}"',
    ]


def _scalar(text: str) -> str:
    """Text as YAML has it, on one line."""
    import yaml

    return yaml.safe_dump(text, width=10**6).removesuffix("\n...\n").strip()


def _flat(node: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Options and those inside of them, by names with points."""
    flat: dict[str, Any] = {}
    for name, value in node.items():
        flat |= _flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return flat


def _row(cell: Cell, by: str) -> dict[str, Any]:
    from sipbench.bench import store

    rows = store.read(cell.folder)
    good = rows[(rows["status"] == "ok") & rows["image"].isin(cell.images)] if len(rows) else rows
    wanted = [name for name in dict.fromkeys((*cell.metrics, by, "residual_ratio", "seconds")) if name in good]
    known = int(good[by].notna().sum()) if by in good else 0
    whole = known == len(cell.images)  # else it would be ranked over other images than the rest
    scores = {name: float(good[name].mean()) if len(good) and (whole or name != by) else math.nan for name in wanted}
    return _flat(cell.typed) | {by: math.nan} | scores | {"images": len(good)}


def _typed(words: Overrides, by: str) -> str:
    """The command, without what it says by itself."""
    own = [
        *("sipbench", "tune"),
        *words.without("split", "metrics", "results", "weights"),
        *([f"by={by}"] if by != "psnr" else []),
    ]
    return shlex.join(own)
