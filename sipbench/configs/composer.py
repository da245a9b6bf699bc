"""Configs of many lists of words, each as `compose` makes it, at a small part of the cost.

Hydra composes what the choices say once (a method and a degradation are then put in), and the values are set
afterwards, as Hydra itself does it. A value that no reference of the config can reach, such as a seed, is set in the
plain data. Whatever this does not understand is left to `compose`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sipbench.configs.base import Base, Filled, Plain, node_of, parted, parts_of, plain, room, value_of
from sipbench.configs.compose import compose
from sipbench.configs.word import Word
from sipbench.errors import UserError

KEPT = 4096  # configs that are held at a time


@dataclass
class Composer:
    """Composes many; what it has composed it keeps.

    >>> composer = Composer()
    >>> [composer.plain(["method=dip", f"seed={seed}"])["seed"] for seed in (0, 1)]
    [0, 1]

    What it returns is shared: it is not to be changed.
    """

    _bases: dict[Any, Base] = field(default_factory=dict)
    _nodes: dict[tuple[str, str], Plain | None] = field(default_factory=dict)

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
        found = base.resolved(*bound)
        for text in values:
            if text not in bound:
                found = _put(found, Word.of(text).key.split("."), value_of(text))
        return found

    def _base(self, choices: tuple[str, ...]) -> Base:
        """The choices composed: a method and a degradation are put into the rest, where nothing else touches them."""
        if choices not in self._bases:
            room(self._bases, KEPT)[choices] = self._filled(choices) or Base(compose(list(choices)))
        return self._bases[choices]

    def _filled(self, choices: tuple[str, ...]) -> Base | None:
        for group, name in parts_of(choices).items():
            if node := self._node(group, name):
                rest = tuple(text for text in choices if Word.of(text).key != group)
                return Filled(self._base(rest), {group: node})
        return None

    def _node(self, group: str, name: str) -> Plain | None:
        """As `node_of`, read once."""
        if (group, name) not in self._nodes:
            self._nodes[group, name] = node_of(group, name)
        return self._nodes[group, name]


def _put(node: Plain, parts: Sequence[str], value: Any) -> Plain:
    """The data with one value set; what does not change is shared with what was given."""
    name, *rest = parts
    return node | {name: _put(node[name], rest, value) if rest else value}
