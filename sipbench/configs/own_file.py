"""A solver in a file of one's own, `mine.py:solve`, described as a method without importing it."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from sipbench.errors import UserError


def describe(target: str, base: Path) -> dict[str, Any]:
    """The method config of `path/to/file.py:function`; a relative path is relative to `base`."""
    place, _, function = target.rpartition(":")
    path = (base / Path(place).expanduser()).resolve()
    name = f"{path.stem}:{function}"
    return {
        "name": name,
        "title": name,
        "family": "yours",
        "paper": "",
        "solver": {"_target_": f"{path}:{function}", **_options(_definition(path, function))},
        "data": "unknown",
        "knowledge": "unknown",
    }


def _definition(path: Path, function: str) -> ast.FunctionDef:
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except OSError as error:
        raise UserError(
            f"no file {path} to read ({error.strerror}): a method of your own is named as path/to/file.py:function"
        ) from error
    except SyntaxError as error:
        raise UserError(f"{path} is not valid Python: {error.msg} (line {error.lineno})") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid Python: {error}") from error
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in found:
        raise UserError(f"{path} defines no function {function!r}; it defines {', '.join(found) or 'none'}")
    return found[function]


def _options(definition: ast.FunctionDef) -> dict[str, Any]:
    """The keyword-only parameters whose defaults are plain values."""
    arguments = definition.args
    options = {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        try:
            value = ast.literal_eval(default) if default is not None else ...
            json.dumps(value)
        except (ValueError, TypeError):
            continue
        options[argument.arg] = value
    return options
