"""A solver made elsewhere, described by a node: built when what it is made of is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sipbench import configs
from sipbench.errors import UserError


class Part:
    """Calling it builds the node `of`, with the nodes within it.

    A text in the node that is one of the words it is called with, as `prior` or `sigma`, stands for what that means.
    """

    def __init__(self, of: Mapping[str, Any]) -> None:
        if not isinstance(of, Mapping) or "_target_" not in of:
            raise ValueError(f"of names a class, as in {{_target_: package.module.Class}}, not {of!r}")
        self.of = dict(of)

    def __call__(self, words: Mapping[str, Any] | None = None, **extra: Any) -> Any:
        try:
            return configs.assembled(self.of, words, **extra)
        except (TypeError, AttributeError, AssertionError, OSError) as error:
            raise UserError(f"{self.of['_target_']}: {' '.join(str(error).split())[:300]}") from error
