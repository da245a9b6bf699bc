"""A table that is like another: what its file does not say is as there."""

from __future__ import annotations

from typing import Any

from sipbench.configs.find import find
from sipbench.configs.yaml_file import load
from sipbench.errors import UserError, unknown


def alike(node: dict[str, Any]) -> dict[str, Any]:
    """A table made whole. It may name some of the other's problems in a list."""
    name = node.get("like")
    if not name:
        return node
    other = load(find("table", name))
    if other.get("like"):
        raise UserError(f"table {name} is itself like {other['like']}: be like that one")
    if isinstance(chosen := node.get("problems"), list):
        for problem in chosen:
            if problem not in other["problems"]:
                raise unknown(f"problem of table {name}", str(problem), other["problems"])
        node = node | {"problems": {problem: other["problems"][problem] for problem in chosen}}
    return other | node
