"""Where new files go: into a checkout of sipbench, or into a package of one's own."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sipbench.errors import UserError
from sipbench.scaffold.names import package

GROUP = "sipbench.plugins"
ROOMS = {"degradation": "operators", "dataset": "datasets", "metric": "metrics", "table": "tables"}


@dataclass(frozen=True)
class Place:
    """A project to write into.

    Attributes:
        root: its folder.
        package: of a plugin, its package; of a checkout of sipbench, None.
        inside: the folder of that package.
        fresh: whether the plugin is still to be made.
    """

    root: Path
    package: str | None = None
    inside: Path = Path()
    fresh: bool = False

    @classmethod
    def of(cls, here: Path, wanted: str | None = None) -> Place:
        """That of a working folder; `wanted` is the name of a package that is still to be made."""
        for folder in (here, *here.parents):
            if (folder / "sipbench" / "problem.py").is_file() and (folder / "conf" / "config.yaml").is_file():
                return cls(folder)
        project = here / "pyproject.toml"
        if not project.is_file():
            name = package(wanted or here.name)
            return cls(here, name, Path(name), fresh=True)
        name = _plugin_of(project)
        if wanted is not None and name not in (wanted, package(wanted)):
            raise UserError(f"the package of this folder is {name}, as {project} says: leave out --package {wanted}")
        places = [Path(*name.split(".")), Path("src", *name.split("."))]
        inside = next((place for place in places if (here / place).is_dir()), None)
        if inside is None:
            raise UserError(f"{project} says that the plugin is {name!r}, and there is no folder {places[0]}")
        return cls(here, name, inside)

    def code(self, kind: str, name: str, family: str) -> tuple[Path, str]:
        """The file of a thing's code, and its module."""
        if self.package is not None:
            return self.root / self.inside / f"{name}.py", f"{self.package}.{name}"
        room = Path("baselines", family) if kind == "method" else Path("sipbench", ROOMS[kind])
        return self.root / room / f"{name}.py", ".".join((*room.parts, name))

    def yaml(self, kind: str, name: str) -> Path:
        return self.root / (self.inside if self.package is not None else Path()) / "conf" / kind / f"{name}.yaml"

    def test(self, kind: str, name: str) -> Path:
        room = Path() if self.package is not None else Path("baselines" if kind == "method" else ROOMS[kind])
        return self.root / "tests" / room / f"test_{name}.py"


def _plugin_of(project: Path) -> str:
    """The package that the project's entry point names."""
    try:
        said = tomllib.loads(project.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{project} cannot be read: {error}") from error
    points: Any = said
    for name in ("project", "entry-points", GROUP):
        points = points.get(name) if isinstance(points, dict) else None
    if not (isinstance(points, dict) and points and all(isinstance(named, str) for named in points.values())):
        raise UserError(
            f'{project} names no plugin: add the lines [project.entry-points."{GROUP}"] and mine = "your_package", or '
            "go to a folder without a pyproject.toml"
        )
    return next(iter(points.values())).split(":")[0]
