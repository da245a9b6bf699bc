"""`sipbench clean`: show what of a results folder nothing asks for, and remove it where that is wanted."""

from __future__ import annotations

import sys

from sipbench.errors import UserError
from sipbench.safety.text import line

HELP = """\
sipbench clean [--cells] [results=FOLDER] [--yes]     show what nobody needs in a results folder; --yes removes it

  --cells            cells too that no table asks for under any of its profiles, and no sweep of FOLDER/sweeps.
                     Cells that were run one by one are among them: nothing tells them apart, so look before --yes
  results=FOLDER     the results folder
  --yes              remove what is shown

Without --cells these are leases and files of workers that are gone, and what a process that was killed left half
written. Delete a sweep's folder to let go of its cells. Tables, pictures, published numbers and trained networks are
never touched.

Example:  sipbench clean --cells
"""
SHOWN = 40
FLAGS = ("--cells", "--yes")


def main(words: list[str]) -> int:
    """Show it, and remove it if told to."""
    from sipbench.cluster.clean import leftovers, unasked, wanted
    from sipbench.cluster.plan import results_of

    for word in words:
        if word not in FLAGS and not word.startswith("results="):
            raise UserError(f"unknown word {word!r}: sipbench clean [--cells] [results=FOLDER] [--yes]")
    results = results_of([word for word in words if word not in FLAGS])
    if not results.is_dir():
        raise UserError(f"there is no folder {results}: name another with results=...")
    cells = []
    if "--cells" in words:
        print("looking what every table asks for ...", file=sys.stderr, flush=True)
        cells = list(unasked(results, wanted(results)))
        if cells:
            print(f"{len(cells)} cells that nothing asks for; those that were run one by one are among them:")
    found = [*cells, *leftovers(results)]
    for one in found[:SHOWN]:
        print(line(f"{one.path.relative_to(results)}: {one.why}"))
    if len(found) > SHOWN:
        print(f"... and {len(found) - SHOWN} more")
    size = sum(one.bytes for one in found) / 2**20
    if "--yes" not in words:
        print(f"{len(found)} found, {size:,.1f} MiB" + (": with --yes they are removed" if found else ""))
        return 0
    for one in found:
        one.remove()
    print(f"{len(found)} removed, {size:,.1f} MiB")
    return 0
