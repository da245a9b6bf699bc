"""The keys of a kind of YAML, declared as a dataclass: checking a file against them, and describing them.

    @dataclass
    class Profile:
        "Sizes and numbers of images."
        name: str = key("how commands name it", required=True)
        size: int | None = key("pixels along one side")

A kind that declares `options = True` is a node: its other keys are the options of its `_target_`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args, get_origin

from sipbench.configs.annotation import refusal
from sipbench.configs.signature import options as signature
from sipbench.errors import UserError, unknown

ELSEWHERE = ("defaults", "like")  # a file with these need not say itself what is required


def key(says: str, *, required: bool = False, name: str | None = None) -> Any:
    """A key and what it says; `name` where the key is no name of Python's."""
    return dataclasses.field(default=None, metadata={"says": says, "required": required, "name": name})


@dataclasses.dataclass
class Key:
    """One key of a kind: its name, what may stand there, and what that says."""

    name: str
    allowed: Any
    says: str
    required: bool


@cache
def keys(kind: type) -> list[Key]:
    """The keys of a kind, in the order that they are declared."""
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    return [
        Key(f.metadata["name"] or f.name, hints[f.name], f.metadata["says"], f.metadata["required"]) for f in fields
    ]


def check(kind: type, node: Any, where: str, path: str = "") -> None:
    """Refuse keys that the kind does not know and values of another kind; `where` names the file, `path` the place."""
    if not isinstance(node, Mapping):
        raise UserError(f"{where}: {path or 'it'} holds keys with values, not {node!r}")
    known = {k.name: k for k in keys(kind)}
    others = [name for name in node if name not in known and name != "defaults"]
    if getattr(kind, "options", False):
        check_options(node.get("_target_"), {name: node[name] for name in others}, f"{where}: {path or 'it'}")
    elif others:
        raise UserError(f"{where}: {unknown(f'key {path}' if path else 'key', str(others[0]), known)}")
    for name, k in known.items():
        inner = f"{path}.{name}".lstrip(".")
        if k.required and name not in node and not any(name in node for name in ELSEWHERE):
            raise UserError(f"{where}: {inner} is missing: {k.says}")
        if node.get(name) is not None:
            _check_value(k.allowed, node[name], where, inner)
    more = getattr(kind, "refuse", None)
    if more is not None:
        more(node, where)


def _check_value(allowed: Any, value: Any, where: str, path: str) -> None:
    if isinstance(value, str) and is_open(value):
        return
    parts = _parts(allowed)
    for part in parts:
        if dataclasses.is_dataclass(part) and isinstance(value, Mapping):
            return check(part, value, where, path)  # pyright: ignore
        if _holds_a_kind(part) and get_origin(part) is list and isinstance(value, list):
            return _check_each(get_args(part)[0], ((f"[{i}]", v) for i, v in enumerate(value)), where, path)
        if _holds_a_kind(part) and get_origin(part) is dict and isinstance(value, Mapping):
            return _check_each(get_args(part)[1], ((f".{name}", v) for name, v in value.items()), where, path)
    outer = [_outer(part) if _holds_a_kind(part) else part for part in parts]
    said = refusal(path, value, typing.Union[tuple(outer)])  # noqa: UP007
    if said:
        raise UserError(f"{where}: {said}")


def _check_each(allowed: Any, entries: Iterator[tuple[str, Any]], where: str, path: str) -> None:
    for name, value in entries:
        if value is not None:
            _check_value(allowed, value, where, f"{path}{name}")


def _outer(part: Any) -> Any:
    """A list or a mapping of kinds, or a kind, as a list or a mapping of anything."""
    return list[Any] if get_origin(part) is list else dict[str, Any]


def _parts(allowed: Any) -> tuple[Any, ...]:
    return get_args(allowed) if get_origin(allowed) in (typing.Union, types.UnionType) else (allowed,)


def _holds_a_kind(part: Any) -> bool:
    return dataclasses.is_dataclass(part) or any(map(_holds_a_kind, get_args(part)))


def is_open(value: Any) -> bool:
    """Whether a value, or a part of it, is left to the composition: `${size}`, or `???` that must be given."""
    if isinstance(value, list):
        return any(map(is_open, value))
    return isinstance(value, str) and ("${" in value or value == "???")


def check_options(target: Any, options: Mapping[str, Any], where: str, known: Mapping[str, Any] | None = None) -> None:
    """Refuse options that a target does not know, and values that its annotations do not allow.

    `known` are further options, with what may be set.
    """
    found = signature(target) if isinstance(target, str) and not is_open(target) else None
    if found is None or found.open:
        return
    allowed = dict.fromkeys(found.names, Any) | found.annotations | dict(known or {})
    for name, value in options.items():
        if name not in allowed:
            raise UserError(f"{where}: {unknown('option', str(name), allowed)}")
        if isinstance(value, Mapping) and isinstance(node := found.defaults.get(name), dict) and "_target_" in node:
            inner = {k: v for k, v in value.items() if k != "_target_"}
            check_options(value.get("_target_", node["_target_"]), inner, f"{where}: {name}")
        elif value is not None and not is_open(value) and (said := refusal(str(name), value, allowed[name])):
            raise UserError(f"{where}: {said}")
