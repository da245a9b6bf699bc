"""Reading what conf/table/*.yaml declares, and what was typed beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sipbench import configs
from sipbench.errors import UserError, unknown
from sipbench.tables.place import is_partial
from sipbench.tables.published import Published
from sipbench.tables.spec import Row, TableSpec, Task

KEYS = ("title", "headings", "metrics", "seeds", "profiles", "rows")


def load(name: str, profile: str = "demo", overrides: Iterable[str] = ()) -> TableSpec:
    """A table by the name of its config.

    Overrides are those of a single run. dataset=, degradation=, method= and seed= with one or more values
    separated by commas take the place of the table's own; a list of methods keeps the table's order.
    """
    node = _checked(name)
    if profile not in node["profiles"]:
        raise unknown(f"profile of table {name}", profile, node["profiles"])
    overrides = tuple(overrides)
    axes, typed = _axes(overrides)
    rows = [Row(m, family, p) for family, methods in node["rows"].items() for m, p in (methods or {}).items()]
    published = Published.read(**node["published"]) if node.get("published") else Published({}, "", "", 0)
    for row in rows:
        if row.published is not None and row.published not in published.methods:
            raise unknown(f"published method in conf/table/{name}.yaml", row.published, published.methods)
    return TableSpec(
        name=name,
        title=node["title"],
        profile=profile,
        headings=node["headings"],
        metrics=_metrics(name, node),
        datasets=_choices("dataset", axes.get("dataset") or node["profiles"][profile]["datasets"]),
        tasks=_tasks(node | node["profiles"][profile], axes.get("degradation")),
        rows=_rows(rows, axes.get("method")),
        seeds=tuple(_seed(s) for s in axes.get("seed") or node["seeds"]),
        published=published,
        overrides=tuple(typed),
        columns={heading: c["column"] for heading, c in (node.get("columns") or {}).items()},
        places={heading: c.get("places", 3) for heading, c in (node.get("columns") or {}).items()},
        notes=tuple(" ".join(line.split()) for line in node.get("notes") or ()),
        words=tuple(node.get("words") or ()) + tuple(node["profiles"][profile].get("words") or ()),
        partial=is_partial(overrides),
    )


def names() -> list[str]:
    """The tables of this kind: those about images."""
    return [name for name in configs.names("table") if "kind" not in configs.read("table", name)]


def _checked(name: str) -> dict[str, Any]:
    node = configs.read("table", name)
    absent = [key for key in KEYS if not node.get(key)]
    absent += [] if node.get("degradations") or node.get("problems") else ["degradations"]
    if absent:
        raise UserError(f"conf/table/{name}.yaml has no {', '.join(absent)}; it needs {', '.join(KEYS)}")
    return node


def _metrics(name: str, node: dict[str, Any]) -> dict[str, str]:
    """What the headings stand for under the naming that the table takes."""
    from sipbench.metrics import HEADINGS

    if node["headings"] not in HEADINGS:
        raise unknown(f"headings in conf/table/{name}.yaml", node["headings"], HEADINGS)
    known = HEADINGS[node["headings"]]
    for heading in node["metrics"]:
        if heading not in known:
            raise unknown(f"metric of the headings {node['headings']} in conf/table/{name}.yaml", heading, known)
    return {heading: known[heading] for heading in node["metrics"]}


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


def _tasks(node: dict[str, Any], wanted: list[str] | None) -> dict[str, Task]:
    """The degradations, or the problems that are declared in their place; what is wanted of them, or else all."""
    if node.get("problems") is None:
        chosen = _choices("degradation", wanted or node["degradations"])
        return {name: Task(name, words=(f"degradation={name}",)) for name in chosen}
    problems = node["problems"]
    for name in wanted or ():
        if name not in problems:
            raise unknown("problem of this table", name, problems)
    return {
        name: Task(name, entry.get("title"), tuple(entry["words"]), entry.get("dataset"))
        for name, entry in problems.items()
        if wanted is None or name in wanted
    }


def _choices(group: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(configs.find(group, name).stem for name in dict.fromkeys(names))


def _rows(rows: list[Row], wanted: list[str] | None) -> tuple[Row, ...]:
    """The rows, or those that are wanted; a method that is not the table's own comes last."""
    if wanted is None:
        return tuple(rows)
    own = [row.method for row in rows]
    for name in wanted:
        if name not in own and name not in configs.names("method"):
            raise unknown("method", name, {*own, *configs.names("method")})
    more = [Row(n, configs.read("method", n).get("family", ""), None) for n in dict.fromkeys(wanted) if n not in own]
    return tuple([row for row in rows if row.method in wanted] + more)


def _seed(text: object) -> int:
    try:
        return int(str(text))
    except ValueError as error:
        raise UserError(f"seed={text}: a seed is a whole number") from error
