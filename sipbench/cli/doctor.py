"""`sipbench doctor`: what is here, what is not, which cells could run, and what to do about the rest."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sipbench import checkpoints, configs
from sipbench.errors import UserError


def examine(words: list[str]) -> int:
    """Print the findings. Exit code 0: what is missing is for the reader to judge."""
    cfg = configs.compose(words)
    for title, lines in (
        ("versions", _versions()),
        ("device", _device()),
        ("folders", _folders(cfg)),
        ("datasets", _datasets(cfg)),
        ("degradations that need a file", _degradations(cfg)),
        ("priors", _priors(cfg)),
        ("metrics", _metrics(cfg)),
        ("tables", _tables(words)),
    ):
        print(f"{title}")
        for line in lines:
            print(f"  {line}")
    return 0


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
        folder = Path(cfg[key]).expanduser()
        state = "present" if folder.is_dir() else "not there"
        yield f"{key:<8} {folder.resolve()}: {state} (change it with {key}=... or SIPBENCH_{key.upper()})"
    existing = next(p for p in (Path(cfg["results"]).resolve(), *Path(cfg["results"]).resolve().parents) if p.exists())
    yield f"free disk for results: {shutil.disk_usage(existing).free / 2**30:.0f} GiB"


def _datasets(cfg: Any) -> Iterator[str]:
    for name in configs.names("dataset"):
        try:
            one = configs.compose([f"dataset={name}", f"data={cfg['data']}"])
            dataset = configs.build(_plain(one["dataset"]))
            yield f"{name:<14} present, {len(dataset):,} images"
        except UserError as error:
            yield f"{name:<14} missing: {error}"


def _degradations(cfg: Any) -> Iterator[str]:
    for name in configs.names("degradation"):
        node = configs.read("degradation", name)["operator"]
        if "checkpoint" in node:
            kind = configs.locate(node["_target_"])
            try:
                yield f"{name:<14} present: {kind.weight_file(**node | {'weights': cfg['weights']})}"
            except UserError as error:
                yield f"{name:<14} {error}"


def _priors(cfg: Any) -> Iterator[str]:
    for name in configs.names("prior"):
        node = configs.read("prior", name)
        if "path" not in node or node["path"] == "???":
            continue
        try:
            yield f"{name:<14} present: {checkpoints.find(node['path'], cfg['weights'], node.get('get', ''))}"
        except UserError as error:
            yield f"{name:<14} {error}"


def _metrics(cfg: Any) -> Iterator[str]:
    from sipbench import metrics

    for name in metrics.METRICS:
        lack = metrics.available(name)
        yield f"{name:<14} {'ready' if lack is None else lack}"


def _tables(words: list[str]) -> Iterator[str]:
    from sipbench import tables

    for name in tables.names():
        for profile in ("demo", "paper"):
            spec = tables.load(name, profile, words)
            ready = [e for e in spec.cells() if e.cell is not None]
            lacking = tables.missing(spec)
            yield f"{name} {profile}: {len(ready)} of {len(spec.cells())} cells could run here"
            yield from (f"  lacks {line}" for line in lacking)


def _plain(node: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(node, resolve=True)  # pyright: ignore
