"""Where the configs lie, and what they are called."""

from __future__ import annotations

import importlib.util
import sys
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
    One that cannot be found costs a line on standard error, and all else goes on.
    """
    folders = []
    for point in sorted(entry_points(group="sipbench.plugins"), key=lambda point: (point.name, point.value)):
        package = point.value.split(":")[0]
        found = _conf_of(package)
        if found is None:
            why = f"there is no folder conf in a package {package!r}, which its entry point names"
            _say(f"the plugin {point.name!r} is passed over: {why}")
        else:
            folders.append(found)
    return tuple(dict.fromkeys(folders))


def _conf_of(package: str) -> Path | None:
    """The folder `conf` of a package, which is not imported; None where there is none."""
    head, *below = package.split(".")
    try:
        spec = importlib.util.find_spec(head)
    except (ImportError, ValueError):
        return None
    places = (Path(place, *below, "conf") for place in (spec.submodule_search_locations or () if spec else ()))
    return next((place for place in places if place.is_dir()), None)


_plugged: dict[Path, None] = {}  # in the order that they came


def plug_in(package: str | Path) -> None:
    """Use the configs of a package in this process, whether or not it is installed: its folder, or its name."""
    place = Path(package).resolve()
    if place.is_dir():
        if str(place.parent) not in sys.path:
            sys.path.insert(0, str(place.parent))
        folder = place / "conf" if (place / "conf").is_dir() else None
    else:
        folder = _conf_of(str(package))
    if folder is None:
        raise UserError(f"there is no folder conf in {package}: a plugin keeps its configs there")
    if folder not in plugin_folders():
        _plugged[folder] = None


def folders() -> Iterator[Path]:
    """The project's own folder of configs, then those of plugins."""
    yield root()
    yield from plugin_folders()
    yield from _plugged


def names(group: str) -> list[str]:
    """Every choice of a config group. What editors and systems hide beside a file is none."""
    files = (path for folder in folders() for path in (folder / group).glob("[!.]*.yaml"))
    return sorted({path.stem for path in files if path.is_file()})


def path_of(group: str, name: str) -> Path | None:
    """The file of a choice; the project's own comes before a plugin's. None where there is none, or leads elsewhere."""
    if name.startswith("/") or ".." in name.split("/"):
        return None
    return next(iter(_files(group, name)), None)


def _files(group: str, name: str) -> list[Path]:
    return [path for folder in folders() if (path := folder / group / f"{name}.yaml").is_file()]


def find(group: str, name: str) -> Path:
    """The file of a choice, or an error that suggests the nearest.

    The project's own comes before a plugin's, and that is said in a line; of two plugins' neither is taken.
    """
    found = _files(group, name)
    if not found:
        raise absent(group, name)
    if len(found) > 1 and not found[0].is_relative_to(root()):
        raise UserError(
            f"two plugins have a {group} {name!r}: {found[0]} and {found[1]}. Uninstall one, or rename its file and "
            "the `name` in it"
        )
    for other in found[1:]:
        _say(f"{other} is passed over: sipbench has a {group} {name!r} of its own; rename the plugin's")
    return found[0]


def absent(group: str, name: str) -> UserError:
    """That a choice is not there: the nearest, or of a file that a function of it is to be named."""
    if group == "method" and name.endswith(".py"):
        return UserError(f"which function of {name}? A method of your own is named as {name}:function")
    return unknown(group, name, names(group))


@cache
def _say(line: str) -> None:
    """A line on standard error, once a process."""
    print(f"sipbench: {line}", file=sys.stderr)


def choice(group: str, name: object, where: str) -> None:
    """Refuse a name that is no choice of a group; `where` says where it stands."""
    if not isinstance(name, str) or path_of(group, name) is None:
        raise UserError(f"{where}: {unknown(group, str(name), names(group))}")


def is_file_target(text: str) -> bool:
    """Whether a method is named as `path/to/file.py:function`."""
    return ".py:" in text
