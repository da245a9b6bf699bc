"""Writing a new thing from the templates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import get_args

from sipbench.configs.nodes import Family
from sipbench.errors import UserError
from sipbench.scaffold.names import camel, fit, words
from sipbench.scaffold.place import Place

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("method", "degradation", "dataset", "metric", "table")
FAMILIES = get_args(Family)


@dataclass(frozen=True)
class Written:
    """What was written, and where."""

    place: Place
    files: list[Path]

    @property
    def test(self) -> Path:
        return self.files[-1]


def write(kind: str, name: str, *, here: Path, family: str = "classical", package: str | None = None) -> Written:
    """A thing of a kind: its code (a table has none), its YAML and its test. Nothing that is there is touched."""
    place = Place.of(here, package)
    name = fit(kind, name)
    if name == place.package:
        raise UserError(f"{name!r} is the package's own name: name the {kind} otherwise, or say --package NAME")
    code, module = place.code(kind, name, family)
    said = {"name": name, "Name": camel(name), "title": words(name), "module": module, "target": f"{module}.{name}"}
    said |= {"package": place.package or "", "distribution": (place.package or "").replace("_", "-")}
    files: dict[Path, str] = {}
    if place.fresh:
        files[place.root / "pyproject.toml"] = _text("pyproject.toml", said)
        files[place.root / "tests" / "conftest.py"] = _text("conftest.py", said)
        files[place.root / place.inside / "__init__.py"] = ""
    stem = f"method_{family}" if kind == "method" else kind
    if kind != "table":
        files[code] = _text(f"{stem}.py", said)
    files[place.yaml(kind, name)] = _text(f"{stem}.yaml", said)
    files[place.test(kind, name)] = _text(f"{kind}.test", said)
    there = [path for path in files if path.exists()]
    if there:
        raise UserError(f"{there[0]} is there already, and nothing was written: choose another name, or move it away")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Written(place, list(files))


def _text(template: str, said: dict[str, str]) -> str:
    return Template((TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")).substitute(said)
