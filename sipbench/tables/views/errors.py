"""The strip as error maps: |x_hat - x|, root mean square over the channels, on one scale for all pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sipbench.report import figures
from sipbench.tables.spec import TableSpec
from sipbench.tables.views.strip import Picture, laid_out, rows

if TYPE_CHECKING:
    import pandas as pd

MAP = "inferno"  # even steps of lightness, also for eyes that see no colour
SPAN = 0.99  # of all pixels are below the last colour


def write(spec: TableSpec, df: pd.DataFrame) -> list[Path]:
    """NAME-errors.png and .pdf; nothing where there is no truth to hold against."""
    found = rows(spec)
    levels = [picture.error.ravel() for row in found for picture in row if picture.error is not None]
    if not levels:
        return []
    span = max(float(np.quantile(np.concatenate(levels), SPAN)), 1e-12)

    def one(axes: Any, picture: Picture) -> None:
        if picture.error is None:
            axes.imshow(picture.pixels, interpolation="nearest")
        else:
            axes.imshow(picture.error, cmap=MAP, vmin=0, vmax=span, interpolation="nearest")

    def bar(figure: Any, every: Any) -> None:
        from matplotlib.cm import ScalarMappable
        from matplotlib.colors import Normalize

        drawn = ScalarMappable(Normalize(0, span), MAP)
        made = figure.colorbar(drawn, ax=every, location="bottom", extend="max", fraction=0.04, aspect=60, pad=0.01)
        made.set_label("|x̂ − x| on [-1, 1], root mean square over the channels", fontsize=figures.SMALL)

    return laid_out(found, spec.folder / f"{spec.name}-errors", one, bar)
