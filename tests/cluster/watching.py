"""What tests of several processes wait for, and what those have stored in the end."""

import time
from pathlib import Path

import pandas as pd


def until(true, seconds=240.0, told=lambda: ""):
    """Wait until something is true, and return it. Where it does not come to be, `told` says what else is known."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"waited too long. {told()}"
        time.sleep(0.1)
    return found


def stored(results: Path | str, method: str = "*") -> pd.DataFrame:
    """Every row of every file; one that is there twice counts twice."""
    frames = [pd.read_parquet(path) for path in Path(results).glob(f"runs/*/*/{method}/*/rows-*.parquet")]
    return pd.concat(frames).sort_values(["cell", "image"]).reset_index(drop=True)
