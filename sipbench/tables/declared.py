"""Reading what conf/table/*.yaml declares, and what was typed beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from sipbench import configs
from sipbench.errors import UserError, unknown
from sipbench.tables import measures
from sipbench.tables.place import is_partial
from sipbench.tables.published import Published
from sipbench.tables.spec import Row, TableSpec, Task, Theory

VIEWS = ("grid", "pairs", "strip", "by_image")
KEYS = ("title", "headings", "metrics", "seeds", "profiles", "rows")


def load(name: str, profile: str = "demo", overrides: Iterable[str] = ()) -> TableSpec:
    """A table by the name of its config.

    Overrides are those of a single run. dataset=, degradation=, method= and seed= with one or more values
    separated by commas take the place of the table's own; a list of methods keeps the table's order.
    """
    node, where = _checked(name), f"conf/table/{name}.yaml"
    if profile not in node["profiles"]:
        raise unknown(f"profile of table {name}", profile, node["profiles"])
    own = node["profiles"][profile] or {}
    overrides = tuple(overrides)
    axes, typed = _axes(overrides)
    rows = [_row(m, family, p) for family, methods in node["rows"].items() for m, p in (methods or {}).items()]
    if twice := [row.name for i, row in enumerate(rows) if row.name in {other.name for other in rows[:i]}]:
        raise UserError(f"{where} has two rows {twice[0]}: give one another name, with `method: ...`")
    published = Published.read(**node["published"]) if node.get("published") else Published({}, "", "", 0)
    for row in rows:
        if row.published is not None and row.published not in published.methods:
            raise unknown(f"published method in {where}", row.published, published.methods)
    parts = {
        "datasets": axes.get("dataset") or own.get("datasets"),
        "problems": _tasks(node | own, axes.get("degradation"), axes.get("seed") or own.get("seeds"), where),
        "rows": _rows(rows, axes.get("method") or own.get("only")),
    }
    for what in (what for what, found in parts.items() if not found):
        raise UserError(f"{where}: its profile {profile} names no {what}: it needs one or more")
    return TableSpec(
        name=name,
        title=node["title"],
        profile=profile,
        headings=node["headings"],
        measures=measures.declared(node, where),
        datasets=_choices("dataset", parts["datasets"]),
        tasks=parts["problems"],
        rows=parts["rows"],
        seeds=tuple(dict.fromkeys(_seed(s) for s in axes.get("seed") or own.get("seeds") or node["seeds"])),
        published=published,
        overrides=tuple(typed),
        notes=tuple(" ".join(line.split()) for part in (node, own) for line in part.get("notes") or ()),
        words=tuple(node.get("words") or ()) + tuple(own.get("words") or ()),
        views=_views(node, where),
        references=tuple(node.get("references") or ()),
        partial=is_partial(overrides),
    )


def names() -> list[str]:
    """Every table."""
    return configs.names("table")


def _checked(name: str) -> dict[str, Any]:
    node = configs.read("table", name)
    absent = [key for key in KEYS if not node.get(key)]
    absent += [] if node.get("degradations") or node.get("problems") else ["degradations"]
    if absent:
        raise UserError(f"conf/table/{name}.yaml has no {', '.join(absent)}; it needs {', '.join(KEYS)}")
    return node


def _row(name: str, family: str, said: Any) -> Row:
    """A row as it is declared: nothing, its name in the published file, or what else it is."""
    if not isinstance(said, Mapping):
        return Row(name, family, said)
    words = tuple(said.get("words") or ())
    method, part = said.get("method") or name, said.get("part") or ""
    per_problem = {problem: tuple(more) for problem, more in (said.get("per_problem") or {}).items()}
    t = said.get("theory")
    theory = Theory(t["does"], tuple(t.get("exact_on") or ()), t.get("why") or "") if t else None
    return Row(name, family, said.get("published"), method, said.get("title"), words, part, per_problem, theory)


def _axes(overrides: Iterable[str]) -> tuple[dict[str, list[str]], list[str]]:
    """What takes the place of the table's own choices, and all other overrides."""
    axes, typed = {}, []
    for override in overrides:
        key, _, value = override.partition("=")
        if key in ("dataset", "degradation", "method", "seed"):
            axes[key] = [word.strip() for word in value.split(",") if word.strip()]
        elif key == "profile":
            raise UserError(f"{override}: a table takes its profile by itself, not among the overrides")
        else:
            typed.append(override)
    for key, values in axes.items():
        if not values:
            raise UserError(f"{key}= names nothing: give one or more, separated by commas, or leave it out")
    return axes, typed


