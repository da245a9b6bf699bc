"""Joining the results of two machines: every file is read first, and what is not right is refused and named."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sipbench.bench import sealed, store, trained
from sipbench.bench.identity import digest
from sipbench.errors import UserError
from sipbench.safety import sizes
from sipbench.safety.whole import whole

TRAINED = "trained"


@dataclass
class Joined:
    """What came of it.

    Attributes:
        cells, files: how many cells had something new, and how many files were copied.
        kept: how many files were there already, with all that succeeded in the other.
        refused: what was not copied, and why, a line each.
    """

    cells: int = 0
    files: int = 0
    kept: int = 0
    refused: list[str] = field(default_factory=list)


def merge(sources: list[Path], into: Path) -> Joined:
    """Copy what is sound and new from each of the results folders into one, which may be one of them."""
    for source in sources:
        if not (source / "runs").is_dir():
            raise UserError(f"{source} is no results folder: it has no folder runs")
    joined = Joined()
    for source in sources:
        if source.resolve() == into.resolve():
            continue
        for folder in sorted((source / TRAINED).glob("*/facts.json")):
            _trained(folder.parent, into / TRAINED / folder.parent.name, joined)
        for cell in store.cells(source):
            _join(cell, into / cell.relative_to(source), joined)
    return joined


def _join(cell: Path, target: Path, joined: Joined) -> None:
    """One cell: its identity, then each of its files."""
    if why := _unlike(cell, target) or _otherwise_trained(cell, target):
        joined.refused.append(f"{cell}: {why}")
        return
    before, good = joined.files, _good(store.read(target, ["image", "status"]))
    if not (target / "cell.json").is_file():
        store.write_whole(target / "cell.json", (cell / "cell.json").read_bytes(), "into")
    for file in sorted([*cell.glob("rows-*.parquet"), *cell.glob("scores-*.parquet")]):
        if why := damage(file, cell.name):
            joined.refused.append(f"{file}: {why}")
        elif (new := _new(file, target, good)) is None:
            joined.kept += 1
        else:
            store.write_whole(target / new[0], new[1], "into")
            joined.files += 1
    joined.cells += joined.files > before


def told(cell: Path) -> tuple[dict[str, Any], str]:
    """What a folder's cell.json tells, and why it is not the cell that the folder is named after, if it is not."""
    try:
        said = sizes.json_object(cell / "cell.json")
        identity = said["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}, "its cell.json cannot be read"
    if digest(identity) != cell.name:
        return {}, "what its cell.json tells is not the cell that the folder is named after"
    return said, ""


def _unlike(cell: Path, target: Path) -> str:
    """Why a folder is not the cell that its name says, or not the one that is there."""
    said, why = told(cell)
    if why:
        return why
    identity = said["identity"]
    if (target / "cell.json").is_file():
        try:
            there = sizes.json_object(target / "cell.json")["identity"]
        except (OSError, ValueError, KeyError, TypeError):
            return f"{target / 'cell.json'} cannot be read"
        if there != identity:
            return f"{target} is another cell"
    return ""


def _otherwise_trained(cell: Path, target: Path) -> str:
    """Why rows do not stand beside those that are there: they were made with other weights of one lesson.

    A lesson's folder ends with the hash of what makes it, which the identity of the cell has too.
    """
    identity = told(cell)[0]["identity"]
    learned = identity.get("trained") if isinstance(identity, dict) else None
    if not isinstance(learned, dict):
        return ""
    own = [trained.hashes(store.read(folder, ["training"])) for folder in (cell, target)]
    lessons = target.parents[4] / TRAINED
    for part, name in learned.items():
        found = {weights for one in own for weights in one.get(part, ())}
        found |= {_weights(path.parent) for path in lessons.glob(f"*-{glob.escape(str(name)[:12])}/facts.json")}
        if len(found) > 1:
            shas = ", ".join(sorted(one[:8] for one in found))
            return (
                f"its rows or those of {target} were made with other weights of {part} than are there ({shas}), and "
                f"a cell is of one training: to keep these, remove {target} and its network in {lessons}"
            )
    return ""


def damage(file: Path, name: str) -> str:
    """Why a file cannot be trusted: all of it is read, and its checksums compared."""
    from pyarrow import parquet

    if wrong := store.flaw(file):
        return f"damaged ({' '.join(wrong.split())[:200]})"
    names = [n for n in ("image", "cell") if n in parquet.read_schema(file).names]
    rows = parquet.read_table(file, columns=names).to_pandas(ignore_metadata=True)
    if "image" not in rows or not len(rows):
        return "it holds no rows"
    if file.name.startswith("rows-"):
        if "cell" not in rows or set(rows["cell"]) != {name}:
            return "its rows are of another cell"
        if store.file_of([int(i) for i in rows["image"]]) != file.name:
            return "its rows are of other images than its name says"
    return ""


def _new(file: Path, target: Path, good: set[int]) -> tuple[str, bytes] | None:
    """What a file adds to a cell, by its name there: all of it, or the images that succeeded in it alone.

    `good` are the images that succeeded there; those that are new are among them from then on.
    """
    there, is_rows = target / file.name, file.name.startswith("rows-")
    own = _good(sealed.read(file, ["image", "status"]).to_pandas(ignore_metadata=True)) if is_rows else set[int]()
    new = own - good
    good |= own
    if not there.is_file() or damage(there, target.name):
        return file.name, file.read_bytes()
    if not new:
        return None
    rows = sealed.read(file, [*sealed.read(file, None, store.HEAVY).column_names, *store.HEAVY], store.HEAVY)
    rows = rows.take([i for i, image in enumerate(rows["image"].to_pylist()) if image in new])
    return store.file_of(rows["image"].to_pylist()), sealed.sealed(rows, store.HEAVY)


def _good(rows: Any) -> set[int]:
    """The images of these rows that succeeded."""
    return {int(image) for image in rows[rows["status"] == "ok"]["image"]}


def _trained(folder: Path, target: Path, joined: Joined) -> None:
    """What a recipe trained, with the weights that its facts tell of."""
    from sipbench import checkpoints

    try:
        sound = _weights(folder) == checkpoints.sha256(checkpoints.weight_file(folder))
    except (UserError, OSError):
        sound = False
    if not sound:
        joined.refused.append(f"{folder}: it does not hold the weights that its facts.json tells of")
        return
    if (target / "facts.json").is_file():
        if _weights(folder) == _weights(target):
            joined.kept += 1
        else:
            hint = f"to keep this one, remove {target} and the cells that were made with it"
            joined.refused.append(f"{folder}: {target} is another training of the same: {hint}")
        return
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(_plain(folder), key=lambda path: path.name == "facts.json"):  # last: where it is, all is
        with whole(target / file.name, shared=False) as beside:
            shutil.copyfile(file, beside)
        joined.files += 1


def _weights(folder: Path) -> str:
    """The hash of the weights that the facts of a training tell of."""
    from sipbench import checkpoints

    try:
        return str(checkpoints.read_json(folder / "facts.json").get("sha256"))
    except UserError:
        return "unreadable facts"


def _plain(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
