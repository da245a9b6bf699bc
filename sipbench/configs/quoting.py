"""Quotes where Hydra's grammar needs them, so that a path can be typed as it is."""

from __future__ import annotations

import re

READABLE = re.compile(r"[\w /+.$%*@?|:\\-]*", re.ASCII)  # what the grammar takes without quotes
ITSELF = re.compile(
    r"\w+\(.*\)|.*[][{}\"].*|'.*'|.*\$\{.*", re.ASCII | re.DOTALL
)  # a function, a list, quotes of one's own


def quoted(word: str) -> str:
    """`key=value` with the value in quotes where it holds letters such as ü, brackets or a second equals sign.

    A comma still parts the values of a sweep. Lists, functions and quotes of one's own are left alone.
    """
    key, equals, value = word.partition("=")
    if not equals or ITSELF.fullmatch(value):
        return word
    return f"{key}={','.join(_quoted(piece) for piece in value.split(','))}"


def _quoted(text: str) -> str:
    if READABLE.fullmatch(text):
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    ends = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{escaped[len(escaped) - ends :]}'"
