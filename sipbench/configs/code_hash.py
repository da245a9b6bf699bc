"""A hash of the code behind a target, which names the cells that it computed."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path
from typing import Any

from sipbench.configs.find import is_file_target
from sipbench.configs.source_text import Module, without_layout


def code_hash(target: str) -> str:
    """A hash of the code behind a target, blind to comments, layout and place.

    It covers the module that holds the target and what that imports, directly or not, from its own package; of a file
    of one's own, what it imports from its own folder.
    """
    texts: dict[str, str] = {}
    module = Module.of(target)
    if module is not None and module.path.is_file():
        _collect(module, texts)
    if not texts:
        return "unknown"
    return hashlib.sha256("\n".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:12]


def _collect(module: Module, texts: dict[str, str]) -> None:
    if module.name in texts:
        return
    texts[module.name] = without_layout(module.path)
    for other in module.imports():
        if not _is_bare(other):
            _collect(other, texts)


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
