"""One config file as plain data, without composing: for listing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sipbench.configs.find import find
from sipbench.configs.methods import complete
from sipbench.configs.schema import check_file
from sipbench.configs.tables import alike
from sipbench.configs.yaml_file import load
from sipbench.errors import UserError

NAMED = ("method", "degradation", "dataset", "prior")  # what results are named after


def read(group: str, name: str) -> dict[str, Any]:
    """The content of the file of a choice, checked. A method's or a table's is made whole.

    What results go by bears the name of its file; a prior that is another under a further name need not say its own.
    """
    path = find(group, name)
    node = read_file(group, path)
    own = node.get("name")
    if group in NAMED and own != path.stem and not (group == "prior" and own is None):
        said = "it says no name" if own is None else f"its name is {own!r}, and its file is {path.name}"
        raise UserError(f"{path}: {said}: results go by the name, so write `name: {path.stem}`")
    return node


def read_file(group: str, path: Path) -> dict[str, Any]:
    """The content of a file of a group; a mistake in it is said with the file and the nearest that is known."""
    node = load(path)
    check_file(group, node, str(path))
    whole = {"method": complete, "table": alike}
    return whole[group](node) if group in whole else node
