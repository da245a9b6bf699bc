"""What choices compose to, kept with its references open, and the words that are set in it afterwards."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

from sipbench.configs.by_hydra import resolvers
from sipbench.configs.find import find, folders, is_file_target
from sipbench.configs.quoting import quoted
from sipbench.configs.read import read
from sipbench.configs.word import Word
from sipbench.errors import UserError

Plain = dict[str, Any]
KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
REACH = re.compile(r"\$\{[^{}:]*\$\{|oc\.select:\s*\$\{")  # a reference whose name is itself looked up
ASKED = re.compile(r"\$\{([\w.]+):")
KNOWN = {"channels", "kind", "divide", "oc.select", "oc.env", "now"}
"""Resolvers that look at nothing but what they are given."""
KEPT = 4096  # words and folders that are held at a time
PUT_IN = ("method", "degradation")  # groups no default of another group depends on


def exchanged(cfg: Any, **parts: Any) -> Any:
    """A composed config with other parts; what refers to them follows."""
    from omegaconf import open_dict

    cfg = copy.copy(cfg)
    with open_dict(cfg):
        cfg.update(parts)
    return cfg


def plain(cfg: Any) -> Plain:
    """A composed config as plain data, everything resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    resolvers()
    try:
        return OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)  # pyright: ignore
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error


class Base:
    """A composed config whose references are still open."""

    def __init__(self, cfg: Any) -> None:
        self._cfg = cfg
        self._resolved: dict[tuple[str, ...], Plain] = {}

    @cached_property
    def cfg(self) -> Any:
        return self._cfg

    @cached_property
    def raw(self) -> Plain:
        from omegaconf import OmegaConf

        return OmegaConf.to_container(self.cfg, resolve=False)  # pyright: ignore

    def resolved(self, *texts: str) -> Plain:
        """With these words put in, as plain data, everything resolved. It is kept, and not to be changed."""
        if texts not in self._resolved:
            room(self._resolved, KEPT)[texts] = self._resolve(*texts)
        return self._resolved[texts]

    def _resolve(self, *texts: str) -> Plain:
        return plain(self.changed(texts) if texts else self.cfg)

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
        """Whether Hydra has to set this word: a reference may look at it, what it replaces is open, or it is added."""
        parts = Word.of(text).key.split(".")
        added = bool(Word.of(text).mark)
        old = _at(self.raw, parts[:1] if added else parts)
        if isinstance(old, dict | list) and not added:
            raise TypeError(f"{text} replaces a part as a whole")
        is_open = isinstance(old, str) and ("${" in old or old == "???")
        return added or self.dark or is_open or not self.named.isdisjoint(parts)

    def changed(self, texts: Sequence[str]) -> Any:
        """The config with these words put in as Hydra does it."""
        from hydra._internal.config_loader_impl import ConfigLoaderImpl

        cfg = copy.deepcopy(self.cfg)
        ConfigLoaderImpl._apply_overrides_to_config([override_of(text) for text in texts], cfg)
        return cfg


class Filled(Base):
    """Another with a method or a degradation put in; the whole is only put together when it is asked for."""

    def __init__(self, rest: Base, nodes: Mapping[str, Plain]) -> None:
        super().__init__(None)
        self._rest, self._nodes = rest, nodes

    @cached_property
    def cfg(self) -> Any:
        return exchanged(self._rest.cfg, **self._nodes)

    @cached_property
    def raw(self) -> Plain:
        return {**self._rest.raw, **self._nodes}

    def _resolve(self, *texts: str) -> Plain:
        """A part that refers to nothing, and that nothing refers to, is laid into what is resolved without it."""
        touched = {Word.of(text).key.split(".")[0] for text in texts}
        alone = {n: node for n, node in self._nodes.items() if n not in touched and self._stands_alone(n, node)}
        if not alone:
            return super()._resolve(*texts)
        others = {name: node for name, node in self._nodes.items() if name not in alone}
        return {**(Filled(self._rest, others) if others else self._rest).resolved(*texts), **alone}

    def _stands_alone(self, name: str, node: Plain) -> bool:
        seen = self.dark or name in self.named or name not in self._rest.raw
        return not seen and not any("${" in text or text == "???" for text in _texts(node))


def parts_of(choices: Sequence[str]) -> dict[str, str]:
    """The method and the degradation that are chosen, where no other word touches them."""
    named = {}
    for group in PUT_IN:
        own = [word for word in map(Word.of, choices) if word.key.startswith(group)]
        if [(word.mark, word.key) for word in own] == [("", group)]:
            named[group] = own[0].plain
    return named


def node_of(group: str, name: str) -> Plain | None:
    """A choice that can be put into what was composed without it; None of one that cannot."""
    text = "defaults:" if is_file_target(name) else find(group, name).read_text(encoding="utf-8")
    own = re.search(r"^defaults:|@package", text, re.MULTILINE)
    return None if own else read(group, name)


def parted(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The words that choose, add or take away, and those that set one value each and can wait until that is done."""
    waiting = [text for text in words if _sets_a_value(text)]
    keys = [Word.of(text).key for text in waiting]
    alone = {text for text, key in zip(waiting, keys, strict=True) if sum(_within(key, other) for other in keys) == 1}
    waiting = [text for text in waiting if text in alone or not Word.of(text).mark]
    others = [text for text in words if text not in waiting]
    keys = [Word.of(text).key for text in others if not _chooses(text)]
    late = [text for text in waiting if not any(_within(Word.of(text).key, key) for key in keys)]
    return tuple(text for text in words if text not in late), late


def _chooses(text: str) -> bool:
    word = Word.of(text)
    return _is_group(word.key) and not (word.value or "").lstrip().startswith("{")


def _sets_a_value(text: str) -> bool:
    word = Word.of(text)
    if word.value is None or not KEY.fullmatch(word.key) or word.key.split(".")[0] == "hydra":
        return False
    if word.mark and (word.mark not in ("+", "++") or "." not in word.key):
        return False
    if _is_group(word.key) or "${" in word.value or "hydra" in word.value or word.plain == "???":
        return False
    return not override_of(text).is_sweep_override() and isinstance(value_of(text), str | int | float | None)


@lru_cache(KEPT)
def override_of(text: str) -> Any:
    """A word as Hydra reads it."""
    return _parser().parse_override(quoted(text))


@cache
def _parser() -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create()


def value_of(text: str) -> Any:
    return override_of(text).value()


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


def room(kept: dict[Any, Any], most: int) -> dict[Any, Any]:
    """What is kept, with the oldest let go where it is full."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
    return kept