def _tasks(node: Mapping[str, Any], wanted: list[str] | None, seeds: list[Any] | None, where: str) -> dict[str, Task]:
    """The degradations, or the problems in their place, at every value of the sweep; or what is wanted of them.

    Of a problem that is swept its name wants all values. Seeds of the profile, or typed ones, hold for every problem.
    """
    sweep = node.get("sweep") or {}
    for key in (key for key, values in sweep.items() if not values):
        raise UserError(f"{where}: its sweep names no values of {key}: give one or more, or leave it out")
    if node.get("problems") is None:
        names = _choices("degradation", wanted if wanted and not sweep else node["degradations"])
        tasks = [Task(name, words=(f"degradation={name}",)) for name in names]
    else:
        tasks = [_task(name, said, seeds is None) for name, said in node["problems"].items()]
    found = {task.name: task for one in tasks for task in _swept(one, sweep)}
    known = {*found, *(task.of.name for task in found.values() if task.of)}
    for name in wanted or ():
        if name not in known:
            raise unknown("problem of this table", name, known)
    return {n: t for n, t in found.items() if wanted is None or {n, t.of.name if t.of else n} & set(wanted)}


def _task(name: str, said: Mapping[str, Any], own_seeds: bool) -> Task:
    """A problem as it is declared."""
    seeds = tuple(said.get("seeds") or ()) if own_seeds else ()
    words, dataset, against = tuple(said["words"]), said.get("dataset"), said.get("against")
    return Task(name, said.get("title"), words, dataset, against=against, seeds=seeds)


def _swept(task: Task, sweep: Mapping[str, list[Any]]) -> Iterable[Task]:
    """A problem at every combination of the values of a sweep."""
    for values in product(*sweep.values()):
        words = [f"{key}={value}" for key, value in zip(sweep, values, strict=True)]
        swept = dict(zip(_short(sweep), values, strict=True))
        said = ", ".join(f"{name} {value}" for name, value in swept.items())
        name = "-".join([task.name, *(f"{n}{v}" for n, v in swept.items())])
        title = task.title or (configs.read("degradation", task.name).get("title", task.name) if said else None)
        title = f"{title}, {said}" if said else title
        words = (*task.words, *words)
        yield replace(task, name=name, title=title, words=words, swept=swept, of=task if swept else None)


def _short(keys: Iterable[str]) -> list[str]:
    """The last parts of each key, as many as it takes to tell it from the others: `noise.sigma` is sigma by itself."""
    whole = [key.lstrip("+~").split(".") for key in keys]

    def tail(parts: list[str]) -> str:
        alone = (n for n in range(1, len(parts)) if sum(other[-n:] == parts[-n:] for other in whole) == 1)
        return ".".join(parts[-next(alone, len(parts)) :])

    return [tail(parts) for parts in whole]


def _views(node: Mapping[str, Any], where: str) -> tuple[str, ...]:
    from sipbench.tables import views

    for name in node.get("views") or ():
        if name not in views.names():
            raise unknown(f"view in {where}", name, views.names())
    return tuple(node.get("views") or VIEWS)


def _choices(group: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(configs.find(group, name).stem for name in dict.fromkeys(names))


def _rows(rows: list[Row], wanted: list[str] | None) -> tuple[Row, ...]:
    """The rows, or those that are wanted; a method that is not the table's own comes last."""
    if wanted is None:
        return tuple(rows)
    own = {row.name for row in rows} | {row.method for row in rows}
    for name in wanted:
        if ".py:" in name:
            raise UserError(f"{name} has no name to stand in a table: give it one by a YAML, see docs/tutorial.md")
        if name not in own and name not in configs.names("method"):
            raise unknown("method", name, {*own, *configs.names("method")})
    more = [Row(n, configs.read("method", n).get("family", "")) for n in dict.fromkeys(wanted) if n not in own]
    return tuple([row for row in rows if row.name in wanted or row.method in wanted] + more)


def _seed(text: object) -> int:
    try:
        return int(str(text))
    except ValueError as error:
        raise UserError(f"seed={text}: a seed is a whole number") from error
