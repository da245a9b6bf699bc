"""A hash of the code behind a target, which names the cells that it computed."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from pathlib import Path

from sipbench.configs.find import is_file_target
from sipbench.configs.source_text import parsed


def code_hash(target: str) -> str:
    """A hash of the code behind a target, blind to comments and layout.

    It covers the file that holds the target and what that imports from its own package.
    """
    if is_file_target(target):
        path = Path(target.rpartition(":")[0])
        texts = {str(path): _code(path)} if path.is_file() else {}
    else:
        texts = _imported(target.rpartition(".")[0], {})
    if not texts:
        return "unknown"
    return hashlib.sha256("\n".join(texts[name] for name in sorted(texts)).encode()).hexdigest()[:12]


def _code(path: Path) -> str:
    return ast.unparse(parsed(path))


def _imported(module: str, texts: dict[str, str]) -> dict[str, str]:
    """The code of a module and, following its imports, of the modules of its own package."""
    spec = importlib.util.find_spec(module)
    path = Path(spec.origin) if spec and spec.origin else None
    if module in texts or path is None or path.suffix != ".py":
        return texts
    texts[module] = _code(path)
    for node in ast.walk(ast.parse(texts[module])):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == module.split(".")[0]:
            _imported(node.module, texts)
    return texts
