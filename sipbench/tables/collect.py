"""From stored rows to averages: one row a (dataset, degradation, method, metric)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sipbench.bench import store, trained
from sipbench.bench.cell import Cell
from sipbench.tables import images, paired
from sipbench.tables.long import COLUMNS, KINDS
from sipbench.tables.measures import COSTS, Measure
from sipbench.tables.spec import Entry, TableSpec

if TYPE_CHECKING:
    import pandas as pd

CHANGED, MIXED = "source_changed", "other_weights"  # columns where there is any, as these two
UNLIKE = {"image_id": "other_images", "y_sha256": "other_measurements"}
ORIGINS = ("config", "paper", "searched", "demo", "hand")
NAN = float("nan")


def collect(spec: TableSpec) -> pd.DataFrame:
    """The table in long form.

    A mean runs over the images that succeeded, each first averaged over its seeds; `n` counts their runs, `failed`
    those that came to nothing, `todo` those not yet done, `unconverged` those whose solver says that it was still
    moving. `ci95` is the half width of the 95 % confidence interval of the mean over images, t(0.975, k-1) s / sqrt(k),
    and empty for k < 2. An infinite PSNR (an exact reproduction) makes its mean infinite and its interval empty. `low`
    and `high` are the interval's ends; those of a share (success) are Wilson's, for as many runs as are independent.
    `status` is ok, incomplete, failed, not yet, n/a, or published: a number about other images than the measured ones,
    in a row of its own under the published dataset's name.

    `best_group` and what stands beside it compare the complete rows of a problem over the same images: see `paired`.
    `p_holm` is corrected over all comparisons of the table. Where the table sweeps, the swept values are columns; where
    code changed after it was submitted, `source_changed` counts the runs that were done by other code; where a network
    was trained twice, `other_weights` counts those that were made with another than most. `other_images` counts
    those of another image than most rows have under the same number, and `other_measurements` those whose y is another
    to the bit, as another machine's may be.
    """
    import pandas as pd

    kept = images.stored(spec)
    others = {name: images.unlike(spec, kept, column) for column, name in UNLIKE.items()}
    records = [
        record | {name: found.get(entry.key, 0) for name, found in others.items()}
        for entry in spec.entries()
        for record in _measured(spec, entry, kept.get(entry.key))
    ]
    _compare(spec, records, kept)
    more = dict.fromkeys(name for task in spec.tasks.values() for name in task.swept)
    marks = dict.fromkeys(
        name for name in (CHANGED, MIXED, *UNLIKE.values()) if any(record.get(name) for record in records)
    )
    df: Any = pd.DataFrame([*records, *_published(spec)], columns=[*COLUMNS, *more, *marks])
    return df.astype(KINDS | dict.fromkeys(marks, "Int64"))


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


def independent(shares: Any, runs: int) -> float:
    """As how many independent runs those of all seeds count, of which each image has a share of successes.

    The runs of an image are one cluster: its object may be an easy one. The shares p_i of k images say how much that
    matters: n = p (1 - p) k / var(p_i), between k (an image's runs end alike) and all runs (they do not know of one
    another). Of shares that are all 0 or all 1 nothing can be said: they count as k.
    """
    k = len(shares)
    if k < 2 or runs <= k:
        return k
    p, spread = float(shares.mean()), float(shares.var(ddof=1))
    if p in (0.0, 1.0):
        return k
    return runs if spread == 0 else min(max(p * (1 - p) * k / spread, k), runs)


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of n."""
    from scipy.special import ndtri

    if n == 0:
        return NAN, NAN
    z = float(ndtri(0.975))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _measured(spec: TableSpec, entry: Entry, rows: Any) -> Iterator[dict[str, Any]]:
    """The rows of one entry, one a metric."""
    name = spec.published_as(entry.dataset, entry.degradation)
    shared: dict[str, Any] = {
        "dataset": entry.dataset,
        "degradation": entry.degradation,
        "method": entry.row.name,
        "profile": spec.profile,
        "published_dataset": name or "",
        "best_group": False,
        "status": entry.status,
        "reason": entry.reason,
    }
    shared |= spec.tasks[entry.degradation].swept
    state = {} if rows is None else _state(entry.cells, rows)
    for measure in (*spec.measures, *COSTS):
        scores = {} if rows is None else _scores(rows, measure, entry.row.column(measure, rows))
        number = spec.published_value(name, entry.degradation, entry.row, measure.heading)
        yield shared | {"metric": measure.heading, "published": number} | state | scores


