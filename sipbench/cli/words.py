"""What several commands make of their words."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.checkpoints import at_home
from sipbench.configs import Overrides
from sipbench.configs.yaml_file import value
from sipbench.errors import UserError

if TYPE_CHECKING:
    from sipbench.bench.cell import Cell


def pairs(words: Iterable[str], usage: str) -> dict[str, Any]:
    """Names and values of words that are all key=value; a value is read as YAML."""
    import yaml

    found = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"unknown word {word!r}: {usage}")
        try:
            found[name] = value(text)
        except yaml.YAMLError as error:
            raise UserError(f"{word!r} cannot be read: {' '.join(str(error).split())[:160]}") from error
    return found


def outlet(out: str, *, folder: bool = False, ending: str = "") -> Path:
    """Where `out=` says that a file is to go, or a folder to be; refused before any work where that cannot be.

    What is written is of the kind of `ending`, which a file may bear, or none.
    """
    if not out:
        raise UserError(f"out= names nothing: say which {'folder' if folder else 'file'}")
    path = at_home(out)
    try:
        path.exists()  # what is too long shows here
        place = next(one for one in ((path, *path.parents) if folder else path.parents) if one.exists())
        why = "" if place.is_dir() else f"{place} is no folder"
        if not why and not os.access(place, os.W_OK | os.X_OK):
            why = f"{place} may not be written to"
        if not why and not folder and path.is_dir():
            why = "it is a folder: name a file in it"
        if not why and not folder and path.exists() and not path.is_file():
            why = "it is no regular file, and is left as it is: name another"
        if not why and ending and not ending.startswith(path.suffix.lower()):
            why = f"{ending} is what is written: out={path.with_suffix(ending)}"
    except OSError as error:
        why = str(error.strerror)
    if why:
        raise UserError(f"out={out}: {why}")
    return path


def cell_of(words: Overrides) -> Cell:
    """The one cell that the words name."""
    from sipbench.bench.cell import Cell

    for word in words:
        if "=" not in word:
            raise UserError(f"unknown word {word!r}: options are key=value, such as degradation=sr4")
    return Cell.of(words.compose(), list(words))


def problem_of(words: Overrides) -> Cell:
    """The cell of a problem that nobody is asked to solve."""
    rest = {"method": "method=pinv", "prior": "prior=none"}
    return cell_of(words + [word for name, word in rest.items() if name not in words.keys])
