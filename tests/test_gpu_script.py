"""benchmarks/gpu.py on a CPU: what it measures, what it writes, and that it keeps its time."""

import csv
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run(into, *words):
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--size", "32", "--into", str(into), *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    sheets = {path.name.split("-torch")[0]: path.read_text(encoding="utf-8") for path in into.iterdir()}
    return done.stdout, {name: list(csv.DictReader(text.splitlines())) for name, text in sheets.items()}


def test_a_sheet_a_setting_with_the_shift_against_float32(tmp_path):
    words = ["--batch", "1", "--methods", "ddrm,dip", "--settings", "float32,bfloat16-contiguous"]
    said, sheets = run(tmp_path, *words)
    assert set(sheets) == {"float32-contiguous", "bfloat16-contiguous"} and said.endswith("skipped: nothing\n")
    plain, half = sheets["float32-contiguous"], sheets["bfloat16-contiguous"]
    methods = [[row["method"] for row in sheet] for sheet in (plain, half)]
    assert methods == [["streams", "ddrm", "dip"], ["ddrm"]]
    assert all(float(row["ms_a_step"]) > 0 and not row["note"] for row in plain + half)
    ddrm = plain[1]
    assert abs(float(ddrm["images_a_second"]) * 20 * float(ddrm["ms_a_step"]) / 1e3 - 1) < 1e-3  # 20 steps as published
    assert ddrm["shift_dB"] == "" and 15 < float(half[0]["shift_dB"]) < 80


def test_at_its_limit_it_stops_and_says_what_is_left(tmp_path):
    said, sheets = run(tmp_path, "--batch", "1", "--methods", "ddrm", "--limit", "0.2")
    assert sheets == {} and "skipped: float32-contiguous: all; tf32-contiguous: all" in said
