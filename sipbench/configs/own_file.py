"""A solver in a file of one's own, `mine.py:solve`, described as a method without importing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sipbench.checkpoints import at_home
from sipbench.configs.methods import filled
from sipbench.configs.source_text import Module, functions
from sipbench.errors import UserError


def describe(target: str, base: Path) -> dict[str, Any]:
    """The method config of `path/to/file.py:function`; a relative path is relative to `base`."""
    place, _, function = target.rpartition(":")
    path = (base / at_home(place)).resolve()
    module = Module(path.stem, path, path.parent)
    if module.find(function) is None:
        own = ", ".join(functions(module)) or "none"
        raise UserError(f"{path} defines no function {function!r}; it defines {own}")
    name = f"{path.stem}:{function}"
    return {
        "name": name,
        "title": name,
        "family": "yours",
        "citation": "",
        "solver": filled({"_target_": f"{path}:{function}"}, set()),
    }
