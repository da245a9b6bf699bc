"""What several kinds of YAML are made of: a node that is built, an address, a word out of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sipbench.configs.keys import key
from sipbench.errors import UserError, unknown

Settings = dict[str, Any]
Family = Literal["classical", "datarich", "diffusion", "single"]


@dataclass
class Node:
    """What is built: a `_target_`, and the options that it is called with."""

    options = True
    _target_: str | None = key("the function or class, package.module.name or path/to/file.py:name", required=True)


@dataclass
class Address:
    """Where `sipbench fetch` gets it: a model of the hub, or one file by its address."""

    hub: str | None = key("a model of the hub in diffusers format, owner/name")
    url: str | None = key("the address of a file: a prior's of guided-diffusion, a network's of its tensors")
    sha256: str | dict[str, str] | None = key("the hash of that file, or by the files' names those that are known")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Two addresses, none, or a hash of nothing."""
        if (node.get("hub") is None) == (node.get("url") is None):
            raise UserError(f"{where}: fetch says hub or url, one of the two")
        if node.get("sha256") is not None and node.get("url") is None:
            raise UserError(f"{where}: fetch.sha256 is that of the file at fetch.url")


def known(kind: str, name: Any, names: Iterable[str], where: str) -> None:
    """Refuse a name that is none of these."""
    names = list(names)
    if name not in names:
        raise UserError(f"{where}: {unknown(kind, str(name), names)}")
