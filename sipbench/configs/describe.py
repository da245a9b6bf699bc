"""What each kind of YAML may say, in words: for `sipbench list schema KIND` and for docs/configs.md.

python -m sipbench.configs.describe        writes docs/configs.md anew
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from sipbench.configs.find import PACKAGE
from sipbench.configs.keys import Key, keys
from sipbench.configs.main_schema import MAIN
from sipbench.configs.schema import KINDS
from sipbench.errors import unknown

PLAIN = {int: "whole number", float: "number", str: "text", bool: "true or false", type(None): "null", Any: "anything"}
HEAD = """\
# The files in conf/

<!-- Made by: python -m sipbench.configs.describe -->

A choice such as `method=dps` is a file, `conf/method/dps.yaml`, of this repository or of the `conf` folder of a package
of yours. What each kind of file may say is below; a key or a word that is not known is refused when the file is read,
and the nearest that is known is named. `sipbench list schema KIND` prints one kind.

A file may also have `defaults`, Hydra's list of the files that it is made of.
"""


def describe(kind: str) -> str:
    """The keys of a kind of file, one a line, and those of what stands within it."""
    if kind not in KINDS:
        raise unknown("schema", kind, KINDS)
    return "\n\n".join(map(_plain, _with_inner(KINDS[kind])))


def page() -> str:
    """All kinds, as docs/configs.md has them."""
    parts = [HEAD]
    parts += [f"## conf/{name}.yaml\n\n{_about(top)}\n\n{_table(top)}" for name, top in MAIN.items()]
    parts += [
        f"### {inner.__name__}\n\n{_about(inner)}\n\n{_table(inner)}" for top in MAIN.values() for inner in _inner(top)
    ]
    for kind, top in KINDS.items():
        parts.append(f"## conf/{kind}/NAME.yaml\n\n{_about(top)}\n\n{_table(top)}")
        parts += [f"### {inner.__name__}\n\n{_about(inner)}\n\n{_table(inner)}" for inner in _inner(top)]
    return "\n".join(part.rstrip("\n") + "\n" for part in _once(parts))


def _once(parts: list[str]) -> Iterator[str]:
    """The parts, each the first time only: several kinds hold the same."""
    yield from dict.fromkeys(parts)


def _with_inner(top: type) -> list[type]:
    return [top, *_inner(top)]


def _inner(kind: type) -> list[type]:
    """The kinds that stand within a kind, each once."""
    found: dict[type, None] = {}
    for key in keys(kind):
        for part in _kinds_of(key.allowed):
            found |= dict.fromkeys(_with_inner(part))
    return list(found)


def _kinds_of(allowed: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(allowed):
        yield allowed  # pyright: ignore
    for part in get_args(allowed):
        yield from _kinds_of(part)


def _about(kind: type) -> str:
    return inspect.cleandoc(kind.__doc__ or "")


def _plain(kind: type) -> str:
    lines = [f"{kind.__name__}: {_about(kind)}", ""]
    width = max(len(key.name) for key in keys(kind))
    for key in keys(kind):
        need = "required; " if key.required else ""
        lines.append(f"  {key.name:<{width}}  {need}{key.says} ({_said(key.allowed)})")
    return "\n".join(lines)


def _table(kind: type) -> str:
    lines = ["| key | what stands there | what it says |", "|---|---|---|"]
    return "\n".join([*lines, *map(_row, keys(kind))])


def _row(key: Key) -> str:
    need = " (required)" if key.required else ""
    return f"| `{key.name}`{need} | {_said(key.allowed)} | {key.says} |"


def _said(allowed: Any) -> str:
    """An annotation in words."""
    origin, inner = get_origin(allowed), get_args(allowed)
    if dataclasses.is_dataclass(allowed):
        return allowed.__name__  # pyright: ignore
    if origin is Literal:
        return ", ".join(map(str, inner))
    if origin is list:
        return f"list of {_said(inner[0])}"
    if origin is dict:
        return f"by name, {_said(inner[1])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_said(part) for part in inner if part is not type(None))
    return PLAIN.get(allowed, str(allowed))


if __name__ == "__main__":
    Path(PACKAGE.parent, "docs", "configs.md").write_text(page(), encoding="utf-8")
