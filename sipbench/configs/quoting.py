"""Quotes where Hydra's grammar needs them, so that a path can be typed as it is."""

from __future__ import annotations

import re

from sipbench.errors import UserError

READABLE = re.compile(r"[\w /+.$%*@?|:\\-]*", re.ASCII)  # what the grammar takes without quotes
BARE = set("[]{}\"'")
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


def unreadable(word: str, error: Exception) -> UserError:
    """What Hydra's grammar could not read, and how it is written where quotes of one's own are needed."""
    if word.startswith("-"):
        return UserError(f"unknown flag {word}: options are key=value, without dashes, such as size=64")
    why = " ".join(str(error).split()).split(" See https:")[0]
    why = "" if "Exception:" in why else f": {why}"
    key, _, value = word.partition("=")
    if not BARE & set(value) and not all(part.strip() for part in value.split(",")):
        return UserError(f"{word} cannot be read: a value is missing beside a comma")
    hint = (
        f"; a value that holds brackets or quotes stands in quotes of its own: {key}='...'" if BARE & set(value) else ""
    )
    return UserError(f"{word} cannot be read{why}{hint}")


def _quoted(text: str) -> str:
    if READABLE.fullmatch(text):
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    ends = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{escaped[len(escaped) - ends :]}'"
