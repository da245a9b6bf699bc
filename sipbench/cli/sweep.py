"""One cell or many: composed first, so that mistakes show before any work; judged last by what the store holds."""

from __future__ import annotations

import json
import os
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.bench import damage, validate
from sipbench.bench.cell import Cell
from sipbench.bench.cells import Cells
from sipbench.cli import hydra as hydra_run
from sipbench.cli.cell import NOT_APPLICABLE, note, run
from sipbench.cli.pending import sending
from sipbench.errors import UserError, of_launcher
from sipbench.safety.text import are, counted, visible

HELP = """\
sipbench key=value ...        run one cell: a dataset, a degradation, a method; only what is missing is done
sipbench -m key=value,value   run all combinations; +launcher=local or +launcher=slurm sends them elsewhere

  dataset= degradation= noise= method= prior= probe= profile=     what there is: sipbench list methods, ...
  method=mine.py:solve          a solver of your own
  method.solver.NAME=VALUE      its options, under the paper's names; dataset.NAME= and degradation.operator.NAME= too
  size=64 images=8 images=[0,5,9] images=all split=test seed=0     the problem
  metrics=[psnr,ssim] tuned=false budget_seconds=60 keep_images=true retry_failed=true
  isolate=true kill_after=75 memory_limit=4GB     a process of its own for the solver, which may crash or hang alone
  batch_size=8 device=auto results=FOLDER data=FOLDER weights=FOLDER     how it is run, and where things lie
  wandb.mode=disabled|offline|online
  --cfg job                     show the composed config and stop

Exit code 0: all is done; 1: images failed or are missing; 2: a mistake, or a cell that could not run.

Example:  sipbench -m degradation=sr4,inpaint70 method=dip,dps images=4
"""
SHOWN = 20  # reasons that are printed, one line each


def main(argv: list[str]) -> int:
    """Run what the words say; 0 if all is done, 1 if images are missing or failed, 2 if a cell could not run."""
    args = _flags(argv)
    words = list(args.overrides)
    _stays_inside(words)
    if args.cfg or args.info or args.hydra_help or args.shell_completion:
        _one_at_a_time(args)
        hydra_run.show(argv)
        return 0
    if args.multirun:
        return sweep(words)
    jobs = hydra_run.expand(words)
    if len(jobs) > 1:
        raise UserError(f"these are {len(jobs)} cells: sipbench -m {shlex.join(words)}")
    cell = Cell.of(configs.compose(words), words)
    validate.taken([cell.method], configs.Overrides(words).get("path"))
    print(run(cell))
    code, reason = verdict(cell)
    return _tell(code, [reason])


def sweep(words: list[str]) -> int:
    """All combinations, through whichever launcher; one that fails does not stop the others.

    A method that cannot do a cell is no failure: the cell is listed as n/a with the reason.
    """
    jobs = hydra_run.expand(words)
    cells = Cells().all(jobs)
    for path in configs.Overrides(words).choices("path"):
        validate.taken([cell.method for cell in cells], path)
    logs = _logs(words, str(cells[0].results))
    _servable(cells)
    _freeze(words, jobs, cells)
    before = _stored(cells)
    pending = [n for n, (cell, rows) in enumerate(zip(cells, before, strict=True)) if _pending(cell, rows)]
    code = 0
    if pending:
        print(f"{len(pending)} of {counted(len(cells), 'cell')} to do; logs in {logs}", file=sys.stderr)
        code = _send(words, [jobs[n] for n in pending], logs)
    sent = {n: number for number, n in enumerate(pending)}
    _complete([(cell, before[n]) for n, cell in enumerate(cells) if n not in sent])
    after = _stored(cells) if sent else before
    verdicts = [_explained(cell, after[n], logs, sent.get(n)) for n, cell in enumerate(cells)]
    said = [
        (bad, f"{cell.label} (seed {cell.seed}): {why}")
        for cell, (bad, why) in zip(cells, verdicts, strict=True)
        if bad
    ]
    beyond = [f"n/a: {why}" for bad, why in said if bad == NOT_APPLICABLE]
    reasons = [why for bad, why in said if bad != NOT_APPLICABLE]
    more = [f"... and {counted(len(reasons) - SHOWN, 'cell')} more"] if len(reasons) > SHOWN else []
    hint = ["the same sweep, sent again, does only what is missing"] if reasons else []
    of = f"{counted(len(cells), 'cell')} {are(len(cells))}"
    print(f"{len(cells) - len(said)} of {of} done" + (f", {len(beyond)} n/a" if beyond else ""))
    hint += [damaged] if (damaged := damage.summary(cells[0].results)) else []
    worst = max([code, *(bad for bad, _ in said if bad != NOT_APPLICABLE)])
    return _tell(worst, [*beyond[:SHOWN], *reasons[:SHOWN], *more, *hint])


def _freeze(words: list[str], jobs: list[list[str]], cells: list[Cell]) -> None:
    """Write down what was asked for, so that `sipbench status` can tell of it and `sipbench clean` keeps it."""
    from sipbench.cluster.asked import planned
    from sipbench.cluster.plan import Plan, once_each

    Plan.of("sweep", ["-m", *words], once_each(map(planned, cells, jobs)), cells[0].results).freeze()


