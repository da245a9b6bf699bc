"""What solvers do on one GPU: images a second at several batch sizes, in several precisions and layouts.

Run by hand: python benchmarks/gpu.py [--limit 540] [--batch 1,4,16,64] [--methods dps,ddrm] [--settings float32,tf32]
[--size 256] [--device auto] [--into results/speed]. A trial on a CPU: --device cpu --size 32 --batch 1,2

The problem is inpaint70 on drawn faces, the settings are those of profile=paper; networks have the published size and
random weights (below 256 pixels they are small ones of their kind). Each measurement takes a few steps; at the limit,
in seconds, it stops by itself and says what was skipped. One CSV for each precision, layout, torch and device is
written as it goes. What the columns mean: docs/performance.md.
"""

import argparse
import csv
import math
import signal
import tempfile
import time
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import torch
from solving import SETTINGS, SHORT, Row, Trial, streams

import sipbench
from sipbench import device
from sipbench.testing import published


class Over(BaseException):
    """There is no time left for this."""


class Limit:
    """A clock that ends a measurement which takes too long, wherever it is."""

    def __init__(self, limit):
        self.end = time.monotonic() + limit
        signal.signal(signal.SIGALRM, self._ring)

    def _ring(self, *_):
        raise Over

    @contextmanager
    def share(self, most=math.inf):
        left = min(most, self.end - time.monotonic())
        if left < 0.1:
            raise Over
        signal.setitimer(signal.ITIMER_REAL, left)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class Sheet:
    """One CSV, and the same lines on the screen."""

    def __init__(self, folder, setting, at, size):
        where = device.describe(at).replace(" ", "_").replace("/", "_")
        name = "-".join(
            [setting.name, f"torch{torch.__version__.split('+')[0]}", where, *([f"{size}px"] if size != 256 else [])]
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / f"{name}.csv").open("w", newline="")
        self.csv = csv.DictWriter(self.file, [f.name for f in fields(Row)], lineterminator="\n")
        self.csv.writeheader()
        print(f"\n{name}\n" + "".join(f"{f.name:>16}" for f in fields(Row)), flush=True)

    def write(self, row):
        self.csv.writerow(row.cells())
        self.file.flush()
        print("".join(f"{v:>16}" for v in row.cells().values()).rstrip(), flush=True)


def measured(trial, method, batch):
    """The rows; one that says why where it does not go, as for want of memory or of a compiler."""
    try:
        return trial.rows(method, batch)
    except Exception as error:
        reason = "out of memory" if device.out_of_memory(error) else f"{type(error).__name__}: {error}"
    device.release(trial.at)
    return [Row(method, "step", batch, note=" ".join(reason.split())[:80])]


def asked(setting, names, at):
    """Whether a setting is named, in full or by its precision; without names all are, but compiled ones on a CPU."""
    if names:
        return setting.name in names or setting.precision in names
    return at.type == "cuda" or not setting.compile


def run(wanted, at, weights, limit):
    """All measurements that there is time for; yields what is skipped."""
    posed, shared = None, {}
    for setting in [s for s in SETTINGS if asked(s, wanted.settings, at)]:
        batches = sorted(wanted.batch, key=lambda b: abs(math.log(b / 16))) if setting.compile else wanted.batch
        methods = [m for m in wanted.methods if m != "dip" or setting.name in ("float32-contiguous", "tf32-contiguous")]
        left = [(batch, method) for batch in batches for method in methods]
        try:
            with limit.share():
                posed = posed or sipbench.pose("faces", "inpaint70", max(batches), wanted.size, device=str(at))[0]
                trial, sheet = Trial(setting, posed, weights, at, shared), Sheet(wanted.into, setting, at, wanted.size)
            if setting == SETTINGS[0]:
                with limit.share():
                    for batch in batches:
                        sheet.write(streams(posed, batch, at))
        except Over:
            yield f"{setting.name}: all"
            continue
        for batch, method in left:
            try:
                with limit.share(wanted.limit / 5):
                    for row in measured(trial, method, batch):
                        sheet.write(row)
            except Over:
                yield f"{setting.name}: {method} at batch {batch}"


def listed(kind):
    return lambda text: [kind(part) for part in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=540)
    parser.add_argument("--batch", type=listed(int), default=[1, 4, 16, 64])
    parser.add_argument("--methods", type=listed(str), default=list(SHORT))
    parser.add_argument("--settings", type=listed(str), default=[])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", type=device.choose, default="auto")
    parser.add_argument("--into", type=Path, default=Path("results/speed"))
    wanted = parser.parse_args()
    known = {name for setting in SETTINGS for name in (setting.name, setting.precision)}
    for given, names in ((wanted.methods, set(SHORT)), (wanted.settings, known)):
        if not set(given) <= names:
            parser.error(f"{', '.join(sorted(set(given) - names))}: known are {', '.join(sorted(names))}")
    limit = Limit(wanted.limit)
    device.make_deterministic(wanted.device)
    with tempfile.TemporaryDirectory() as weights:
        published.lay_pixel(Path(weights) / "ffhq-256", wanted.size)
        published.lay_latent(Path(weights) / "ldm", wanted.size)
        skipped = list(run(wanted, wanted.device, weights, limit))
    print("\nskipped: " + ("; ".join(skipped) if skipped else "nothing"))


if __name__ == "__main__":
    main()
