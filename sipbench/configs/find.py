"""Where the configs lie, and what they are called."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from sipbench.errors import UserError, unknown

PACKAGE = Path(__file__).resolve().parents[1]


@cache
def root() -> Path:
    """The folder of configs: inside the installed package, or at the top of a checkout."""
    for folder in (PACKAGE / "conf", PACKAGE.parent / "conf"):
        if (folder / "config.yaml").is_file():
            return folder
    raise UserError("the configs are missing: reinstall sipbench")


@cache
def plugin_folders() -> tuple[Path, ...]:
    """The config folders of installed packages with an entry point in the group `sipbench.plugins`.

    The entry point names the package (or module) whose `conf` folder holds them; it is found without importing it.
    """
    folders = []
    for point in entry_points(group="sipbench.plugins"):
        spec = importlib.util.find_spec(point.value.split(":")[0].split(".")[0])
        places = list(spec.submodule_search_locations or []) if spec else []
        below = point.value.split(":")[0].split(".")[1:]
        folders += [Path(place, *below, "conf") for place in places]
    return tuple(folder for folder in folders if folder.is_dir())


def folders() -> Iterator[Path]:
    """The project's own folder of configs, then those of plugins."""
    yield root()
    yield from plugin_folders()


def names(group: str) -> list[str]:
    """Every choice of a config group."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("*.yaml")})


def path_of(group: str, name: str) -> Path | None:
    """The file of a choice; the project's own comes before a plugin's. None where there is none, or leads elsewhere."""
    if name.startswith("/") or ".." in name.split("/"):
        return None
    places = (folder / group / f"{name}.yaml" for folder in folders())
    return next((path for path in places if path.is_file()), None)


def find(group: str, name: str) -> Path:
    """The file of a choice, or an error that suggests the nearest."""
    path = path_of(group, name)
    if path is None:
        raise unknown(group, name, names(group))
    return path


def choice(group: str, name: object, where: str) -> None:
    """Refuse a name that is no choice of a group; `where` says where it stands."""
    if not isinstance(name, str) or path_of(group, name) is None:
        raise UserError(f"{where}: {unknown(group, str(name), names(group))}")


def is_file_target(text: str) -> bool:
    """Whether a method is named as `path/to/file.py:function`."""
    return ".py:" in text
