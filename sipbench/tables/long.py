"""The long form of a table: what its columns are, and of which kind their values. `collect` says what they mean."""

from __future__ import annotations

COLUMNS = (
    *("dataset", "degradation", "method", "metric", "mean", "ci95", "n", "failed", "oracle_mean"),
    *("published", "profile", "published_dataset", "status", "reason", "todo", "unconverged"),
    *("settings", "device", "cell"),
    *("best_group", "difference", "difference_low", "difference_high", "p_holm", "resolvable"),
    *("wins", "ties", "losses", "low", "high"),
)
COMPARED = ("difference", "difference_low", "difference_high", "p_holm", "resolvable")
KINDS = {
    **dict.fromkeys(("n", "failed", "todo", "unconverged", "wins", "ties", "losses"), "Int64"),
    **dict.fromkeys(("mean", "ci95", "oracle_mean", "published", "low", "high", *COMPARED), "float64"),
    "best_group": "bool",
}
