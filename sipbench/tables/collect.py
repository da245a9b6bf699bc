"""From stored rows to averages: one row a (dataset, degradation, method, metric)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.tables.spec import Entry, TableSpec

if TYPE_CHECKING:
    import pandas as pd

RESIDUAL, SECONDS, EVALUATIONS = "residual/sigma", "s/image", "evaluations"
COSTS = {RESIDUAL: "residual_ratio", SECONDS: "seconds", EVALUATIONS: "evaluations"}
SHARED = (SECONDS, EVALUATIONS)  # one value for the images of a batch: their spread says nothing
COLUMNS = (
    *(
        "dataset",
        "degradation",
        "method",
        "metric",
        "mean",
        "ci95",
        "n",
        "failed",
        "oracle_mean",
        "published",
        "profile",
    ),
    *("published_dataset", "status", "reason", "todo", "unconverged", "settings", "device", "cell"),
)
ORIGINS = ("config", "paper", "searched", "demo", "hand")
NAN = float("nan")


def collect(spec: TableSpec) -> pd.DataFrame:
    """The table in long form.

    A mean runs over the images that succeeded, each first averaged over its seeds; `n` counts their runs, `failed`
    those that came to nothing, `todo` those not yet done, `unconverged` those whose solver says that it was still
    moving. `ci95` is the half width of the 95 % confidence interval of the mean over images, t(0.975, k-1) s / sqrt(k),
    and empty for k < 2. An infinite PSNR (an exact reproduction) makes its mean infinite and its interval empty.
    `status` is ok, incomplete, failed, not yet, n/a, or published: a number about other images than the measured ones,
    in a row of its own under the published dataset's name.
    """
    import pandas as pd

    records = [record for entry in spec.entries() for record in _measured(spec, entry)]
    df: Any = pd.DataFrame([*records, *_published(spec)], columns=list(COLUMNS))
    floats = ["mean", "ci95", "oracle_mean", "published"]
    counts = ["n", "failed", "todo", "unconverged"]
    return df.astype({**dict.fromkeys(counts, "Int64"), **dict.fromkeys(floats, "float64")})


def summary(values: Any) -> tuple[float, float]:
    """(mean, half width of its 95 % confidence interval) of one value an image; not a number where undefined."""
    import numpy as np
    from scipy.special import stdtrit

    count = len(values)
    if count == 0:
        return NAN, NAN
    mean = float(values.mean())
    if count < 2 or not np.isfinite(mean):
        return mean, NAN
    return mean, float(stdtrit(count - 1, 0.975) * values.std(ddof=1) / np.sqrt(count))


def _measured(spec: TableSpec, entry: Entry) -> Iterator[dict[str, Any]]:
    """The rows of one entry, one a metric."""
    name = spec.published_as(entry.dataset, entry.degradation)
    shared: dict[str, Any] = {
        "dataset": entry.dataset,
        "degradation": entry.degradation,
        "method": entry.row.method,
        "profile": spec.profile,
        "published_dataset": name or "",
        "status": entry.status,
        "reason": entry.reason,
    }
    rows = _rows(entry.cells) if entry.cells else None
    state = {} if rows is None else _state(entry.cells, rows)
    for metric, column in (spec.metrics | spec.columns | COSTS).items():
        scores = {} if rows is None else _scores(rows, metric, column)
        number = spec.published_value(name, entry.degradation, entry.row, metric)
        yield shared | {"metric": metric, "published": number} | state | scores


def _rows(cells: tuple[Cell, ...]) -> Any:
    """The stored rows of these cells, for the images that they ask for."""
    import pandas as pd

    frames = []
    for cell in cells:
        rows = store.read(cell.folder)
        frames.append(rows[rows["image"].isin(cell.images)].assign(seed=cell.seed))
    kept = [frame for frame in frames if len(frame)]
    return pd.concat(kept, ignore_index=True) if kept else frames[0]


def _state(cells: tuple[Cell, ...], rows: Any) -> dict[str, Any]:
    """How far the entry is, and what went wrong."""
    failed = rows[rows["status"] != "ok"]
    todo = sum(len(cell.images) for cell in cells) - len(rows)
    reasons = "; ".join(dict.fromkeys(failed["reason"])) if len(failed) else ""
    status = "incomplete" if todo else "failed" if len(failed) == len(rows) else "ok"
    return {
        "status": status,
        "reason": reasons,
        "failed": len(failed),
        "todo": todo,
        "unconverged": int((rows["converged"] == False).sum()) if "converged" in rows else 0,  # noqa: E712
        "settings": settings(cells[0]),
        "device": " + ".join(sorted(set(rows["device"].dropna()))) if "device" in rows else "",
        "cell": " ".join(cell.hash for cell in cells),
    }


def settings(cell: Cell) -> str:
    """Where the options come from that are not the signature's: `searched: zeta; demo: steps`."""
    groups: dict[str, list[str]] = {}
    for name, origin in cell.origins.items():
        groups.setdefault(origin, []).append(name)
    said = {origin: ", ".join(groups[origin]) for origin in ORIGINS if origin in groups}
    return "; ".join(f"{origin}: {names}" for origin, names in said.items())


def _scores(rows: Any, metric: str, column: str) -> dict[str, Any]:
    """The average of one metric. What no row has stays empty."""
    good = rows[rows["status"] == "ok"]
    values = _by_image(good, column)
    mean, ci95 = summary(values)
    oracle, _ = summary(_by_image(good, f"oracle_{column}"))
    n = int(good[column].notna().sum()) if column in good else 0
    return {"mean": mean, "ci95": NAN if metric in SHARED else ci95, "n": n, "oracle_mean": oracle}


def _by_image(rows: Any, column: str) -> Any:
    """One value an image: the mean over its seeds."""
    import pandas as pd

    if column not in rows:
        return pd.Series(dtype="float64")
    return rows.dropna(subset=[column]).groupby("image")[column].mean().astype("float64")


def _published(spec: TableSpec) -> Iterator[dict[str, Any]]:
    """Published numbers about other images than the measured ones, where some measured dataset has none of its own."""
    for degradation in spec.degradations:
        own = {spec.published_as(*pair) for pair in spec.pairs if pair[1] == degradation}
        if None not in own:
            continue
        for dataset in (name for name in spec.published.datasets if name not in own):
            for row in spec.rows:
                for metric in spec.metrics:
                    value = spec.published_value(dataset, degradation, row, metric)
                    if value == value:
                        yield {
                            "dataset": dataset,
                            "degradation": degradation,
                            "method": row.method,
                            "metric": metric,
                            "published": value,
                            "profile": spec.profile,
                            "published_dataset": dataset,
                            "status": "published",
                        }
