"""One word of a command line: `key=value`, `+key=value`, `++key=value` or `~key`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sipbench.errors import UserError

MARKS = "+~"
BRACKETS = {"[": "]", "{": "}", "(": ")"}


@dataclass(frozen=True)
class Word:
    """A word as it was typed.

    Attributes:
        mark: what stands before the key: "", "+", "++" or "~".
        value: what stands after the first equals sign; None where there is none.
    """

    mark: str
    key: str
    value: str | None

    @classmethod
    def of(cls, text: str) -> Word:
        name, equals, value = text.partition("=")
        key = name.lstrip(MARKS)
        return cls(name[: len(name) - len(key)], key, value if equals else None)

    def check(self) -> None:
        """Refuse a word that sets nothing and takes nothing out."""
        if (self.value is None and "~" not in self.mark) or not self.key:
            value = "" if self.value is None else f"={self.value}"
            raise UserError(
                f"unknown word {self.mark + self.key + value!r}: options are key=value, such as degradation=sr4"
            )

    @property
    def plain(self) -> str:
        """The value without quotes and backslashes of its own."""
        text = (self.value or "").strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        return text.replace("\\", "")

    @property
    def choices(self) -> list[str]:
        """The values of a sweep that is typed with commas, `a,b`; a comma in brackets or quotes parts nothing."""
        found, depth, quote = [""], 0, ""
        for letter in self.value or "":
            if letter == "," and not depth and not quote:
                found.append("")
                continue
            if letter in "'\"":
                quote = "" if quote == letter else quote or letter
            elif not quote:
                depth += (letter in BRACKETS) - (letter in BRACKETS.values())
            found[-1] += letter
        return [text for text in (Word("", "", part).plain for part in found) if text]

    def leaves(self) -> Iterator[str]:
        """The keys that the word sets: `a={b: 1, c: 2}` sets a.b and a.c."""
        if (self.value or "").lstrip().startswith("{"):
            yield from _leaves(self.key, _mapping(f"{self.key}={self.value}"))
        else:
            yield self.key


def _leaves(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}", inner)
    else:
        yield key


def _mapping(text: str) -> Any:
    """The value of a word as Hydra's grammar reads it."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(text).value()
    except HydraException as error:
        raise UserError(f"{text} cannot be read: {' '.join(str(error).split()).split(' See https:')[0]}") from error
