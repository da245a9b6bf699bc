"""`sipbench merge`: check two results folders and join them."""

from __future__ import annotations

import sys
from pathlib import Path

from sipbench.errors import UserError
from sipbench.safety.text import counted, line

HELP = """\
sipbench merge A B [...] [into=C]     check the results of several machines and join them

  A B          results folders; without into= all others are joined into the first
  into=C       a folder that may be there already, or not yet

Every file is read whole: its checksums, that its rows are of its cell, and that the cell is what its folder says.
What is not right is refused and named. Of two results for the same images what succeeded in either is kept.
Exit code 0: all is joined; 1: something was refused.

Example:  sipbench merge results /mnt/node7/results
"""


def main(words: list[str]) -> int:
    """Join them, and say what was refused."""
    from sipbench.cluster.merge import merge

    folders = [Path(word) for word in words if not word.startswith("into=")]
    named = [Path(word.removeprefix("into=")) for word in words if word.startswith("into=")]
    if len(folders) + bool(named) < 2 or not folders:
        raise UserError("which folders? sipbench merge A B [into=C]")
    into = named[-1] if named else folders[0]
    joined = merge(folders, into)
    files = f"{counted(joined.files, 'file')} of {counted(joined.cells, 'cell')}"
    print(line(f"{into}: {files} joined, {joined.kept} were there already"))
    for refused in joined.refused:
        print(line(f"sipbench: refused {refused}"), file=sys.stderr)
    return int(bool(joined.refused))
