"""One config file as plain data, without composing: for listing."""

from __future__ import annotations

from typing import Any

from sipbench.configs.find import find
from sipbench.configs.methods import complete


def read(group: str, name: str) -> dict[str, Any]:
    """The content of the file of a choice. A method's is made whole, as in a composed config (see methods.py)."""
    return complete(raw(group, name)) if group == "method" else raw(group, name)


def raw(group: str, name: str) -> dict[str, Any]:
    """What the file says, word for word."""
    import yaml

    return yaml.safe_load(find(group, name).read_text(encoding="utf-8")) or {}
