"""`sipbench export`: stored reconstructions and kernels as files for other programs."""

from __future__ import annotations

from sipbench.cli.words import cell_of, outlet
from sipbench.configs import Overrides
from sipbench.errors import UserError
from sipbench.safety.text import counted

HELP = """\
sipbench export [key=value ...] out=FOLDER [format=png]     write what is stored of a cell, a file an image

  the words that ran the cell   dataset=, degradation=, method=, seed=, size=, ...; images= says which of its images
  format=png                    8 bits, intensities in [0, 1]; a complex image as its magnitude beside its phase
  format=png16                  the same with 16 bits
  format=npy                    the array (C, H, W) as the solver returned it, in [-1, 1]
  format=safetensors            the same as the tensor `x`, with `theta.kernel` and `samples` where they were kept

What else was estimated, such as a blur kernel, is a file of its own (-kernel); as a picture its largest value is white.

Example:  sipbench export method=dps degradation=sr4 out=reconstructions format=png16
"""


def main(words: list[str]) -> int:
    """Write the files, and say how many."""
    out, rest = Overrides(words).take("out", "")
    kind, rest = rest.take("format", "png")
    if not out:
        raise UserError("export where to? sipbench export method=dps degradation=sr4 out=FOLDER")
    place = outlet(out, folder=True)
    from sipbench.report.stored import export

    paths = export(cell_of(rest), place, kind)
    print(f"written: {counted(len(paths), 'file')}, {paths[0]} first")
    return 0
