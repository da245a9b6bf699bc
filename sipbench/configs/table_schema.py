"""What the YAML of a table may say."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sipbench.configs.find import choice, names, path_of
from sipbench.configs.keys import is_open, key
from sipbench.configs.nodes import Family
from sipbench.errors import UserError, unknown


@dataclass
class Published:
    """Where published numbers are."""

    file: str = key("the file below results/published", required=True)
    size: int = key("pixels along one side; only a table of this size stands on the same footing", required=True)
    source: str = key("who published them, and where")
    note: str = key("what else is to be known of them")


@dataclass
class Problem:
    """A degradation with what is changed of it."""

    title: str | None = key("how its sheet is headed, if not by the degradation's own title")
    dataset: str | None = key("the only dataset that it is for, if it is for one")
    against: str | None = key("the problem of the same images that the view `glance` holds it against")
    seeds: list[int] | None = key("the seeds that it averages, if not the table's")
    words: list[str] = key("the words of the command line that make it", required=True)


@dataclass
class Column:
    """A further column of the stored rows."""

    column: str = key("its name in the rows", required=True)
    places: int | None = key("decimals")
    better: Literal["higher", "lower"] | None = key("which way is better; without it nothing is compared")
    shared: bool | None = key("whether the images of a batch share one value")


@dataclass
class Theory:
    """What theory says of a sampler's draws."""

    does: Literal["samples", "other", "optimises"] = key(
        "samples the posterior, samples something else, or only optimises", required=True
    )
    exact_on: list[str] | None = key("the problems whose posterior it samples all the same")
    why: str | None = key("why")


@dataclass
class TableRow:
    """A row that is more than a method: with words of its own, or a part of what a method's cell stores."""

    method: str | None = key("the method's config, if it is not the row's own name")
    title: str | None = key("how it is printed, if not by the method's own title")
    published: str | None = key("its name in the published file")
    words: list[str] | None = key("words of the command line for its cells")
    part: str | None = key("its measures are read from the columns PART_measure: of a rule, of the mean of the draws")
    per_problem: dict[str, list[str]] | None = key("by problem, further words for its cells there")
    theory: Theory | None = key("what theory says of its draws, for the view of that name")


@dataclass
class TableProfile:
    """What differs under one profile."""

    datasets: list[str] | None = key("the datasets")
    problems: dict[str, Problem] | None = key("other problems of these names")
    sweep: dict[str, list[Any]] | None = key("other values of the sweep")
    only: list[str] | None = key("its rows, if not all of the table's")
    seeds: list[int] | None = key("other seeds, for every problem")
    notes: list[str] | None = key("what else is to be known of this profile, a paragraph each")
    words: list[str] | None = key("words of the command line for every cell")


@dataclass
class Table:
    """Problems × rows × measures, shown by views."""

    like: str | None = key("the table that it shares its cells with: what this file does not say is as there")
    title: str = key("the heading", required=True)
    headings: str = key("which variants of the metrics the headings stand for", required=True)
    metrics: list[str] = key("the headings", required=True)
    degradations: list[str] | None = key("the problems, where nothing is changed of them")
    problems: dict[str, Problem] | list[str] | None = key(
        "the problems, in the place of degradations; or the names of some of those of the table that it is like"
    )
    seeds: list[int] = key("the seeds that it averages", required=True)
    profiles: dict[str, TableProfile] = key("by profile, the datasets and what else differs", required=True)
    columns: dict[str, Column] | None = key("further columns, by heading")
    rows: dict[str, dict[str, TableRow | str | None]] = key(
        "by family, or all by headings of their own, the method's config and its name in the published file, or null, "
        "or what else a row is",
        required=True,
    )
    sweep: dict[str, list[Any]] | None = key("by a word of the command line, the values that make a problem each")
    views: list[str] | None = key("how it is shown: grid, pairs, ...; without it grid, pairs and strip")
    references: list[str] | None = key(
        "the rows that the view `tradeoff` asks of every trained one when it passes them"
    )
    published: Published | None = key("published numbers of the same setting")
    words: list[str] | None = key("words of the command line for every cell")
    notes: list[str] | None = key("what else is to be known, a paragraph each")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Names of tables, degradations, problems, datasets, profiles, families and methods that do not exist."""
        profiles = _whole(node.get("profiles"))
        _choices("table", [node["like"]] if node.get("like") else [], where)
        _choices("degradation", node.get("degradations"), where)
        _choices("profile", node.get("profiles"), where)
        problems = node.get("problems") or node.get("degradations") or []
        _against([node, *profiles], where)
        _families(node.get("rows") or {}, where)
        families = _whole(node.get("rows"))
        _methods(families, where)
        known = {name for rows in families for name in rows}
        for name in {n for part in (node, *profiles) for n in _named(part)} - known:
            raise UserError(f"{where}: {unknown('row', str(name), known)}")
        for row in (row for rows in families for row in _whole(rows)):
            exact = next((part.get("exact_on") or [] for part in _whole([row.get("theory")])), [])
            for name in [*exact, *(row.get("per_problem") or {})]:
                if name not in problems:
                    raise UserError(f"{where}: {unknown('problem', str(name), problems)}")
        for profile in profiles:
            _choices("dataset", profile.get("datasets"), where)


def _whole(parts: Any) -> list[Mapping[str, Any]]:
    """Those parts that are written out. A text, or a part that is left open, `???`, says nothing yet."""
    found = parts.values() if isinstance(parts, Mapping) else parts if isinstance(parts, list) else ()
    return [part for part in found if isinstance(part, Mapping)]


def _named(part: Mapping[str, Any]) -> list[str]:
    """The rows that a table, or a profile of it, names again."""
    return [name for key in ("references", "only") if isinstance(part.get(key), list) for name in part[key]]


def _families(rows: Mapping[str, Any], where: str) -> None:
    """Refuse what is no family, unless no heading is one, nor nearly one: then they are a table's own."""
    known = get_args(Family)
    own = [str(name) for name in rows if name not in known]
    if len(own) == len(rows):
        own = [name for name in own if _near(name, known)]
    for name in own:
        raise UserError(f"{where}: {unknown('family', name, known)}")


def _methods(families: list[Mapping[str, Any]], where: str) -> None:
    """Refuse a row without a solver, unless it has published numbers and no method is named nearly so."""
    for name, row in (pair for rows in families for pair in rows.items()):
        said = row if isinstance(row, Mapping) else {"published": row}
        method = str(said.get("method") or name)
        if is_open(method) or path_of("method", method) is not None:
            continue
        if not said.get("published") or _near(method, names("method")):
            choice("method", method, where)


def _near(name: str, known: Iterable[str]) -> bool:
    """Whether a name is one that is known, misspelt."""
    return bool(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75))


def _against(parts: list[Mapping[str, Any]], where: str) -> None:
    """Refuse a problem that is empty, or held against one that is not there. A list names another table's problems."""
    found = [part["problems"] for part in parts if isinstance(part.get("problems"), Mapping)]
    known = {name for problems in found for name in problems}
    for name in (name for problems in found for name, problem in problems.items() if problem is None):
        raise UserError(f"{where}: problems.{name} holds nothing: it needs words, those that make the problem")
    for problem in (problem for problems in found for problem in _whole(problems)):
        if problem.get("against") not in (None, *known):
            raise UserError(f"{where}: {unknown('problem', str(problem['against']), known)}")


def _choices(group: str, wanted: Any, where: str) -> None:
    for name in [] if isinstance(wanted, str) else wanted or []:
        choice(group, name, where)