def _compare(spec: TableSpec, records: list[dict[str, Any]], kept: images.Rows) -> None:
    """Put the comparisons of each problem and measure into the records, p corrected over all of them."""
    table = {(r["dataset"], r["degradation"], r["method"], r["metric"]): r for r in records}
    compared = []
    for pair, measure, found in images.together(spec, kept):
        results = paired.compare(found.to_numpy(), higher_is_better=bool(measure.higher_is_better))
        for name, d in zip(found.columns, results, strict=True):
            record = table[(*pair, name, measure.heading)]
            record |= {"best_group": d.best_group, "difference": d.mean, "p_holm": d.p, "resolvable": d.resolvable}
            ends = (max(d.low, -1.0), min(d.high, 1.0)) if measure.proportion else (d.low, d.high)
            record |= {"difference_low": ends[0], "difference_high": ends[1]}
            record |= {"wins": d.wins, "ties": d.ties, "losses": d.losses}
            compared.append(record)
    for record, p in zip(compared, paired.holm([record["p_holm"] for record in compared]), strict=True):
        record["p_holm"] = p


def _state(cells: tuple[Cell, ...], rows: Any) -> dict[str, Any]:
    """How far the entry is, and what went wrong."""
    failed = rows[rows["status"] != "ok"]
    todo = sum(len(cell.images) for cell in cells) - len(rows)
    answered = dict(zip(rows["seed"], rows["cell"], strict=True)) if "cell" in rows else {}  # some by other code
    status = "incomplete" if todo else "failed" if len(failed) == len(rows) else "ok"
    return {
        "status": status,
        "reason": "; ".join(dict.fromkeys(store.reasons(failed))),
        "failed": len(failed),
        "todo": todo,
        "unconverged": int((rows["converged"] == False).sum()) if "converged" in rows else 0,  # noqa: E712
        CHANGED: store.changed(rows),
        MIXED: trained.mixed(rows),
        "settings": settings(cells[0]),
        "device": " + ".join(sorted(set(rows["device"].dropna()))) if "device" in rows else "",
        "cell": " ".join(answered.get(cell.seed, cell.hash) for cell in cells),
    }


def settings(cell: Cell) -> str:
    """Where the options come from that are not the signature's: `searched: zeta; demo: steps`."""
    groups: dict[str, list[str]] = {}
    for name, origin in cell.origins.items():
        groups.setdefault(origin, []).append(name)
    said = {origin: ", ".join(groups[origin]) for origin in ORIGINS if origin in groups}
    return "; ".join(f"{origin}: {names}" for origin, names in said.items())


def _scores(rows: Any, measure: Measure, column: str) -> dict[str, Any]:
    """The average of one measure. What no row has stays empty."""
    good = rows[rows["status"] == "ok"]
    found = images.values(rows, column)
    mean, ci95 = summary(found)
    n, known = (int(good[name].notna().sum()) if name in good else 0 for name in (column, f"oracle_{column}"))
    oracle, _ = summary(images.values(rows, f"oracle_{column}")) if known == n else (NAN, NAN)  # of all, or of none
    ci95 = NAN if measure.shared else ci95
    low, high = wilson(mean, independent(found, n)) if measure.proportion else (mean - ci95, mean + ci95)
    return {"mean": mean, "ci95": ci95, "n": n, "oracle_mean": oracle, "low": low, "high": high}


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
                            "method": row.name,
                            "metric": metric,
                            "published": value,
                            "profile": spec.profile,
                            "published_dataset": dataset,
                            "status": "published",
                            "best_group": False,
                        }
