"""`sipbench leaderboard`: results that others hand in, checked, scored here and compared."""

from __future__ import annotations

import sys
from pathlib import Path

from sipbench.cli.words import outlet
from sipbench.configs import Overrides
from sipbench.errors import UserError
from sipbench.safety.text import line

HELP = """\
sipbench leaderboard A B [...] [table=table1] [profile=demo] [out=leaderboard]     rank what others handed in

  A B ...             results folders, each under its own name; nothing in them is changed
  table=table1        the table whose problems, images and seeds they are to be about
  profile=demo        its profile
  out=leaderboard     where it is written: TABLE.md, .csv, .tex, .json, .html, and the cells with the scores made here
  metrics=[...] images=... data=... weights=...     as for `sipbench table`

A cell is taken if its files are whole, its problem is the table's (protocol, dataset, degradation, seed), each y is
the one that is made here, and its scores are what its stored estimates give: they are computed anew, never believed.
Solvers need not be here. What is rejected is named with its reason; what stored no estimates is "not verified" and
stands in no table. Rows with all images are compared over the same images. Exit code 0: all was taken; 1: not all.

Example:  sipbench leaderboard handed/alice handed/bob table=table1
"""


def main(words: list[str]) -> int:
    """Check, compare, write, and say what was rejected."""
    folders = [Path(word) for word in words if "=" not in word]
    table, rest = Overrides([word for word in words if "=" in word]).take("table", "table1")
    profile, rest = rest.take("profile", "demo")
    out, rest = rest.take("out", "leaderboard")
    if not folders:
        raise UserError("whose results? sipbench leaderboard A B [table=table1] [profile=demo] [out=leaderboard]")
    place = outlet(out, folder=True)
    if any(place.resolve() == folder.resolve() for folder in folders):
        raise UserError(f"out={out} is one of the folders that were handed in: name another")
    from sipbench import metrics, tables
    from sipbench.leaderboard.board import board, findings, gather
    from sipbench.leaderboard.write import comparable, write

    spec = tables.load(table, profile, rest)
    for metric in spec.metrics.values():
        metrics.available(metric, download=True)
    gathered = gather(folders, spec)
    for heading, found in findings(gathered):
        for one in found:
            print(line(f"{heading.lower()}: {one.by}: {one.cell}: {one.said}"), file=sys.stderr)
    if not gathered.taken:
        raise UserError(f"nothing of what was handed in can stand in {table}, profile {profile}")
    made = board(spec, gathered, place)
    df = tables.collect(made)
    paths = write(made, df, gathered)
    for same in comparable(made, df):
        print(line(f"comparable: {same}"))
    print("written: " + ", ".join(map(str, paths)))
    return int(bool(gathered.rejected or gathered.unverified))
