"""Python modules read as text: what a name stands for in them, without importing anything.

Nothing here runs a stranger's code or imports torch, so that options can be listed at once.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import PathFinder
from pathlib import Path

from sipbench.configs.find import is_file_target
from sipbench.errors import UserError

Definition = ast.FunctionDef | ast.ClassDef | ast.expr
FOLLOWED = 8  # imports that lead from a name to its definition


@dataclass(frozen=True)
class Module:
    """A module as text.

    Attributes:
        name: its dotted name; "" for a file of one's own.
        path: its file.
    """

    name: str
    path: Path

    @classmethod
    def named(cls, name: str) -> Module | None:
        """The module of a dotted name, None where there is none that is Python text. No parent is imported."""
        head, *rest = name.split(".")
        try:
            spec = importlib.util.find_spec(head)
            for end in range(2, len(rest) + 2):
                inside = spec.submodule_search_locations if spec else None
                spec = PathFinder.find_spec(".".join([head, *rest][:end]), inside) if inside else None
        except (ImportError, ValueError):
            return None
        return cls(name, Path(spec.origin)) if spec and (spec.origin or "").endswith(".py") else None  # pyright: ignore

    @classmethod
    def of(cls, target: str) -> Module | None:
        """The module of a target: `package.module.name` or `path/to/file.py:name`."""
        if is_file_target(target):
            return cls("", Path(target.rpartition(":")[0]))
        return cls.named(target.rpartition(".")[0])

    @property
    def tree(self) -> ast.Module:
        return parsed(self.path)

    def target(self, name: str) -> str:
        """How a config names something in this module."""
        return f"{self.name}.{name}" if self.name else f"{self.path}:{name}"

    def find(self, name: str, depth: int = FOLLOWED) -> tuple[Module, Definition] | None:
        """Where a name of this module is defined, and its definition, following imports of names."""
        for node in reversed(self.tree.body):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                return self, node
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(t, ast.Name) and t.id == name for t in targets):
                    return self, node.value
            if isinstance(node, ast.ImportFrom) and depth:
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        other = self.imported(node)
                        return other.find(alias.name, depth - 1) if other else None
        return None

    def imported(self, node: ast.ImportFrom) -> Module | None:
        """The module that `from ... import` names."""
        if not node.level:
            beside = self.path.parent / f"{node.module}.py" if node.module and not self.name else None
            return Module("", beside) if beside and beside.is_file() else Module.named(node.module or "")
        package = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        base = package[: len(package) - node.level + 1]
        return Module.named(".".join([*base, *(node.module or "").split(".")]).strip(".")) if base else None


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    try:
        return _parsed(path, path.read_bytes())
    except OSError as error:
        raise UserError(
            f"no file {path} to read ({error.strerror}): a method of your own is named as path/to/file.py:function"
        ) from error
    except SyntaxError as error:
        raise UserError(f"{path} is not valid Python: {error.msg} (line {error.lineno})") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid Python: {error}") from error


@lru_cache(1024)
def _parsed(path: Path, text: bytes) -> ast.Module:
    return ast.parse(text, filename=str(path))


def functions(module: Module) -> Iterator[str]:
    """The names of the functions that a module defines itself."""
    return (node.name for node in module.tree.body if isinstance(node, ast.FunctionDef))
