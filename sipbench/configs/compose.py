"""A composed config, with plain errors.

Hydra composes the other choices once; while no config file changes, that is kept. The degradation and the method,
whose options follow the text of its solver, are read anew and put in, and values are set as Hydra itself sets them.
Whatever this does not understand is left to Hydra, and so are mistakes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from sipbench.configs.base import Base, Filled, Plain, node_of, override_of, parted, parts_of, room
from sipbench.configs.by_hydra import by_hydra
from sipbench.configs.find import absent, folders, is_file_target, names, root
from sipbench.configs.main_schema import MAIN, check_main
from sipbench.configs.methods import refusal
from sipbench.configs.quoting import quoted, unreadable
from sipbench.configs.signature import options
from sipbench.configs.word import Word
from sipbench.configs.yaml_file import load
from sipbench.errors import UserError, unknown
from sipbench.safety import sizes

KEPT = 64  # compositions that are held at a time, and as many with a method and a degradation put in
_bases: dict[Any, Base] = {}


def compose(overrides: list[str], config: str = "config") -> Any:
    """The composed config (an OmegaConf DictConfig) for these overrides, with plain errors."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    check_main(config)
    overrides = [quoted(word) for word in overrides]
    _check_choices(overrides)
    _check_added(overrides, config)
    try:
        quick = _quickly(overrides) if config == "config" else None
    except (HydraException, OmegaConfBaseException, UserError, LookupError, TypeError, ValueError, AttributeError):
        quick = None
    if quick is not None:
        return quick
    try:
        return by_hydra(overrides, config)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, overrides, config) from error
    except (
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        KeyError,
    ) as error:  # words that Hydra does not check
        raise UserError(f"these words make no config: {sizes.reason(error)}") from error


def _quickly(words: Sequence[str]) -> Any:
    """The config from a composition that is kept; None where Hydra has to be asked."""
    choices, values = parted(words)
    if not any(Word.of(text).key == "method" for text in choices):
        choices = (*choices, f"method={_own_method()}")
    nodes = {group: node for group, name in parts_of(choices).items() if (node := node_of(group, name))}
    rest = tuple(text for text in choices if Word.of(text).key not in nodes)
    if "method" not in nodes or any(Word.of(text).key.startswith("hydra") for text in rest):
        return None
    return _with_parts(rest, nodes).changed(values)


def _with_parts(words: tuple[str, ...], nodes: Mapping[str, Plain]) -> Base:
    """A composition with a method and a degradation put in, kept as long as none of them changes."""
    stamp = _stamp()
    key = (words, stamp, repr(nodes))
    if key not in _bases:
        room(_bases, KEPT)[key] = Filled(_composed(words, stamp), nodes)
    return _bases[key]


@lru_cache(KEPT)
def _composed(words: tuple[str, ...], stamp: int) -> Base:
    """What these choices compose to, while the files are what they were."""
    return Base(by_hydra(words))


def _own_method() -> str:
    """The method of a cell that names none."""
    return next(entry["method"] for entry in load(root() / "config.yaml")["defaults"] if "method" in entry)


def _stamp() -> int:
    """Of what a composed problem rests on: every config file as it was written. Only a method is named by a path."""
    return hash(tuple(file for folder in folders() for file in _files(folder)))


def _files(folder: Path) -> Iterator[tuple[object, ...]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir():
                yield from _files(Path(entry.path))
            elif entry.name.endswith(".yaml") and entry.is_file():
                about = entry.stat()
                yield entry.path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def _check_choices(overrides: list[str]) -> None:
    """A choice that does not exist; Hydra itself is silent about optional groups."""
    for word in map(Word.of, overrides):
        name = word.plain
        word.check()
        if word.value is None or not (root() / word.key).is_dir() or is_file_target(name) or name == "null":
            continue
        if name not in names(word.key):
            raise absent(word.key, name)


def _check_added(overrides: list[str], config: str) -> None:
    """What is added by + belongs to something; Hydra takes anything."""
    groups = {entry.name for folder in folders() for entry in folder.iterdir() if entry.is_dir()}
    known = {*groups, *(field.name for field in fields(MAIN[config]))}
    for word in map(Word.of, overrides):
        name = word.key.split(".")[0]
        if "+" in word.mark and not {"/", "@"} & set(name) and name not in known:
            raise unknown("option", name, known)


def _deeper(node: Any, tail: str, path: str = "") -> Iterator[str]:
    """The options of a composed config, below its top, whose names end so."""
    for name, value in node.items():
        if path or name != "hydra":
            if path and f"{path}{name}".endswith(f".{tail}"):
                yield f"{path}{name}"
            if isinstance(value, dict):
                yield from _deeper(value, tail, f"{path}{name}.")


def _unread(overrides: list[str]) -> UserError | None:
    """The first word that Hydra's grammar cannot read."""
    from hydra.errors import HydraException

    for word in overrides:
        try:
            override_of(word)
        except HydraException as error:  # noqa: PERF203
            return unreadable(word, error)
    return None


def _explain(error: Exception, overrides: list[str], config: str) -> UserError:
    """Hydra's words made plain: a misspelt option with the nearest known one, or what it could not read."""
    from omegaconf import OmegaConf

    text = " ".join(str(error).split())
    if twice := re.search(r"Multiple values for (\w+)\. To override a value use 'override \1: (\S+)'", text):
        group, name = twice.groups()
        return UserError(f"{group} is chosen already: {group}={name}, without the +")
    found = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if found is None:
        return _unread(overrides) or UserError(text.split(" Set the environment variable")[0])
    key = found.group(1)
    others = [o for o in overrides if Word.of(o).key != key]
    if len(others) == len(overrides):
        return UserError(f"unknown option {key!r}: {text}")
    node, parents = compose(others, config), key.split(".")[:-1]
    deeper = list(_deeper(OmegaConf.to_container(node, resolve=False), key))
    if parents == ["method", "solver"] and (why := refusal(node.method.solver, key.split(".")[-1])):
        return why
    for depth, name in enumerate(parents):
        if depth == 0 and config == "config" and name not in node and (choices := names(name)):
            return UserError(
                f"{key}: no {name} is chosen; name one too, as in {name}={choices[-1]}: {', '.join(choices)}"
            )
        if name not in node:
            return unknown("option", key if deeper else ".".join(parents[: depth + 1]), map(str, node), *deeper[:1])
        node = node[name]
        if not hasattr(node, "keys"):
            value = ".".join(parents[: depth + 1])
            return UserError(f"unknown option {key!r}: {value} is a value, and holds no others")
    prefix = "".join(f"{p}." for p in parents)
    known = [f"{prefix}{k}" for k in node if k not in ("hydra", "_target_")]
    if key in known:
        return UserError(f"{key} cannot be replaced as a whole: set its parts, such as {key}.NAME=VALUE")
    unsaid = [f"{prefix}{name}" for name in _left_out(node)] if parents[:1] in (["degradation"], ["dataset"]) else []
    if key in unsaid:
        value = next(word.value for word in map(Word.of, overrides) if word.key == key)
        return UserError(f"{key} is at its default, which its file leaves out: +{key}={value} sets it")
    return unknown("option", key, [*known, *unsaid], *deeper[:1])


def _left_out(node: Any) -> list[str]:
    """The options of a node's `_target_` that its file leaves at their defaults. What is private is no option."""
    target = node.get("_target_")
    found = options(target) if isinstance(target, str) else None
    return [name for name in (found.defaults if found else ()) if name not in node and not name.startswith("_")]
