"""Mistakes a person can mend: said in one line, with exit code 2."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What was wrong, what was expected, and what to type next."""


def unknown(kind: str, name: str, known: Iterable[str], meant: str = "") -> UserError:
    """An unknown name: the nearest known one is suggested, or what is meant for sure, and all are listed.

    Capitals are small letters, and `a.b` is near to `a.c` as b is to c.
    """
    names = sorted(known)
    prefix = name[: name.rfind(".") + 1]
    ends = {each.removeprefix(prefix).lower(): each for each in names if each.startswith(prefix)}
    end = name.removeprefix(prefix).lower()
    near = difflib.get_close_matches(end, ends, n=max(1, len(ends)), cutoff=0.5)
    near = min(near, key=lambda other: _edits(end, other) / len(end + other), default="")
    hint = f" Did you mean {meant or ends[near]}?" if meant or near else ""
    return UserError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


@contextmanager
def noted(part: str) -> Iterator[None]:
    """What goes wrong inside carries the name of the part that it went wrong in, for `part_of`."""
    try:
        yield
    except Exception as error:
        vars(error).setdefault("sipbench_part", part)
        raise


def part_of(error: BaseException) -> str:
    """The part that an error was noted to come from, or nothing."""
    return getattr(error, "sipbench_part", "")


def _edits(one: str, other: str) -> int:
    """How many letters are put in or left out from one to the other; two neighbours that changed places count once."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for k, wanted in enumerate(other, 1):
            least = rows[-1][k - 1] if letter == wanted else 1 + min(rows[-1][k], row[-1])
            if i > 1 and k > 1 and one[i - 2 : i] == other[k - 2 : k][::-1]:
                least = min(least, 1 + rows[-2][k - 2])
            row.append(least)
        rows.append(row)
    return rows[-1][-1]


def of_launcher(error: BaseException) -> bool:
    """Whether a launcher raised it: submitit's signals among others, which no one else may swallow."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.split(".")[0] in ("submitit", "hydra_plugins") for name in (type(error).__module__, *frames[-1:]))
