"""A hash of the code behind a target, which names the cells that it computed."""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sipbench.configs.find import is_file_target
from sipbench.configs.source_text import Module, without_layout
from sipbench.safety import sizes

SETTLED = 2.0  # seconds after which a change of a file cannot bear the time of the one before
Stamps = dict[Path, sizes.Stamp | None]
_known: dict[Any, tuple[Stamps, str, str]] = {}
_imported: dict[str, str] = {}  # the text of each module when it was last seen before its import, or first after it


def code_hash(target: str) -> str:
    """A hash of the code behind a target, blind to comments, layout and place.

    It covers the module that holds the target and what that imports, directly or not, from its own package; of a file
    of one's own, what it imports from its own folder. It is made once as long as none of these files and folders
    changes.
    """
    return _hashed(target)[0]


def edited(target: str) -> str:
    """A module of this code that was edited since this process imported it; empty where there is none."""
    return _hashed(target)[1]


def _hashed(target: str) -> tuple[str, str]:
    key = (target, os.getcwd(), tuple(sys.path))
    stamps, found, old = _known.get(key, ({}, "", ""))
    if found and stamps == _stamps(stamps):
        return found, old
    texts, files, others = _code(target)
    if not texts:
        return "unknown", ""
    stamps = _stamps({*files, *(file.parent for file in files)})
    old = min(others, default="")
    found = hashlib.sha256("\n".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:12]
    if max(max(stamp[:2]) if stamp else sys.maxsize for stamp in stamps.values()) < (time.time() - SETTLED) * 1e9:
        _known[key] = stamps, found, old
    return found, old


def _is_old(name: str, text: str) -> bool:
    """Whether a module of a package has another text now than it was imported with."""
    if name not in sys.modules or name not in _imported:
        _imported[name] = text
    return _imported[name] != text


def mentions(target: str, word: str) -> bool:
    """Whether the code that the hash of a target covers holds a word."""
    return any(word in text for text in _code(target)[0].values())


def _code(target: str) -> tuple[dict[str, str], set[Path], set[str]]:
    """Each module's text, without layout, the files that lead to them, and what was edited since its import."""
    texts: dict[str, str] = {}
    files: set[Path] = set()
    old: set[str] = set()
    module = Module.of(target)
    if module is not None and module.path.is_file():
        _collect(module, texts, files, old)
    return texts, files, old


def _stamps(paths: Iterable[Path]) -> Stamps:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> sizes.Stamp | None:
    try:
        return sizes.stamp(path)
    except OSError:
        return None


def _collect(module: Module, texts: dict[str, str], files: set[Path], old: set[str]) -> None:
    if module.name in texts:
        return
    texts[module.name] = without_layout(module.path)
    if module.folder is None and _is_old(module.name, texts[module.name]):
        old.add(module.name)
    files.add(module.path)
    for other in module.imports():
        files.add(other.path)
        if not _is_bare(other):
            _collect(other, texts, files, old)


def _is_bare(module: Module) -> bool:
    """Whether it is a package that holds nothing of its own but words."""
    return module.path.name == "__init__.py" and all(isinstance(node, ast.Expr) for node in module.tree.body)


def without_place(node: Any) -> Any:
    """Plain data with each target in a file of one's own named by the file alone: it is the same in another folder."""
    if isinstance(node, dict):
        return {key: without_place(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [without_place(value) for value in node]
    return Path(node).name if isinstance(node, str) and is_file_target(node) else node
