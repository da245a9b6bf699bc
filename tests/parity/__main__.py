"""Write docs/parity.md from the badges in conf/method: python -m tests.parity."""

from collections import Counter
from pathlib import Path

from sipbench import configs

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
FAMILIES = {"datarich": "Data-rich", "diffusion": "Diffusion", "single": "Single-instance", "classical": "Classical"}
HEAD = """# How each method stands to its public code

A badge is in the method's YAML, under `parity`, and `sipbench list methods` shows it. `equal` is tested: tests/parity
writes the update of the public code a second time, independently, and runs it beside the solver with the same network,
measurement, noise levels and draws in double precision; the number is the largest relative difference allowed.
`departs` says where, and what that is worth. This page is written by `python -m tests.parity`.
"""


def words(badge):
    """One method's badge: the verdict, the code and the note."""
    verdict = f"equal to {badge['within']:.0e}" if badge["verdict"] == "equal" else badge["verdict"]
    return f"{verdict} | {badge.get('code', '')} | {badge.get('note', '')}"


def page():
    methods = {name: configs.read("method", name) for name in configs.names("method")}
    badges = {name: node["parity"] for name, node in methods.items() if node.get("parity")}
    count = Counter(badge["verdict"] for badge in badges.values())
    lines = [HEAD, f"{count['equal']} equal, {count['departs']} depart, {count['none']} have no public code.\n"]
    for family, title in FAMILIES.items():
        rows = [name for name in badges if methods[name]["family"] == family]
        if rows:
            lines += [f"## {title}\n", "| method | badge | code | note |", "|---|---|---|---|"]
            lines += [f"| `{name}` | {words(badges[name])} |" for name in rows] + [""]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
