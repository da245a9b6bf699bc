"""Python modules read as text: what a name stands for in them, without importing anything.

Nothing here runs a stranger's code or imports torch, so that options can be listed at once.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from sipbench.configs.find import is_file_target
from sipbench.errors import UserError
from sipbench.safety import sizes

Definition = ast.FunctionDef | ast.ClassDef | ast.expr
FOLLOWED = 8  # imports that lead from a name to its definition


@dataclass(frozen=True)
class Module:
    """A module as text.

    Attributes:
        name: its dotted name.
        path: its file.
        folder: of a file of one's own and of what it imports from beside it, the folder that they are named from.
    """

    name: str
    path: Path
    folder: Path | None = None

    @classmethod
    def of(cls, target: str) -> Module | None:
        """The module of a target: `package.module.name` or `path/to/file.py:name`."""
        if is_file_target(target):
            path = Path(target.rpartition(":")[0])
            return cls(path.stem, path, path.parent)
        return cls.named(target.rpartition(".")[0])

    @classmethod
    def named(cls, name: str, folder: Path | None = None) -> Module | None:
        """The module of a dotted name, None where there is none that is Python text. No parent is imported.

        What lies in the folder comes before what is installed.
        """
        if folder is not None:
            place = folder.joinpath(*name.split("."))
            for path in (place.with_name(f"{place.name}.py"), place / "__init__.py"):
                if path.is_file():
                    return cls(name, path, folder)
        spec = _spec(name)
        return cls(name, Path(spec.origin)) if spec and (spec.origin or "").endswith(".py") else None  # pyright: ignore

    @property
    def text(self) -> bytes:
        return _read(self.path)

    @property
    def tree(self) -> ast.Module:
        return parsed(self.path)

    def target(self, name: str) -> str:
        """How a config names something in this module."""
        return f"{self.path}:{name}" if self.folder else f"{self.name}.{name}"

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
                        other = Module.named(self.origin(node), self.folder)
                        return other.find(alias.name, depth - 1) if other else None
        return None

    def origin(self, node: ast.ImportFrom) -> str:
        """The dotted name of what `from ... import` imports from."""
        if not node.level:
            return node.module or ""
        package = self.name.split(".") if self.path.name == "__init__.py" else self.name.split(".")[:-1]
        return ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])

    def imports(self) -> Iterator[Module]:
        """What this module imports, anywhere in it, from its own package, or from its folder if it is of one's own."""
        own = None if self.folder else self.name.split(".")[0]
        for name in _imported_once(self, self.text):
            other = Module.named(name, self.folder) if own in (None, name.split(".")[0]) else None
            if other is not None and other.folder == self.folder:
                yield other


def _imported(module: Module) -> Iterator[str]:
    """Every dotted name of an import that may be a module, with the packages that it lies in."""
    for node in ast.walk(module.tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = module.origin(node)
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


@lru_cache(1024)
def _imported_once(module: Module, text: bytes) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_imported(module)))


def _spec(name: str) -> ModuleSpec | None:
    """How an installed module would be imported."""
    head, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(head)
        for end in range(2, len(rest) + 2):
            inside = spec.submodule_search_locations if spec else None
            spec = PathFinder.find_spec(".".join([head, *rest][:end]), inside) if inside else None
    except (ImportError, ValueError):
        return None
    return spec


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    try:
        return _parsed(path, _read(path))
    except SyntaxError as error:
        raise UserError(f"{path} is not valid Python: {error.msg} (line {error.lineno})") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid Python: {error}") from error


def _read(path: Path) -> bytes:
    try:
        sizes.regular(path)
        return path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"no file {path} to read ({why}): a method of your own is named as path/to/file.py:function"
        ) from error


@lru_cache(1024)
def _parsed(path: Path, text: bytes) -> ast.Module:
    return ast.parse(text, filename=str(path))


def without_layout(path: Path) -> str:
    """The code of a file without comments and docstrings, in one layout."""
    return _without_layout(path, path.read_bytes())


@lru_cache(1024)
def _without_layout(path: Path, text: bytes) -> str:
    tree = ast.parse(text, filename=str(path))
    told = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, told) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def functions(module: Module) -> Iterator[str]:
    """The names of the functions that a module defines itself."""
    return (node.name for node in module.tree.body if isinstance(node, ast.FunctionDef))


def words_of(module: str, name: str) -> list[str]:
    """The words that a constant of a module lists: the keys of a mapping, or the entries of a tuple or list."""
    found = Module.named(module)
    _, node = (found.find(name) if found else None) or (None, None)
    words = node.keys if isinstance(node, ast.Dict) else node.elts if isinstance(node, ast.Tuple | ast.List) else []
    return [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
