"""One config file as plain data, without composing: for listing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sipbench.configs.find import find
from sipbench.configs.methods import complete
from sipbench.configs.schema import check_file
from sipbench.configs.tables import alike
from sipbench.configs.yaml_file import load


def read(group: str, name: str) -> dict[str, Any]:
    """The content of the file of a choice, checked. A method's or a table's is made whole."""
    return read_file(group, find(group, name))


def read_file(group: str, path: Path) -> dict[str, Any]:
    """The content of a file of a group; a mistake in it is said with the file and the nearest that is known."""
    node = load(path)
    check_file(group, node, str(path))
    whole = {"method": complete, "table": alike}
    return whole[group](node) if group in whole else node