def verdict(cell: Cell, rows: Any = None) -> tuple[int, str]:
    """An exit code and its reason, by the store alone: by its rows, or by the mistake in the place of them."""
    from sipbench.bench import store

    if isinstance(rows, UserError):
        return 2, str(rows)
    try:
        rows = store.read(cell.folder) if rows is None else rows
        missing = store.missing(cell, rows=rows)
    except UserError as error:
        return 2, str(error)
    reasons = store.reasons(rows[rows["image"].isin(cell.images)])
    if missing:
        return 1, f"{len(missing)} of {counted(len(cell.images), 'image')} {are(len(cell.images))} missing"
    if reasons:
        others = sum(reason != reasons[0] for reason in reasons)
        more = f", and {others} for other reasons" if others else ""
        why = f"{len(reasons)} of {counted(len(cell.images), 'image')} failed: {reasons[0]}{more}"
        return 1, f"{why} (retry_failed=true tries again)"
    return 0, ""


def _stored(cells: list[Cell]) -> list[Any]:
    """The rows of each cell, all read at once; of one that has no name, since it lacks something, the mistake."""
    from sipbench.bench.index import stored

    folders: list[Any] = [_folder(cell) for cell in cells]
    rows = stored(cell for cell, at in zip(cells, folders, strict=True) if isinstance(at, Path))
    return [rows[at] if isinstance(at, Path) else at for at in folders]


def _folder(cell: Cell) -> Path | UserError:
    try:
        return cell.folder
    except UserError as error:
        return error


def _pending(cell: Cell, rows: Any) -> bool:
    from sipbench.bench import store

    if isinstance(rows, UserError):
        return False
    return bool(store.missing(cell, retry_failed=cell.retry_failed, rows=rows))


def _servable(cells: list[Cell]) -> None:
    """Refuse images that are not there or cannot serve, each dataset once. A dataset that is not here its cells say."""
    once = {json.dumps([cell.source, cell.chosen_images], default=str): cell for cell in cells}
    for cell in once.values():
        try:
            _ = cell.dataset
        except UserError:
            continue
        validate.servable(cell.dataset, cell.images)


def _complete(cells: list[tuple[Cell, Any]]) -> None:
    """Scores and logs that finished cells lack, by their rows."""
    from sipbench.bench.rescore import lacking

    for cell, rows in cells:
        if not isinstance(rows, UserError) and (cell.wandb["mode"] != "disabled" or lacking(cell, rows)):
            print(run(cell))


def _explained(cell: Cell, rows: Any, logs: Path, number: int | None) -> tuple[int, str]:
    """The verdict; where images are missing and the job of that number said why, its own words."""
    code, reason = verdict(cell, rows)
    said = note(logs, "none" if number is None else number)
    if not code or not said.is_file():
        return code, reason
    try:
        code, reason = json.loads(said.read_text(encoding="utf-8"))
        return int(code), str(reason)
    except (ValueError, TypeError, RecursionError):  # half written, or by somebody else
        return code, reason


def _send(words: list[str], jobs: list[list[str]], logs: Path) -> int:
    """Hand these jobs of the sweep to Hydra; 1 if its launcher lost sight of a job, 2 if it refused them all."""
    place = str(logs).replace("\\", "\\\\").replace("'", "\\'")
    for old in logs.glob(note(logs, "*").name):
        old.unlink()
    jobs = [[word for word in job if not word.lstrip("+~").startswith(("hydra.", "hydra/"))] for job in jobs]
    kept = hydra_run.as_sweep([word for word in words if not word.startswith("hydra.sweep.dir=")])
    try:
        with sending(jobs):
            hydra_run.command(["--multirun", *kept, f"hydra.sweep.dir='{place}'"], logs)
    except Exception as error:
        if not of_launcher(error):
            raise
        lost = type(error).__name__ == "UncompletedJobError"
        return _tell(1 if lost else 2, [f"the launcher says: {' '.join(str(error).split())[:500]}"])
    return 0


def _flags(argv: list[str]) -> Any:
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    try:
        parser.exit_on_error = parser.allow_abbrev = False
        args, extra = parser.parse_known_intermixed_args(argv)
    except Exception as error:
        raise UserError(f"{error}. Options are key=value, without dashes: size=64") from error
    extra += [f"--{name}" for name in ("config_dir", "config_path", "config_name") if getattr(args, name)]
    if extra:
        raise UserError(f"unknown flag {extra[0]}: options are key=value, without dashes, such as size=64")
    return args


def _one_at_a_time(args: Any) -> None:
    """Refuse of what Hydra shows two things at once, and a completion without its shell."""
    asked = [args.run, args.multirun, args.cfg, args.info, args.shell_completion]
    if not args.hydra_help and sum(map(bool, asked)) > 1:
        raise UserError("--cfg, --info and --shell-completion are asked one at a time, and of one cell: without -m")
    named = [word.partition("=")[0] for word in args.overrides]
    if args.shell_completion and sum(named.count(word) for word in ("install", "uninstall", "query")) != 1:
        raise UserError("which shell? sipbench --shell-completion install=bash, and uninstall=bash to undo it")
    if args.shell_completion and "query" in named and "COMP_LINE" not in os.environ:
        raise UserError("query= is asked by a shell: sipbench --shell-completion install=bash says how it does")


def _stays_inside(words: list[str]) -> None:
    """Refuse logs of a job that would lie outside of the folder of its sweep."""
    for word in words:
        key, _, place = word.lstrip("+").partition("=")
        inside = key in ("hydra.sweep.subdir", "hydra.output_subdir", "hydra.job.num", "hydra.job.id")
        if inside and (".." in place or place.lstrip("'\"").startswith(("/", "~"))):
            raise UserError(f"{key} is a folder inside hydra.sweep.dir, not {place}")


def _logs(words: list[str], results: str) -> Path:
    given = [word.partition("=")[2] for word in words if word.startswith("hydra.sweep.dir=")]
    return Path(given[-1] if given else Path(results, "logs", datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")))


def _tell(code: int, lines: list[str]) -> int:
    for line in filter(None, lines):
        print(f"sipbench: {visible(line)}", file=sys.stderr)
    return code
