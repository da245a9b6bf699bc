"""A file of one's own as a module, with what it imports from beside it.

Its folder is on the path while it is imported, and what it took from there is then taken out of `sys.modules` again:
two folders may each have a `helper.py`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

from sipbench.configs.code_hash import code_hash
from sipbench.errors import UserError, of_launcher, part_of

SHARED = {"sipbench", "baselines", *sys.stdlib_module_names}  # never hidden by a file of that name
NOT_OWN = (
    "<",
    sysconfig.get_paths()["stdlib"],
    str(Path(__file__).parents[1]),
)  # whose code is Python's or the harness's
_helpers: dict[Path, dict[str, ModuleType]] = {}  # what each folder's files have imported from it


def module_from_file(path: Path) -> ModuleType:
    """The module of a file, imported anew when its code or that of its neighbours has changed."""
    if not path.is_file():
        raise UserError(f"no file {path}: a method of your own is named as path/to/file.py:function")
    return _module(path, code_hash(f"{path}:_"))


@cache
def _module(path: Path, code: str) -> ModuleType:
    _helpers.pop(path.parent, None)
    name = f"sipbench_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{code}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        with _folder_first(path.parent):
            sys.modules[name] = module  # dataclasses look for the module of a class there
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        raise UserError(f"{path} cannot be imported: {where(error)}") from error
    return module


def where(error: BaseException) -> str:
    """What an error is and says, and the line that it came from: of one inside a package that which called it.

    Where no line is one's own it is the last of the harness or of a plugin that is installed: not that of torch.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if not f.filename.startswith(NOT_OWN) and "site-packages" not in f.filename]
    parts = [f for f in frames if not f.filename.startswith(NOT_OWN[:2]) and "/site-packages/torch/" not in f.filename]
    last = (own or parts or frames)[-1]
    at = "" if isinstance(error, SyntaxError) else f" ({last.filename}, line {last.lineno})"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{at}"


@contextmanager
def in_a_line(part: str) -> Iterator[None]:
    """What goes wrong inside ends in a line: the part, this one unless another was `noted`, and `where`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        from sipbench.device import out_of_memory

        if out_of_memory(error) or of_launcher(error) or (isinstance(error, OSError) and error.filename is not None):
            raise
        raise UserError(f"{part_of(error) or part}: {where(error)}") from error


@contextmanager
def _folder_first(folder: Path) -> Iterator[None]:
    """The folder first on the path, and its modules alone under their names.

    No bytecode is written: Python takes it for that of a file of the same size that was edited in the same second.
    """
    hidden = {name: module for name, module in sys.modules.items() if _hides(folder, name, module)}
    for name in hidden:
        del sys.modules[name]
    before, writes = set(sys.modules), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.modules.update(_helpers.get(folder, {}))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = writes
        sys.path.remove(str(folder))
        own = {n: m for n, m in sys.modules.items() if n not in before and _lies_in(folder, m)}
        for name in own:
            del sys.modules[name]
        _helpers.setdefault(folder, {}).update(own)
        sys.modules.update(hidden)


def _hides(folder: Path, name: str, module: ModuleType) -> bool:
    """Whether a module of the folder has the name of this one, which is of elsewhere."""
    head = name.split(".")[0]
    here = (folder / f"{head}.py").is_file() or (folder / head / "__init__.py").is_file()
    return here and head not in SHARED and not _lies_in(folder, module)


def _lies_in(folder: Path, module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and Path(file).resolve().is_relative_to(folder)
