"""What a cell's store keeps, for other eyes: drawn beside truth and measurement, or exported as files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from sipbench.bench import packing, store
from sipbench.bench.cell import Cell
from sipbench.bench.rescore import unsolved
from sipbench.bench.run import Bench
from sipbench.checkpoints import at_home
from sipbench.errors import UserError, unknown
from sipbench.problem import Estimate
from sipbench.report import png
from sipbench.report.show import aligned, draw, kernel, look
from sipbench.safety.text import file_word

FORMATS = ("png", "png16", "npy", "safetensors")


def show(cell: Cell, path: Path, first: int | None = None, word: str = "results") -> Path:
    """Draw what is stored of the cell's images, a row each, into a PNG file.

    Args:
        first: draw the first so many that are stored, whichever images the cell asks for.
        word: what chose the folder.
    """
    bench = Bench.of(unsolved(cell), check=False)
    rows = [_row(bench, image, estimate) for image, estimate in kept(cell, first).items()]
    return store.write_whole(path, draw([(title, [row[title] for row in rows]) for title in rows[0]]), word)


def _row(bench: Bench, image: int, estimate: Estimate) -> dict[str, Tensor]:
    """The pictures of one image by their titles; of a real measurement there is no truth."""
    problem = bench.pose([image])
    truth, cell = bench.truth([image], problem), bench.cell
    row = {} if truth is None else {"truth": look(truth.x)[0]}
    row["measurement"] = problem.f.picture(problem.y)[0]
    row[str(cell.method.get("title") or cell.names[2])] = look(aligned(estimate.x, truth, problem))[0]
    if truth is not None and truth.theta is not None and "kernel" in truth.theta:
        row["true kernel"] = kernel(truth.theta["kernel"])[0]
    if estimate.theta is not None and "kernel" in estimate.theta:
        row["its kernel"] = kernel(estimate.theta["kernel"])[0]
    return row


def export(cell: Cell, folder: str | Path, kind: str = "png") -> list[Path]:
    """Write what is stored of each of the cell's images into a folder; the files."""
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    stem = file_name(cell)
    return [
        store.write_whole(at_home(folder) / f"{stem}-{image:06d}{ending}", content, "out")
        for image, estimate in kept(cell).items()
        for ending, content in _files(estimate, kind).items()
    ]


def kept(cell: Cell, first: int | None = None) -> dict[int, Estimate]:
    """The stored estimates of the cell's images, or of the first so many that are stored; each a batch of one."""
    rows = store.read(cell.folder, ["image", "status", "reason"])
    solved = [int(image) for image in rows["image"][rows["status"] == "ok"]]
    wanted = cell.images if first is None else solved[:first]
    found = {image: estimate for image in wanted if (estimate := store.estimate(cell, image)) is not None}
    if found and len(found) == len(wanted):
        return found
    lost = [image for image in wanted or cell.images if image not in found]
    if why := store.reasons(rows[rows["image"] == lost[0]]):
        advice = "images=[...] says which others, retry_failed=true tries again"
        raise UserError(f"{cell.label}: image {lost[0]} failed, and nothing is kept of it: {why[0]} ({advice})")
    if not solved:
        raise UserError(f"nothing is stored of {cell.label} with these words: run it first, with the same")
    if set(lost) <= set(solved):
        raise UserError(f"{cell.label} was run with keep_images=false: what its solver returned was not kept")
    raise UserError(f"{cell.label} has nothing of image {lost[0]}: stored are {_some(solved)}; say images=[...]")


def file_name(cell: Cell) -> str:
    """Dataset, degradation and method in one word that every file system takes."""
    return file_word("-".join(cell.names))


def _files(estimate: Estimate, kind: str) -> dict[str, bytes]:
    """The contents of the files of one image, by how their names end."""
    parts: dict[str, Tensor] = {"": estimate.x[0]}
    parts |= {f"-{file_word(name)}": part[0] for name, part in (estimate.theta or {}).items()}
    if kind == "safetensors":
        return {".safetensors": packing.packed(estimate, 0)}
    if kind == "npy":
        return {f"{name}.npy": _npy(part) for name, part in parts.items()}
    bits = 16 if kind == "png16" else 8
    pictures: dict[str, Callable[[Tensor], Tensor]] = {"": look, "-kernel": kernel}
    return {
        f"{name}.png": png.encode(pictures[name](part[None])[0], bits)
        for name, part in parts.items()
        if name in pictures
    }


def _npy(part: Tensor) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, part.detach().cpu().numpy(), allow_pickle=False)
    return buffer.getvalue()


def _some(images: list[int]) -> str:
    most = 8
    return ", ".join(map(str, images[:most])) + (f" and {len(images) - most} more" if len(images) > most else "")
