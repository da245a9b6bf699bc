"""`sipbench list`: what there is of each kind, by name."""

from __future__ import annotations

import json
import sys
from typing import Any

from sipbench import configs
from sipbench.errors import UserError, unknown

HELP = """\
sipbench list WHAT [--json]     every choice of a kind, one a line, with what it says of itself; a method with how it
                                stands to its public code
sipbench list schema KIND       what a YAML of that kind may say: method, degradation, dataset, prior, table, ...

  WHAT      methods, degradations, noises, datasets, priors, probes, profiles, recipes, launchers, tables or metrics
  --json    the same as data; a degradation with what its operator says of itself

Example:  sipbench list methods
"""
GROUPS = {
    "methods": "method",
    "degradations": "degradation",
    "noises": "noise",
    "datasets": "dataset",
    "priors": "prior",
    "probes": "probe",
    "profiles": "profile",
    "recipes": "recipe",
    "launchers": "launcher",
    "tables": "table",
}


def main(words: list[str]) -> int:
    """Print the list. A file that cannot be read costs a line on standard error, and the others are listed."""
    names = [w for w in words if not w.startswith("-")]
    if names[:1] == ["schema"]:
        return _schema(names[1:])
    kinds = [*GROUPS, "metrics"]
    if len(names) != 1:
        raise UserError(f"list what? sipbench list {'|'.join(kinds)} [--json]")
    if names[0] not in kinds:
        raise unknown("list", names[0], kinds)
    for flag in words:
        if flag.startswith("-") and flag != "--json":
            raise UserError(f"unknown flag {flag}: sipbench list {names[0]} [--json]")
    if names[0] == "metrics":
        return _metrics("--json" in words)
    group = GROUPS[names[0]]
    entries = {name: node for name in configs.names(group) if (node := _read(group, name)) is not None}
    if "--json" in words:
        known = [facts for name, node in entries.items() if (facts := _facts(group, name, node)) is not None]
        print(json.dumps(known, indent=2, ensure_ascii=False))
        return 0
    width = max(map(len, entries), default=0)
    for name, node in entries.items():
        about = [node.get(k) for k in ("title", "family", "citation", "protocol") if node.get(k)]
        about += [_stands(node["parity"])] if group == "method" and node.get("parity") else []
        print(f"{name:<{width}}  {'; '.join(map(str, about))}".rstrip())
    return 0


def _stands(parity: dict[str, Any]) -> str:
    """How a method stands to its public code, in words."""
    if parity["verdict"] == "equal":
        return f"equals {parity['code']} to {parity['within']:g}"
    return f"departs from {parity['code']}: {parity['note']}" if parity["verdict"] == "departs" else "no public code"


def _metrics(as_data: bool) -> int:
    """Every metric: its heading, which way is up, and what it lacks here."""
    from sipbench.metrics import METRICS, available

    entries = [
        {
            "name": name,
            "title": m.title,
            "unit": m.unit,
            "best": {True: "high", False: "low", None: "in between"}[m.higher_is_better],
            "lacks": lacks,
        }
        for name, m in METRICS.items()
        for lacks in [available(name)]
    ]
    if as_data:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
        return 0
    width = max(len(entry["name"]) for entry in entries)
    for entry in entries:
        about = [" ".join(filter(None, (entry["title"], entry["unit"]))), f"best is {entry['best']}", entry["lacks"]]
        print(f"{entry['name']:<{width}}  {'; '.join(filter(None, about))}")
    return 0


def _schema(kinds: list[str]) -> int:
    """What the files of one kind may say."""
    from sipbench.configs.describe import describe
    from sipbench.configs.schema import KINDS

    if len(kinds) != 1:
        raise UserError(f"the schema of what? sipbench list schema {'|'.join(KINDS)}")
    print(describe(kinds[0]))
    return 0


def _read(group: str, name: str) -> dict[str, Any] | None:
    """A file's content, or None where it holds nothing that can be listed, and a line that says so."""
    import yaml

    try:
        node = configs.read(group, name)
        reason = "" if isinstance(node, dict) and node else "it is empty"
    except (UserError, yaml.YAMLError, UnicodeDecodeError, OSError, AttributeError, TypeError) as error:
        node, reason = None, " ".join(str(error).split())[:200]
    if not reason:
        return node
    _passed_over(group, name, reason)
    return None


def _passed_over(group: str, name: str, reason: str) -> None:
    print(f"sipbench: {configs.path_of(group, name)} is passed over: {reason}", file=sys.stderr)


def _facts(group: str, name: str, node: dict[str, Any]) -> dict[str, Any] | None:
    """One entry of a list as data; for a degradation what its operator says of itself, where it is one."""
    if group == "degradation":
        from sipbench.degradation import facts

        try:
            return facts(name)
        except UserError as error:
            return _passed_over(group, name, str(error))
    keys = ("title", "family", "citation", "needs", "data", "knowledge", "parity", "trained", "published")
    return {"name": name, **{k: node[k] for k in keys if k in node}}
