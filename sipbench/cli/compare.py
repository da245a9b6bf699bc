"""`sipbench compare`: two image files, by every metric."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sipbench.checkpoints import at_home
from sipbench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

HELP = """\
sipbench compare A.png B.png [--json]     score image A against image B, the truth, by every metric

  A.png B.png     image files of one size, grey or in colour, of 8 or 16 bits
  --json          one object with the metrics' names as keys (sipbench list metrics), null where one has no value

What has no value says why in a line on standard error. LPIPS needs its backbone: sipbench fetch lpips.
Two grey pictures are compared as such, in one channel.

Example:  sipbench compare reconstruction.png truth.png --json
"""


def main(words: list[str]) -> int:
    """Score, and say what could not be."""
    files = [word for word in words if not word.startswith("-")]
    for word in words:
        if word.startswith("-") and word != "--json":
            raise UserError(f"unknown flag {word}: sipbench compare A.png B.png [--json]")
    if len(files) != 2:
        raise UserError("compare which two images? sipbench compare A.png B.png [--json]")
    scores, lacking = compare(*map(Path, files))
    for reason in dict.fromkeys(lacking.values()):
        names = ", ".join(name for name in lacking if lacking[name] == reason)
        print(f"sipbench: {names}: {reason}", file=sys.stderr)
    if "--json" in words:
        print(json.dumps(scores, indent=2))
        return 0
    from sipbench.metrics import METRICS

    width = max(map(len, scores))
    for name, value in scores.items():
        if value is not None:
            print(f"{name:<{width}}  {value:.4f} {METRICS[name].unit}".rstrip())
    return 0


def compare(estimate: Path, truth: Path) -> tuple[dict[str, float | None], dict[str, str]]:
    """Every metric by name, None where it has no value; and of those why."""
    from sipbench import metrics

    x_hat, x = images(estimate, truth)
    reasons = {name: metrics.obstacle(name, tuple(x.shape)) for name in metrics.METRICS}
    lacking = {name: reason for name, reason in reasons.items() if reason}
    found = metrics.evaluate([name for name in metrics.METRICS if name not in lacking], x_hat, x)
    scores: dict[str, float | None] = dict.fromkeys(metrics.METRICS)
    for name, value in found.items():
        if math.isfinite(value.item()):
            scores[name] = value.item()
        else:
            lacking[name] = f"its value is {value.item()}"
    return scores, lacking


def images(*files: Path) -> tuple[Tensor, ...]:
    """The pictures, each (1, C, H, W) in [-1, 1]: in one channel where all of them are grey."""
    from sipbench.datasets.reading import read_whole

    found = [read_whole(at_home(file))[None] for file in files]
    sizes = [f"{file} is {x.shape[-1]} x {x.shape[-2]}" for file, x in zip(files, found, strict=True)]
    if len({x.shape for x in found}) > 1:
        raise UserError(f"images of one size can be compared; {' and '.join(sizes)}")
    grey = all((x[:, :1] == x).all() for x in found)
    return tuple(x[:, :1] if grey else x for x in found)
