"""`sipbench doctor`: what is here, what is not, what could run, and what to do about the rest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

from sipbench import configs
from sipbench.checkpoints import at_home
from sipbench.cli.things import Finding, findings
from sipbench.configs import Overrides
from sipbench.errors import UserError, unknown
from sipbench.safety.text import counted

HELP = """\
sipbench doctor [--all] [TABLE ...] [key=value ...]     what is installed, present and missing here, and how to get it

  --all                            where each was looked for
  TABLE                            what the cells of a table lack, and who needs it; in each profile, or in profile=NAME
  data= weights= results=          other folders than those of the configuration

Exit code 0: what is missing is for the reader to judge.

Example:  sipbench doctor table1 profile=paper data=/mnt/images
"""
WIDTH = 160  # of a line on the page


def main(words: list[str]) -> int:
    """Print the page, or all that there is to say; of tables only that."""
    from sipbench import tables
    from sipbench.bench import validate

    asked = [word for word in words if "=" not in word and word != "--all"]
    for word in words:
        if word.startswith("-") and word != "--all":
            raise UserError(f"unknown word {word!r}: sipbench doctor [--all] [TABLE ...] [data=FOLDER ...]")
    for word in asked:
        if word not in tables.names():
            raise unknown("word or table", word, tables.names())
    typed, everything = Overrides(word for word in words if "=" in word), "--all" in words
    if asked:
        _print("tables", _tables(asked, typed))
        return 0
    cfg = typed.compose()
    validate.shared(configs.plain(cfg))
    sections: dict[str, Callable[[], list[Finding]]] = {
        "datasets": lambda: findings("dataset", cfg),
        "priors": lambda: findings("prior", cfg),
        "metrics": lambda: list(_metrics()),
        "degradations that need a file": lambda: findings("degradation", cfg),
    }
    _print("versions", _versions())
    _print("device", _device())
    _print("folders", _folders(cfg))
    for title, look in sections.items():
        found = look()
        _print(title, _whole(found) if everything else _short(found))
    if not everything:
        print("sipbench doctor --all: where each was looked for")
    print("sipbench doctor TABLE, such as table1: what its cells lack (it composes each of them)")
    return 0


def _print(title: str, lines: Iterator[str]) -> None:
    print(title)
    for line in lines:
        print(f"  {line}")


def _short(found: list[Finding]) -> Iterator[str]:
    """Those that are here in one line, and a line for each that is not."""
    here = [finding.name for finding in found if finding.present]
    if here:
        yield f"here: {', '.join(here)}"
    for finding in found:
        if not finding.present:
            line = f"not here: {finding.name:<16} {' '.join(finding.how.split())}"
            yield line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _whole(found: list[Finding]) -> Iterator[str]:
    return (f"{f.name:<16} {'present' if f.present else 'missing'}: {f.where}" for f in found)


def _versions() -> Iterator[str]:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    names = ("sipbench", "torch", "torchvision", "diffusers", "hydra-core", "hydra-submitit-launcher", "lpips")
    found = [f"python {platform.python_version()}"]
    for name in (*names, "torchmetrics", "pandas", "wandb"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # noqa: PERF203
            found.append(f"{name} MISSING (pip install {name})")
    yield from (", ".join(found[i : i + 4]) for i in range(0, len(found), 4))


def _device() -> Iterator[str]:
    import os

    import torch

    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            yield f"cuda:{i} {torch.cuda.get_device_name(i)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
    else:
        yield "no GPU that torch can see: the demo runs on the CPU; the paper profile would take days"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield f"cpu: {torch.get_num_threads()} threads, {memory:.0f} GiB memory"


def _folders(cfg: Any) -> Iterator[str]:
    for key in ("data", "weights", "results"):
        folder = at_home(cfg[key])
        state = "present" if folder.is_dir() else "not there"
        yield f"{key:<8} {folder.resolve()}: {state} (change it with {key}=... or SIPBENCH_{key.upper()})"
    from sipbench.metrics import backbones

    files = [path.name for net in backbones.BACKBONES if (path := backbones.present(net))]
    state = ", ".join(files) or "no backbone: sipbench fetch lpips"
    yield f"LPIPS    {backbones.folder()}: {state} (TORCH_HOME moves it)"
    results = at_home(cfg["results"]).resolve()
    existing = next(p for p in (results, *results.parents) if p.exists())
    yield f"free disk for results: {shutil.disk_usage(existing).free / 2**30:.0f} GiB"


def _metrics() -> Iterator[Finding]:
    from sipbench import metrics
    from sipbench.metrics import backbones

    for name, metric in metrics.METRICS.items():
        lack = metrics.available(name)
        file = f", with {backbones.present(metric.backbone)}" if metric.backbone else ""
        yield Finding(name, lack is None, lack or f"ready{file}", lack or "")


def _tables(names: list[str], words: Overrides) -> Iterator[str]:
    from sipbench import tables

    chosen, rest = words.take("profile")
    for name in names:
        for profile in [chosen] if chosen else configs.read("table", name)["profiles"]:
            spec = tables.load(name, profile, rest)
            lacks = tables.missing(spec)
            count = sum(len(entry.cells) for entry in spec.planned)
            here = "" if lacks else ", and every file that they need is here"
            yield f"{name} {profile}: {counted(count, 'cell')}{here}"
            yield from (f"  lacks {line}" for line in lacks)
