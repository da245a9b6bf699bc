"""Try so many inputs, and tell of each that was not refused in a line, or did what no reader may do."""

import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass, field
from importlib import import_module

from tests.fuzz.samples import PLANTED
from tests.fuzz.targets import targets
from tests.fuzz.watch import Hang, Watch

_watch = []
LATE = (
    "diffusers.models.unets.unet_2d",
    "scipy.io",
    "onnxruntime",
    "pyarrow.parquet",
    "torchvision",
    "torch._inductor.codecache",
)
"""What a first input would import otherwise, which makes folders of its own and loads libraries."""


@dataclass
class Outcome:
    """What came of the inputs: how many a reader were refused, what went wrong, and what it took."""

    inputs: Counter = field(default_factory=Counter)
    refused: Counter = field(default_factory=Counter)
    seconds: Counter = field(default_factory=Counter)
    wrong: list = field(default_factory=list)
    longest: float = 0.0


def fuzz(folder, count, seed, only=None):
    """The outcome of `count` inputs, shared among the readers; `only` says which number alone."""
    plant(folder)
    _watch.extend([Watch()] if not _watch else [])
    for name in LATE:
        import_module(name)
    outcome, known = Outcome(), targets()
    agenda = [name for name, one in known.items() for _ in range(max(1, round(one.share * count / 1000)))]
    for number, name in enumerate(agenda):
        if only in (None, number):
            _one(known[name], name, f"{seed}/{number}", folder, outcome)
    return outcome


def plant(folder):
    """A module that leaves a mark when it is imported, where an import would find it."""
    (folder / "path").mkdir(exist_ok=True)
    (folder / "path" / f"{PLANTED}.py").write_text(f"open({str(folder / 'pwned')!r}, 'w').close()\n")
    if str(folder / "path") not in sys.path:
        sys.path.append(str(folder / "path"))


def _one(target, name, at, folder, outcome):
    rng, place = random.Random(f"{at} {name}"), folder / "work"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    given = target.make(rng)
    outcome.inputs[name] += 1
    began, said = time.process_time(), ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _watch[0].on(folder):
            try:
                target.read(given, place)
            except target.refusals as error:
                outcome.refused[name] += 1
                said = "" if str(error).strip() else "it is refused without a word"
            except Hang as error:
                said = f"it hangs: {error}"
            except BaseException as error:
                said = "".join(traceback.format_exception(error)[-6:])
    spent = time.process_time() - began
    outcome.seconds[name] += spent
    outcome.longest = max(outcome.longest, spent)
    seen = [*_watch[0].seen, *(["code was imported"] if PLANTED in sys.modules or (folder / "pwned").exists() else [])]
    if said or seen:
        outcome.wrong.append(f"{name}, input {at}: {'; '.join(seen)} {said}".strip())


def report(outcome, seed, began):
    """What it came to, a line a reader."""
    for name, n in outcome.inputs.items():
        print(f"{name:<26}{n:>6} inputs {outcome.refused[name]:>6} refused {outcome.seconds[name]:>7.1f} s")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{sum(outcome.inputs.values())} inputs, seed {seed}: {len(outcome.wrong)} went wrong; "
        f"{time.process_time() - began:.0f} s of processor time, the longest {outcome.longest:.1f} s, {memory:.1f} GiB"
    )
    alike = {}
    for text in outcome.wrong:
        alike.setdefault(text.partition(", input")[0] + text.strip().rpartition("  File ")[2], []).append(text)
    for texts in alike.values():
        print(f"\n{len(texts)} alike, such as {texts[0]}")
