"""Configs of many lists of words, each as `compose` makes it, at a small part of the cost.

Hydra composes what the choices say once (the problem; a method is then put into it), and the values are set afterwards,
as Hydra itself does it. A value that no reference of the config can reach, such as a seed, is set in the plain data.
Whatever this does not understand is left to `compose`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from sipbench.configs.compose import compose, exchanged, hydra_ready, resolvers
from sipbench.configs.find import find, folders, is_file_target
from sipbench.configs.quoting import quoted
from sipbench.configs.read import read
from sipbench.configs.word import Word
from sipbench.errors import UserError

Plain = dict[str, Any]
KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
REACH = re.compile(r"\$\{[^{}:]*\$\{|oc\.select:\s*\$\{")  # a reference whose name is itself looked up
ASKED = re.compile(r"\$\{([\w.]+):")
KNOWN = {"channels", "divide", "oc.select", "oc.env", "now"}  # resolvers that look at nothing but what they are given
KEPT = 4096  # configs that are held at a time


def plain(cfg: Any) -> Plain:
    """A composed config as plain data, everything resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    resolvers()
    try:
        return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # pyright: ignore
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error


@dataclass
class Composer:
    """Composes many; what it has composed it keeps.

    >>> composer = Composer()
    >>> [composer.plain(["method=dip", f"seed={seed}"])["seed"] for seed in (0, 1)]
    [0, 1]

    What it returns is shared: it is not to be changed.
    """

    _problems: dict[Any, Base] = field(default_factory=dict)
    _bases: dict[Any, Base] = field(default_factory=dict)
    _resolved: dict[Any, Plain] = field(default_factory=dict)
    _methods: dict[str, Plain | None] = field(default_factory=dict)

    def plain(self, words: Sequence[str]) -> Plain:
        """The composed config of these words as plain data, everything resolved; mistakes as `compose` says them."""
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        try:
            return self._quickly(list(words))
        except (HydraException, OmegaConfBaseException, UserError, LookupError, TypeError):
            return plain(compose(list(words)))

    def _quickly(self, words: list[str]) -> Plain:
        choices, values = parted(words)
        base = self._base(choices)
        bound = [text for text in values if base.reaches(text)]
        key = (*choices, None, *bound)
        if key not in self._resolved:
            _room(self._resolved)[key] = plain(base.changed(bound))
        found = self._resolved[key]
        for text in values:
            if text not in bound:
                found = _put(found, Word.of(text).key.split("."), _value(text))
        return found

    def _base(self, choices: tuple[str, ...]) -> Base:
        """The choices composed: a method is put into its problem, where nothing else touches it."""
        if choices in self._bases:
            return self._bases[choices]
        methods = [Word.of(text).plain for text in choices if Word.of(text).key == "method"]
        rest = tuple(text for text in choices if Word.of(text).key != "method")
        alone = len(methods) == 1 and not any(Word.of(t).mark or Word.of(t).key.startswith("method") for t in rest)
        node = self._method(methods[0]) if alone else None
        problem = self._problem(rest if node else choices)
        base = problem.with_method(node) if node else problem
        _room(self._bases)[choices] = base
        return base

    def _method(self, name: str) -> Plain | None:
        """A method that can be put into a problem that was composed without it; None of one that cannot."""
        if name not in self._methods:
            text = "defaults:" if is_file_target(name) else find("method", name).read_text(encoding="utf-8")
            own = re.search(r"^defaults:|@package", text, re.MULTILINE)
            self._methods[name] = None if own else read("method", name)
        return self._methods[name]

    def _problem(self, words: tuple[str, ...]) -> Base:
        if words not in self._problems:
            _room(self._problems)[words] = Base(compose(list(words)))
        return self._problems[words]


@dataclass
class Base:
    """A composed config whose references are still open."""

    cfg: Any

    @cached_property
    def raw(self) -> Plain:
        from omegaconf import OmegaConf

        return OmegaConf.to_container(self.cfg, resolve=False)  # pyright: ignore

    def with_method(self, node: Plain) -> Base:
        """With another method in the place of its own."""
        base = Base(exchanged(self.cfg, method=node))
        base.__dict__["raw"] = self.raw | {"method": node}
        return base

    @cached_property
    def references(self) -> list[str]:
        return [text for text in _texts(self.raw) if "${" in text]

    @cached_property
    def named(self) -> set[str]:
        """Every word that stands in a reference."""
        return {name for text in self.references for name in re.findall(r"\w+", text)}

    @cached_property
    def dark(self) -> bool:
        """Whether a reference may look at anything."""
        return any(REACH.search(text) or not KNOWN >= set(ASKED.findall(text)) for text in self.references)

    def reaches(self, text: str) -> bool:
        """Whether a reference may look at what this word sets, or what it replaces is open itself."""
        parts = Word.of(text).key.split(".")
        old = _at(self.raw, parts)
        if isinstance(old, dict | list):
            raise TypeError(f"{text} replaces a part as a whole")
        is_open = isinstance(old, str) and ("${" in old or old == "???")
        return self.dark or is_open or not self.named.isdisjoint(parts)

    def changed(self, texts: Sequence[str]) -> Any:
        """The config with these words put in as Hydra does it."""
        from hydra._internal.config_loader_impl import ConfigLoaderImpl

        if not texts:
            return self.cfg
        cfg = copy.deepcopy(self.cfg)
        ConfigLoaderImpl._apply_overrides_to_config([_override(text) for text in texts], cfg)
        return cfg


def parted(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The words that choose, add or take away, and those that set one value each and can wait until that is done."""
    waiting = [text for text in words if _sets_a_value(text)]
    others = [text for text in words if text not in waiting]
    keys = [Word.of(text).key for text in others if not _chooses(text)]
    late = [text for text in waiting if not any(_within(Word.of(text).key, key) for key in keys)]
    return tuple(text for text in words if text not in late), late


def _chooses(text: str) -> bool:
    word = Word.of(text)
    return _is_group(word.key) and not (word.value or "").lstrip().startswith("{")


def _sets_a_value(text: str) -> bool:
    word = Word.of(text)
    if word.mark or word.value is None or not KEY.fullmatch(word.key) or word.key.split(".")[0] == "hydra":
        return False
    if _is_group(word.key) or "${" in word.value or "hydra" in word.value or word.plain == "???":
        return False
    return not _override(text).is_sweep_override() and isinstance(_value(text), str | int | float | None)


@lru_cache(KEPT)
def _override(text: str) -> Any:
    """A word as Hydra reads it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    with hydra_ready() as loader:
        return OverridesParser.create(config_loader=loader).parse_override(quoted(text))


def _value(text: str) -> Any:
    return _override(text).value()


def _is_group(key: str) -> bool:
    return "/" in key or "@" in key or _is_folder(key, tuple(folders()))


@lru_cache(KEPT)
def _is_folder(name: str, places: tuple[Path, ...]) -> bool:
    return any((place / name).is_dir() for place in places)


def _within(one: str, other: str) -> bool:
    """Whether one key is the other, or lies below it, either way round."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str):
        yield node


def _at(node: Any, parts: Sequence[str]) -> Any:
    for name in parts:
        node = node[name]
    return node


def _put(node: Plain, parts: Sequence[str], value: Any) -> Plain:
    """The data with one value set; what does not change is shared with what was given."""
    name, *rest = parts
    return node | {name: _put(node[name], rest, value) if rest else value}


def _room(kept: dict[Any, Any]) -> dict[Any, Any]:
    """What is kept, with the oldest let go where it is full."""
    if len(kept) >= KEPT:
        del kept[next(iter(kept))]
    return kept
