"""Ways to show a table. Each is a module with `write(spec, df)`, which returns the files that it wrote.

One that has `text(spec, df)` says what is printed, in the place of the sheets.

A table names its views in its YAML: `views: [grid, pairs, strip]`. A new one is one file in this folder.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sipbench.tables.spec import TableSpec

if TYPE_CHECKING:
    import pandas as pd


def names() -> list[str]:
    """Every view."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def show(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """Write a table in all of its views."""
    return [path for name in spec.views for path in _view(name).write(spec, df)]


def text(spec: TableSpec, df: pd.DataFrame) -> str | None:
    """What is printed, where one of its views says it."""
    own = [_view(name) for name in spec.views if hasattr(_view(name), "text")]
    return own[0].text(spec, df) if own else None


def _view(name: str) -> ModuleType:
    return import_module(f"{__name__}.{name}")
