"""`sipbench report`: one HTML file of the tables, curves and pictures that are there."""

from __future__ import annotations

import os
import sys

from sipbench.checkpoints import at_home
from sipbench.cli.words import outlet
from sipbench.configs import Overrides
from sipbench.errors import UserError
from sipbench.safety.text import counted, visible

HELP = """\
sipbench report [TABLE ...] [profile=NAME] [results=FOLDER] [out=report.html]     one HTML file; nothing is computed

  TABLE ...         those alone, also where only cells of them are stored; else all whose CSV lies in FOLDER/PROFILE
  profile=NAME      one or more, separated by commas; else all: demo, study, paper, ...
  results=results   where CSVs and stored results lie
  out=report.html   the file. It opens from disk, asks the network for nothing, and can be sent by mail
  limit=20          MiB that it may take: of too many pictures fewer images are shown, then smaller ones

Tables are sorted, filtered and copied on the page; what is stored of a cell gives pictures side by side, curves, the
matrix of pairs, and a drawer with all it takes to repeat it. A CSV alone gives its table. `?` there lists the keys.

Examples: sipbench report
          sipbench report table1 profile=study out=table1.html
"""


def main(words: list[str]) -> int:
    """Write the page, and say where and how large it is."""
    names = [word for word in words if "=" not in word]
    profiles, rest = Overrides([word for word in words if "=" in word]).take("profile", "")
    results, rest = rest.take("results", os.environ.get("SIPBENCH_RESULTS", "results"))
    out, rest = rest.take("out", "report.html")
    limit, rest = rest.take("limit", "20")
    if len(rest):
        raise UserError(
            f"unknown word {list(rest)[0]!r}: sipbench report [TABLE ...] [profile=] [results=] [out=] [limit=]"
        )
    try:
        size = float(limit)
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise UserError(f"limit is a number of MiB above 0, not {limit!r}")
    path = outlet(out, ending=".html")
    from sipbench.report.page import save
    from sipbench.tables.page import page

    chosen = [name.strip() for name in profiles.split(",") if name.strip()]
    found = page(names, chosen, at_home(results), size, lambda said: print(visible(said), file=sys.stderr, flush=True))
    if not found.sections:
        raise UserError("none of these tables can be shown, as said above: no page is written")
    save(found, path)
    print(f"written: {path} ({path.stat().st_size / 2**20:.1f} MiB, {counted(len(found.sections), 'table')})")
    return 0
