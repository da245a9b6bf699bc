"""What the recipes of cells ask for, trained once and kept under the results folder, by the name of its lesson."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from sipbench import checkpoints, device
from sipbench.bench.cell import Cell
from sipbench.bench.lesson import Lesson
from sipbench.errors import UserError
from sipbench.safety.text import file_word
from sipbench.safety.whole import whole
from sipbench.training.folder import architecture
from sipbench.training.lessons import Training
from sipbench.training.loop import Schedule
from sipbench.training.memory import remember
from sipbench.training.state import alone

Report = Callable[[str], None]


def prepare(cell: Cell, report: Report = print) -> None:
    """Train what the cell's recipe asks for and is not there yet."""
    for lesson in wanted([cell]):
        train(lesson, cell.results, cell.device, report)


def wanted(cells: Iterable[Cell]) -> list[Lesson]:
    """The lessons of these cells that are still to be given, each once, the quickest first."""
    found = {lesson.name: lesson for cell in cells for lesson in cell.lessons.values() if not lesson.done(cell.results)}
    return sorted(found.values(), key=lambda lesson: (lesson.images or math.inf, lesson.name))


def train(lesson: Lesson, results: str | Path, on: str = "auto", report: Report = print) -> Path:
    """Train each width, keep the best on validation images, and lay it down: its facts are written last.

    One process at a time: another that wants the same waits, and finds it done.
    """
    if len(lesson.widths) > 1 and "width" in lesson.network and not lesson.schedule.get("validate_every"):
        raise UserError("of several widths the best on validation images is taken: schedule.validate_every is above 0")
    folder = lesson.folder(results)
    with alone(folder, report):
        return folder if lesson.done(results) else _laid_down(lesson, Path(results), on, report)


def _laid_down(lesson: Lesson, results: Path, on: str, report: Report) -> Path:
    at, schedule, runs, folder = device.choose(on), Schedule.of(lesson.schedule), [], lesson.folder(results)
    for width in (lesson.widths or (None,)) if "width" in lesson.network else (None,):
        own = lesson if width is None else replace(lesson, network=lesson.network | {"width": width}, widths=())
        report(f"training {lesson.name}" + ("" if width is None else f", width {width}"))
        place = results / "training" / file_word(own.name)
        runs.append((own, *_one(own, schedule, place, at, report)))
    best, network, facts = min(runs, key=lambda run: run[2].get("best", run[2]["loss"]))
    seconds = sum(run[2]["seconds"] for run in runs)
    widths = {str(one.network["width"]): fact.get("best") for one, _, fact in runs if "width" in one.network}
    said: dict[str, Any] = facts | {
        "seconds": seconds,
        "widths": widths,
        "name": lesson.name,
        "made_of": lesson.made_of,
    }
    said["parameters"] = sum(p.numel() for p in network.parameters())
    checkpoints.write(folder, network, architecture(network, best.network))
    if lesson.scheduler:
        checkpoints.write_json(folder / "scheduler_config.json", lesson.scheduler)
    said["sha256"] = checkpoints.sha256(checkpoints.weight_file(folder))
    with whole(folder / "facts.json", shared=False) as beside:
        checkpoints.write_json(beside, said)
    for one, _, _ in runs:  # what is done needs not be gone on with
        place = results / "training" / file_word(one.name)
        with alone(place, report):
            shutil.rmtree(place, ignore_errors=True)
    return folder


def _one(lesson: Lesson, schedule: Schedule, place: Path, at: Any, report: Report) -> tuple[nn.Module, dict[str, Any]]:
    if lesson.objective == "memory":
        return remember(lesson, report)
    return Training.of(lesson, schedule.seed).fit(place, schedule, at, about=lesson.made_of, report=report)
