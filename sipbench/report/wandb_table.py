"""A whole table in Weights & Biases: its long form, its sheets and its pictures, beside the runs of its cells."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.report.wandb import Log
from sipbench.report.wandb_quiet import abandon, environment, settings

if TYPE_CHECKING:
    import pandas as pd

PICTURES = (".png",)
SHEETS = (".md", ".tex")
TAGS = 64  # letters of a tag that wandb takes


def log_table(
    name: str, profile: str, frame: pd.DataFrame, paths: Sequence[Path], wanted: Mapping[str, Any], results: Path
) -> None:
    """One run for a table, in the group NAME/PROFILE, where a log is asked for. What goes wrong is one line."""
    mode: Any = wanted["mode"]
    if mode == "disabled" or mode in Log.broken:
        return
    run: Any = None
    try:
        folder = results.resolve()
        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        with environment():
            import wandb

            run = wandb.init(
                project=wanted["project"],
                group=wanted.get("group") or f"{name}/{profile}",
                job_type="table",
                name=f"{name}-{profile}",
                tags=[tag[:TAGS] for tag in (name, profile, "table", *(wanted.get("tags") or ()))],
                config={"table": name, "profile": profile},
                dir=str(folder),
                mode=mode,
                reinit="create_new",
                settings=settings(wandb),
            )
        run.log(_content(name, frame, paths))
        run.summary.update(_means(frame))
        run.finish()
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split())[:200].rstrip(". ") or type(error).__name__
        print(f"wandb: {reason}. Going on without it; the table is written.", file=sys.stderr)
        abandon(run)


def _content(name: str, frame: pd.DataFrame, paths: Sequence[Path]) -> dict[str, Any]:
    """The long form as a table, the sheets as they are written, each picture under the name of its view."""
    import wandb

    columns: list[Any] = [str(column) for column in frame.columns]
    data: list[Any] = [[_plain(value) for value in row] for row in frame.itertuples(index=False)]
    found: dict[str, Any] = {"table": wandb.Table(columns=columns, data=data, allow_mixed_types=True)}
    for path in paths:
        if path.suffix in PICTURES:
            view = path.stem.removeprefix(name).strip("-") or "strip"
            found[f"pictures/{view}"] = wandb.Image(str(path), caption=path.name)
    sheets: list[Any] = [[path.name, path.read_text(encoding="utf-8")] for path in paths if path.suffix in SHEETS]
    if sheets:
        found["sheets"] = wandb.Table(columns=["file", "text"], data=sheets)
    return found


def _means(frame: pd.DataFrame) -> dict[str, float]:
    """dataset/degradation/method/metric, as the run's summary."""
    known: Any = frame[frame["mean"].notna()]
    keys = ("dataset", "degradation", "method", "metric")
    return {"/".join(str(r[key]) for key in keys): float(r["mean"]) for r in known.to_dict("records")}


def _plain(value: Any) -> Any:
    """As JSON has it: what is not a number is nothing."""
    import pandas as pd

    return None if pd.isna(value) else value.item() if hasattr(value, "item") else value
