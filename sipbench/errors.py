"""Mistakes a person can mend: said in one line, with exit code 2."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable


class UserError(Exception):
    """What was wrong, what was expected, and what to type next."""


def unknown(kind: str, name: str, known: Iterable[str], meant: str = "") -> UserError:
    """An unknown name: the nearest known one is suggested, or what is meant for sure, and all are listed.

    Capitals are small letters, and `a.b` is near to `a.c` as b is to c.
    """
    names = sorted(known)
    prefix = name[: name.rfind(".") + 1]
    ends = {each.removeprefix(prefix).lower(): each for each in names if each.startswith(prefix)}
    near = difflib.get_close_matches(name.removeprefix(prefix).lower(), ends, n=1, cutoff=0.5)
    hint = f" Did you mean {meant or ends[near[0]]}?" if meant or near else ""
    return UserError(f"unknown {kind} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


def of_launcher(error: BaseException) -> bool:
    """Whether a launcher raised it: submitit's signals among others, which no one else may swallow."""
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.split(".")[0] in ("submitit", "hydra_plugins") for name in (type(error).__module__, *frames[-1:]))
