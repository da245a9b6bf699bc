"""`sipbench clean`: show what of a results folder nothing asks for, and remove it where that is wanted."""

from __future__ import annotations

import sys

from sipbench.errors import UserError

HELP = """\
sipbench clean [results=FOLDER] [--yes]     show what no table and no sweep asks for; with --yes remove it

  results=FOLDER     the results folder
  --yes              remove what is shown

Cells that a table asks for under any of its profiles are kept, and those of every sweep in FOLDER/sweeps: delete a
sweep's folder to let go of it. Cells that were run one by one are shown as well, so look before --yes. Leases and files
of workers that are gone are shown too. Tables, pictures, published numbers and trained networks are never touched.

Example:  sipbench clean
"""
SHOWN = 40


def main(words: list[str]) -> int:
    """Show it, and remove it if told to."""
    from sipbench.cluster.clean import wanted, waste
    from sipbench.cluster.plan import results_of

    for word in words:
        if word != "--yes" and not word.startswith("results="):
            raise UserError(f"unknown word {word!r}: sipbench clean [results=FOLDER] [--yes]")
    results = results_of([word for word in words if word != "--yes"])
    if not results.is_dir():
        raise UserError(f"there is no folder {results}: name another with results=...")
    print("looking what every table asks for ...", file=sys.stderr, flush=True)
    found = list(waste(results, wanted(results)))
    for one in found[:SHOWN]:
        print(f"{one.path.relative_to(results)}: {one.why}")
    if len(found) > SHOWN:
        print(f"... and {len(found) - SHOWN} more")
    size = sum(one.bytes for one in found) / 2**20
    if "--yes" not in words:
        print(f"{len(found)} found, {size:,.1f} MiB" + (": sipbench clean --yes removes them" if found else ""))
        return 0
    for one in found:
        one.remove()
    print(f"{len(found)} removed, {size:,.1f} MiB")
    return 0
