"""The words of a command line as one thing: asked, parted and composed in one place.

    >>> words = Overrides(["method=dps,ddrm", "images=4", "+method.solver.steps=9"])
    >>> words.get("images"), words.get("seed", "0"), words.choices("method")
    ('4', '0', ['dps', 'ddrm'])
    >>> words.take("images")
    ('4', Overrides('method=dps,ddrm', '+method.solver.steps=9'))
    >>> list(words.without("method", "method."))
    ['images=4']
    >>> "method.solver.steps" in words.keys, words.below("method.solver.")
    (True, ['method.solver.steps'])

Wherever a list of words is wanted, an Overrides serves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

from sipbench.configs.compose import compose
from sipbench.configs.word import Word


class Overrides(Sequence[str]):
    """Words in the order that they were typed; where one key is said twice, the last counts."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self._words = tuple(words)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Overrides: ...
    def __getitem__(self, index: int | slice) -> str | Overrides:
        return self._words[index] if isinstance(index, int) else Overrides(self._words[index])

    def __len__(self) -> int:
        return len(self._words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and self._words == tuple(other)

    def __hash__(self) -> int:
        return hash(self._words)

    def __repr__(self) -> str:
        return f"Overrides({', '.join(map(repr, self._words))})"

    def __str__(self) -> str:
        return " ".join(self._words)

    def __add__(self, other: Iterable[str]) -> Overrides:
        return Overrides([*self._words, *other])

    @property
    def keys(self) -> list[str]:
        """What the words name, without `+`, `++` and `~`."""
        return [Word.of(text).key for text in self._words]

    @property
    def leaves(self) -> list[str]:
        """What the words set, option by option: `a={b: 1, c: 2}` sets a.b and a.c."""
        return [leaf for text in self._words for leaf in Word.of(text).leaves()]

    def below(self, prefix: str) -> list[str]:
        """The keys that begin with a prefix."""
        return [key for key in self.keys if key.startswith(prefix)]

    @overload
    def get(self, key: str) -> str | None: ...
    @overload
    def get(self, key: str, default: str) -> str: ...
    def get(self, key: str, default: str | None = None) -> str | None:
        """What the last word for a key says, without quotes."""
        return next((word.plain for word in self._of(key)), default)

    def choices(self, key: str) -> list[str]:
        """The values that the last word for a key names, parted by commas; none where there is no such word."""
        return next((word.choices for word in self._of(key)), [])

    @overload
    def take(self, key: str) -> tuple[str | None, Overrides]: ...
    @overload
    def take(self, key: str, default: str) -> tuple[str, Overrides]: ...
    def take(self, key: str, default: str | None = None) -> tuple[str | None, Overrides]:
        """What the last word for a key says, and the words without it."""
        return next((word.plain for word in self._of(key)), default), self.without(key)

    def without(self, *keys: str) -> Overrides:
        """The words that name none of these keys. One that ends with a point stands for all that is below it."""
        below = tuple(key for key in keys if key.endswith("."))
        kept = ((text, Word.of(text).key) for text in self._words)
        return Overrides(text for text, key in kept if key not in keys and not (below and key.startswith(below)))

    def compose(self, config: str = "config") -> Any:
        """The composed config."""
        return compose(list(self._words), config)

    def _of(self, key: str) -> Iterator[Word]:
        return (word for word in map(Word.of, reversed(self._words)) if word.key == key and word.value is not None)
