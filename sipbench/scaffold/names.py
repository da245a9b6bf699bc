"""Names that a new thing may have."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from importlib.machinery import PathFinder
from pathlib import Path

from sipbench import configs
from sipbench.configs.yaml_file import value
from sipbench.errors import UserError


def fit(kind: str, name: str) -> str:
    """The name, refused where it cannot name a module and a function, or is taken."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,79}", name) or keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise UserError(
            f"{name!r} is no name for a {kind}: it names a file and a function, in small letters, digits and _, "
            "at most 80 of them, begins with a letter and is no word of Python's, as in my_idea"
        )
    if value(name) != name:
        raise UserError(f"{name!r} is no name for a {kind}: YAML reads it as {value(name)}. Choose another")
    if name in configs.names(kind) or (kind == "metric" and name in _metrics()):
        raise UserError(f"there is a {kind} {name!r} already: sipbench list {kind}s names them all")
    return name


def _metrics() -> list[str]:
    from sipbench.metrics import METRICS

    return list(METRICS)


def package(text: str) -> str:
    """A folder's or a distribution's name as that of a package, which hides no other."""
    plain = unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()
    name = re.sub(r"\W+", "_", plain).strip("_")
    taken = name in ("sipbench", "baselines", "tests") or _installed(name)
    if not re.match(r"[a-z]", name) or keyword.iskeyword(name) or taken:
        return f"my_{name}" if name else "my_sipbench"
    return name


def _installed(name: str) -> bool:
    """Whether Python, or what is installed, has a module of this name; what lies in this folder is not counted."""
    places = [place for place in sys.path if place and Path(place).resolve() != Path.cwd()]
    spec = PathFinder.find_spec(name, places) if name else None
    return name in sys.stdlib_module_names or bool(spec and spec.origin)


def words(name: str) -> str:
    """A name as a title."""
    return name.replace("_", " ").capitalize()


def camel(name: str) -> str:
    """A name as that of a class."""
    return "".join(part.capitalize() for part in name.split("_"))
