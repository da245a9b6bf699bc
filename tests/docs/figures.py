"""The small tables of docs/, each under a comment that says of which committed file it is made.

<!-- figures: results/study/table1.csv, problem sr4 -->                 a column a metric
<!-- figures: results/demo/posterior.csv, metric W/floor, spread -->    a column a problem; spread: ± in the place of
                                                                        the interval of the difference to the best
<!-- figures: results/study/tradeoff-crossings.csv, passes tv -->       a column a problem: from how many images on

Rows are named in backticks by the word of the command line.
"""

import io
import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
TABLE = re.compile(r"<!-- figures: (\S+), (\w+) ([^>]+?)(, spread)? -->\n\n(\|.*\n)(\|.*\n)((?:\|.*\n)+)")
DIGITS = {"LPIPS": 3, "SSIM": 3}
UNRANKED = ("s/image",)


@dataclass(frozen=True)
class Figures:
    """A table of a page, and what it says of itself."""

    file: str
    kind: str
    value: str
    spread: bool
    head: list[str]
    rows: list[str]

    def expected(self) -> list[str]:
        """Its rows, as the committed file has them."""
        names = [re.findall(r"`(\w+)`", row)[0] for row in self.rows]
        return [f"| `{name}` | " + " | ".join(self._cell(name, head) for head in self.head) + " |" for name in names]

    def _cell(self, name: str, head: str) -> str:
        frame = committed(self.file)
        if self.kind == "passes":
            found = frame[(frame.method == name) & (frame.problem == head) & (frame.passes == self.value)]
            return str(found.said.iloc[0])
        problem, metric = (self.value, head) if self.kind == "problem" else (head, self.value)
        found = frame[(frame.method == name) & (frame.degradation == problem) & (frame.metric == metric)]
        return _figure(found[found.published.isna() & found["mean"].notna()].iloc[0], metric, self.spread)


def _figure(row: pd.Series, metric: str, spread: bool) -> str:
    """A mean, and how sure it is."""
    if metric in UNRANKED:
        mean = float(row["mean"])
        return "< 0.001" if mean < 0.001 else f"{float(f'{mean:.2g}'):g}"
    places = DIGITS.get(metric, 2)
    if spread:
        return f"{row['mean']:.{places}f} ± {row['ci95']:.{places}f}"
    low, high = (f"{row[name]:+.{places}f}".replace("-", "−") for name in ("difference_low", "difference_high"))
    text = f"{row['mean']:.{places}f}" + (f" [{low}, {high}]" if row["difference"] != 0 else "")
    return f"**{text}**" if row["best_group"] else text


def of(page: Path) -> list[Figures]:
    """The tables of a page."""
    return [
        Figures(file, kind, value, bool(spread), _cells(head)[1:], rows.splitlines())
        for file, kind, value, spread, head, _, rows in TABLE.findall(page.read_text(encoding="utf-8"))
    ]


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("`").rstrip(" ↑↓") for cell in line.strip().strip("|").split("|")]


@cache
def committed(path: str) -> pd.DataFrame:
    """A table as it is committed."""
    return pd.read_csv(io.BytesIO(shown(path)))


def shown(path: str) -> bytes:
    """A file as it is committed: a run of the demo writes it anew, with this machine's seconds."""
    found = subprocess.run(["git", "-C", str(ROOT), "show", f"HEAD:{path}"], capture_output=True, check=False)
    return found.stdout if found.returncode == 0 else (ROOT / path).read_bytes()
