"""The early-stopping table as Markdown, CSV and curves."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipbench.bench import store
from sipbench.tables.collect import summary
from sipbench.tables.stopping import Run, StoppingSpec
from sipbench.tables.views.grid import write_text

if TYPE_CHECKING:
    import pandas as pd

BLANK = "–"
FIGURES = {  # the heading and the decimals
    "psnr": ("PSNR ↑", 2),
    "oracle": ("oracle PSNR", 2),
    "gap": ("gap, dB ↓", 2),
    "ssim": ("SSIM ↑", 3),
    "ssim_gap": ("SSIM gap ↓", 3),
    "stopped": ("iterate returned", 0),
    "oracle_at": ("best iterate", 0),
    "until": ("iterations run", 0),
    "seconds": ("s/image", 1),
    "share": ("cost of the rule", 3),
}


def collect(spec: StoppingSpec) -> pd.DataFrame:
    """One row a (dataset, problem, rule): means over the images with half widths of their 95 % intervals."""
    import pandas as pd

    return pd.DataFrame([_record(run, rule) for run in spec.runs for rule in spec.rules])


def _record(run: Run, rule: str) -> dict[str, Any]:
    import numpy as np

    rows = run.solved()
    ran = [row["rules"][rule]["until"] * row["seconds"] * (1 + row["rules"][rule]["share"]) for row in rows]
    columns = {
        **{m: [row["rules"][rule][m] for row in rows] for m in ("psnr", "ssim", "stopped", "until", "share")},
        "oracle": [row["oracle"]["psnr"] for row in rows],
        "oracle_at": [row["oracle"]["at"] for row in rows],
        "gap": [row["oracle"]["psnr"] - row["rules"][rule]["psnr"] for row in rows],
        "ssim_gap": [row["oracle"]["ssim"] - row["rules"][rule]["ssim"] for row in rows],
        "seconds": ran,
    }
    record: dict[str, Any] = {
        "dataset": run.cell.names[0],
        "problem": run.name,
        "rule": rule,
        "n": len(rows),
        "failed": len(run.rows()) - len(rows),
        "todo": len(run.cell.images) - len(run.rows()),
    }
    for name, values in columns.items():
        record[name], record[f"{name}_ci95"] = summary(np.array(values, dtype=float))
    return record


def write(spec: StoppingSpec, frame: pd.DataFrame) -> list[Path]:
    """Write NAME.md, NAME.csv, NAME-curves.csv and NAME.png into results/PROFILE."""
    folder = spec.folder
    texts = {
        f"{spec.name}.md": render(spec, frame),
        f"{spec.name}.csv": frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
        f"{spec.name}-curves.csv": curves(spec).to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    }
    paths = [write_text(folder / name, text) for name, text in texts.items()]
    return [*paths, store.write_whole(folder / f"{spec.name}.png", picture(spec))]


def curves(spec: StoppingSpec) -> pd.DataFrame:
    """PSNR and training loss along the run, averaged over the images: one row a (dataset, problem, iteration)."""
    import numpy as np
    import pandas as pd

    parts = []
    for run in spec.runs:
        rows = run.solved()
        if rows:
            psnr, loss = (np.array([row[key] for row in rows], dtype=float) for key in ("curve", "loss"))
            part = {"iteration": np.arange(psnr.shape[1]) * run.every, "psnr": psnr.mean(0), "psnr_std": psnr.std(0)}
            part |= {"loss": loss.mean(0)} if loss.shape == psnr.shape else {}
            parts.append(pd.DataFrame({"dataset": run.cell.names[0], "problem": run.name, **part}))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def picture(spec: StoppingSpec) -> bytes:
    """Early learning, then overfitting: PSNR along the run of every image, their mean, and where each rule stopped."""
    import matplotlib
    import numpy as np

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    done = [run for run in spec.runs if run.solved()]
    wide = min(3, max(1, len(done)))
    tall = -(-max(1, len(done)) // wide)
    figure = Figure(figsize=(4.2 * wide, 2.8 * tall), layout="constrained")
    axes = np.atleast_1d(figure.subplots(tall, wide, sharex=True, squeeze=False)).ravel()
    for axis, run in zip(axes, done, strict=False):
        rows = run.solved()
        psnr = np.array([row["curve"] for row in rows])
        steps = np.arange(psnr.shape[1]) * run.every
        axis.plot(steps, psnr.T, color="0.8", lw=0.5)
        axis.plot(steps, psnr.mean(0), color="black", lw=1.5, label="mean of the images")
        for j, (name, rule) in enumerate(spec.rules.items()):
            at = np.array([row["rules"][name]["stopped"] for row in rows])
            got = np.array([row["rules"][name]["psnr"] for row in rows])
            axis.scatter(at, got, s=9, color=f"C{j}", label=rule.get("title", name), zorder=3)
        axis.set_title(run.title, fontsize=9)
        axis.set_ylabel("PSNR, dB", fontsize=8)
        axis.tick_params(labelsize=7)
    for axis in axes[len(done) :]:
        axis.remove()
    if done:
        axes[0].legend(fontsize=6)
    figure.supxlabel("iteration", fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def render(spec: StoppingSpec, frame: pd.DataFrame) -> str:
    """What the numbers mean, the gaps at a glance, a section a problem."""
    parts = [f"# {spec.title}", _bullets([*heading(spec), *spec.notes]), "## At a glance: gap to the oracle, dB"]
    parts.append(_glance(spec, frame))
    for run in spec.runs:
        own = frame[(frame.problem == run.name) & (frame.dataset == run.cell.names[0])]
        parts += [f"## {run.title}, {run.cell.source.get('title', run.cell.names[0])}"]
        lines: Any = own.to_dict("records")  # pyright: ignore
        parts.append(_sheet(spec, lines))
    return "\n\n".join(parts) + "\n"


def heading(spec: StoppingSpec) -> list[str]:
    """How the numbers came about and what they mean."""
    run = spec.runs[0]
    cell, count = run.cell, len(run.cell.images)
    return [
        f"Profile {spec.profile}: {count} images of split {cell.split}, {cell.size} × {cell.size} pixels, seed "
        f"{cell.seed}; {run.cell.method.get('title', run.cell.method['name'])}, {run.iterations} iterations, one "
        "setting for all. Mean ± half width of the 95 % confidence interval of the mean over images (Student t).",
        "Every rule looks on the same run and sees the iterates alone; what it returns is what is scored. oracle: the "
        "iterate of the highest PSNR, picked with the truth in hand; no rule's score. gap: oracle less returned.",
        "iterations run: until the rule ends the run, its patience included. s/image: the method's time until then, "
        "the rule's own included. cost of the rule: its time over the method's.",
    ]


def _glance(spec: StoppingSpec, frame: pd.DataFrame) -> str:
    """A row a problem, a column a rule, and the mean over the problems."""
    titles = [rule.get("title", name) for name, rule in spec.rules.items()]
    lines = [["Problem", *titles], ["---", *("---:" for _ in titles)]]
    for run in spec.runs:
        own = frame[(frame.problem == run.name) & (frame.dataset == run.cell.names[0])].set_index("rule")
        lines.append([run.title, *(_value(dict(own.loc[rule]), "gap") for rule in spec.rules)])
    means = [frame[frame.rule == rule].gap.mean() for rule in spec.rules]
    return _table([*lines, ["mean", *(f"{v:.2f}" if v == v else BLANK for v in means)]])


def _sheet(spec: StoppingSpec, records: list[dict[str, Any]]) -> str:
    head = ["Rule", *(title for title, _ in FIGURES.values()), "images"]
    lines = [head, ["---", *("---:" for _ in head[1:])]]
    for r in records:
        title = spec.rules[r["rule"]].get("title", r["rule"])
        lines.append([title, *(_value(r, name) for name in FIGURES), f"{r['n']}/{r['n'] + r['failed'] + r['todo']}"])
    return _table(lines)


def _value(record: dict[str, Any], name: str) -> str:
    mean, ci95, places = record[name], record[f"{name}_ci95"], FIGURES[name][1]
    if mean != mean:
        return BLANK
    alone = name in ("share", "seconds") or ci95 != ci95
    return f"{mean:.{places}f}" if alone else f"{mean:.{places}f} ± {ci95:.{places}f}"


def _table(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
