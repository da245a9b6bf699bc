"""The documentation names what there is, and its links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest

from sipbench import noise
from tests import listed

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "degradations.md").read_text(encoding="utf-8")
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = {
    title.rstrip("/").split(",")[0]: text
    for title, text in re.findall(r"^### sipbench/(\S*)[^\n]*\n(.*?)(?=^##)", MAP, re.MULTILINE | re.DOTALL)
}
MODULES = [p.relative_to(ROOT / "sipbench") for p in sorted((ROOT / "sipbench").rglob("*.py"))]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MODELS = [
    n
    for n, c in vars(noise).items()
    if isinstance(c, type) and issubclass(c, noise.Model) and c not in (noise.Model, noise.Intensity)
]


@pytest.mark.parametrize("name", [*listed.DEGRADATIONS, *MODELS])
def test_the_list_of_degradations_is_whole(name):
    assert f"`{name}`" in TEXT


@pytest.mark.parametrize("module", [p for p in MODULES if p.name != "__init__.py"], ids=str)
def test_the_map_names_every_module_in_its_room(module):
    room = module.parent.as_posix() if len(module.parts) > 1 else ""
    title = f"### sipbench/{room}/" if room else "### sipbench/ itself"
    assert f"`{module.name}`" in ROOMS.get(room, ""), f"name `{module.name}` in docs/architecture.md, under {title}"


def test_the_map_names_no_module_that_is_not_there():
    named = {(room, name) for room, text in ROOMS.items() for name in re.findall(r"`(\w+\.py)`", text)}
    there = {(p.parent.as_posix() if len(p.parts) > 1 else "", p.name) for p in MODULES}
    assert named - there == set(), "docs/architecture.md names what is not in sipbench/"


def test_the_map_shows_the_floors_that_are_held():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (floors,) = (c["layers"] for c in settings["tool"]["importlinter"]["contracts"] if c["type"] == "layers")
    shown = "".join(f"    {floor.replace('sipbench.', '')}\n" for floor in floors)
    assert f"\n\n{shown}\n" in MAP


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_files_that_are_named_are_there(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:sipbench|baselines|conf|tests|docs|benchmarks|results/demo)/[\w/.-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists() and not _pattern(name)] == []


def _pattern(name):
    """baselines/FAMILY/NAME.py stands for any."""
    return any(part.split(".")[0].removeprefix("test_").isupper() for part in name.split("/"))
