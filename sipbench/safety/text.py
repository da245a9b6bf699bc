"""What came from somewhere else, made safe to show: on a terminal, in Markdown, in CSV.

A reason, a device or a name in a stranger's results may hold anything; where it is shown it is text and no more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""Control characters but for the tab and the line's end, marks that turn the writing round, halves of characters."""
TAG = re.compile(r"<(?=[A-Za-z/!?])")
PIPE = re.compile(r"(\\*)\|")
DEFINED = re.compile(r"^((?:[>*+\s-]|\d+[.)])*)\[(?=.*\]:)")
"""How a definition of a link begins, in quotes and lists too."""
FORMULA = re.compile(r"[=+@\t\r-]")
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def visible(text: object) -> str:
    """Text without what a terminal would obey: an escape sequence loses its first character."""
    return HIDDEN.sub("\ufffd", str(text))


def line(text: object) -> str:
    """The same as one line."""
    return visible(" ".join(str(text).split()))


def counted(n: int, thing: str) -> str:
    """So many of a thing in words: 1 image, 8 images."""
    return f"{n:,} {thing}{'s' * (n != 1)}"


def are(n: int) -> str:
    """The verb of so many."""
    return "is" if n == 1 else "are"


def file_word(name: object) -> str:
    """A name as one word that every file system takes, and that leads to no other folder."""
    word = re.sub(r"^\.+|[^\w.+-]", "_", str(name))[:120]
    return word.encode()[:240].decode(errors="ignore") or "_"


def markdown(text: object) -> str:
    """One line of Markdown in which no HTML begins, and no link, picture or definition of one of the text's own."""
    return DEFINED.sub(r"\1\\[", TAG.sub("&lt;", line(text)).replace("](", r"]\("))


def table_row(cells: Sequence[str]) -> str:
    """A row of a Markdown table; a pipe in a cell does not end it, whatever stands before it."""
    return f"| {' | '.join(PIPE.sub(_held, markdown(cell)) for cell in cells)} |"


def _held(found: re.Match[str]) -> str:
    """A pipe that is text; backslashes before it stay what they are, so that none of them takes away its own."""
    return 2 * found[1] + r"\|"


def csv(frame: pd.DataFrame, digits: int | None = 6) -> str:
    """A frame as CSV, numbers to so many digits or, of None, as they are to the last bit.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    kept = frame.map(cell)  # pyright: ignore
    return kept.to_csv(index=False, float_format=f"%.{digits}g" if digits else None, lineterminator="\n")


def cell(value: Any) -> Any:
    """A value as it may stand in CSV."""
    if not isinstance(value, str):
        return value
    shown = visible(value)
    return f"'{shown}" if FORMULA.match(shown) and not NUMBER.fullmatch(shown) else shown
