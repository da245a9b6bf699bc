"""The options that every command knows: each is refused at once and in one line, however much is done already."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from sipbench import metrics
from sipbench.bench import memory
from sipbench.checkpoints import at_home
from sipbench.configs.keys import check
from sipbench.configs.schema import Recipe
from sipbench.datasets import Dataset
from sipbench.datasets.base import ENDLESS
from sipbench.errors import UserError, unknown
from sipbench.safety import sizes
from sipbench.safety.text import counted

DEVICES = re.compile(r"auto|cpu|mps|cuda(:[0-9]+)?")
WANDB = ("disabled", "offline", "online")
FLAGS = ("tuned", "retry_failed", "keep_images", "trusted", "isolate")
FOLDERS = ("data", "weights", "results")
REQUIRED = (
    *("dataset", "degradation", "method", "seed", "split", "size", "images", "metrics"),
    *("device", "batch_size", "retry_failed", "keep_images", *FOLDERS),
)
LARGEST_SEED = 2**63 - 1  # what a column of whole numbers holds


def options(cfg: Mapping[str, Any]) -> None:
    """Refuse what makes no sense of a composed config; nothing is built, opened or looked for."""
    shared(cfg)
    if isinstance(cfg.get("seed"), int) and abs(cfg["seed"]) > LARGEST_SEED:
        raise UserError(f"seed is a whole number of at most 18 digits, not {cfg['seed']}")
    _how(cfg)
    _metrics(cfg.get("metrics", []))
    _wandb(cfg.get("wandb") or {"mode": "disabled"})
    if cfg.get("recipe"):
        check(Recipe, cfg["recipe"], "recipe")


def shared(cfg: Mapping[str, Any]) -> None:
    """What a cell and a training have in common: words that are true or false, folders, the device and the size."""
    for name in FLAGS:
        if not isinstance(cfg.get(name, True), bool):
            raise UserError(f"{name} is true or false, not {cfg[name]!r}")
    folders(cfg)
    if not DEVICES.fullmatch(str(cfg.get("device", "auto"))):
        raise UserError(f"unknown device {cfg['device']!r}: use auto, cpu, cuda or cuda:0")
    size(cfg.get("size"))


def whole(cfg: Mapping[str, Any]) -> None:
    """Refuse a config that something was taken out of, and names that are none."""
    for name in REQUIRED:
        if name not in cfg:
            raise UserError(f"{name} is missing: it cannot be taken out")
    for part in ("dataset", "degradation", "method"):
        name = cfg[part].get("name") if isinstance(cfg[part], Mapping) else None
        if not isinstance(name, str):
            raise UserError(f"{part}.name is a word, not {name!r}: {part}=NAME chooses one: sipbench list {part}s")
    for part, node in {"dataset": cfg["dataset"], "method.solver": cfg["method"].get("solver")}.items():
        if not _target(node):
            raise UserError(f"{part}._target_ is missing: it cannot be taken out")


def plain_name(name: object) -> None:
    """Refuse what names no folder right below the weights."""
    if name is not None and (not isinstance(name, str) or not name.strip(".") or re.search(r"[/\\\0]", name)):
        raise UserError(
            f"name is a folder's name below weights, without / and \\, not {name!r}: weights=FOLDER says where"
        )


def taken(methods: Sequence[Mapping[str, Any]], path: str | None) -> None:
    """Refuse a path that none of these methods takes."""
    networks = [method.get("networks") or {} for method in methods]
    if path is None or any(node.get("path") == path for nodes in networks for node in nodes.values()):
        return
    keys = {part: "path=FILE" if "path" in node else "weights=FOLDER" for part, node in networks[0].items()}
    how = " and ".join(f"method.networks.{part}.{key}" for part, key in keys.items())
    own = f"its weights are named by {how}, and " if keys else ""
    raise UserError(f"{methods[0]['name']} takes no path: {own}a network of yours is run by method=external path=FILE")


def folders(cfg: Mapping[str, Any]) -> None:
    """Refuse what is no folder's name."""
    if not isinstance(cfg.get("path") or "", str):
        raise UserError(f"path is a file, not {cfg['path']!r}; a number is quoted: path=\"'{cfg['path']}'\"")
    for name in FOLDERS:
        if not isinstance(cfg.get(name, ""), str):
            raise UserError(f"{name} is a folder, not {cfg[name]!r}; a number is quoted: {name}=\"'{cfg[name]}'\"")


def places(cfg: Mapping[str, Any]) -> dict[str, str]:
    """The folders of a config, with the home folder in the place of `~`."""
    return {name: str(at_home(cfg[name])) for name in FOLDERS if name in cfg}


def _target(node: Any) -> bool:
    """Whether it is a node that names what is built."""
    return isinstance(node, dict) and isinstance(node.get("_target_"), str)


def _how(cfg: Mapping[str, Any]) -> None:
    """Seed, batch size, draws, limits, and that there is a degradation."""
    for part in ("operator", "noise"):
        if not _target((cfg.get("degradation") or {}).get(part)):
            raise UserError(f"a degradation has an operator and a noise, each with a _target_: {part} is missing")
    seed = cfg["seed"]
    if type(seed) is not int:
        raise UserError(f"seed is a whole number, not {seed!r}")
    for name in ("batch_size", "draws"):
        if type(cfg.get(name, 1)) is not int or cfg.get(name, 1) < 1:
            raise UserError(f"{name} is a whole number from 1 on, not {cfg[name]!r}")
    for name in ("budget_seconds", "kill_after"):
        seconds = cfg.get(name)
        if seconds is not None and not (type(seconds) in (int, float) and seconds > 0):
            raise UserError(f"{name} is a number above 0, or null, not {seconds!r}")
    if cfg.get("memory_limit") is not None:
        memory.size(cfg["memory_limit"])


def size(pixels: object) -> None:
    """Refuse images of which a single one does not fit into memory; what is no whole number the dataset refuses."""
    if type(pixels) is not int or pixels < 1:
        return
    have = sizes.memory()
    needed = 3 * 8 * pixels**2
    if needed > have:
        fits = int((have / 24) ** 0.5)
        text = f"one image of size={pixels} is {needed / 2**30:,.0f} GiB in double precision"
        raise UserError(f"{text}, and this machine has {have / 2**30:,.0f} in all: size is at most {fits}")


def count(dataset: Dataset, split: str, wanted: int) -> None:
    """Refuse more images than the dataset has. One that is not here says so where it is needed."""
    try:
        have = len(dataset)
    except UserError:
        return
    if wanted > have:
        where = f"{dataset.name}: split {split!r}"
        raise UserError(
            f"{where} has {counted(have, 'image')}, and images={wanted} asks for more: images={have}, or images=all"
        )


def within(dataset: Dataset, split: str, last: int) -> None:
    """Refuse an image beyond the last one."""
    try:
        have = len(dataset)
    except UserError:
        return
    if last >= have:
        where = f"{dataset.name}: split {split!r}"
        raise UserError(f"{where} has {counted(have, 'image')}, numbered from 0 on: image {last} is outside")


def ends(dataset: Dataset, split: str) -> None:
    """Refuse all images of a split that is as long as one that is drawn by formula."""
    if (have := len(dataset)) >= ENDLESS:
        said = f"{dataset.name}: split {split!r} has {have:,} images, and images=all asks for each"
        raise UserError(f"{said}: say how many, as in images=8")


def servable(dataset: Dataset, images: Sequence[int]) -> None:
    """Refuse images that the dataset has and that cannot serve, such as those smaller than the size asked for."""
    said = dataset.unfit(images)
    if said:
        raise UserError(said)


def loaded(dataset: Dataset, images: Sequence[int], x: object) -> None:
    """Refuse what a dataset gives as its images where it is not what every part takes it for."""
    shape = (len(images), *dataset.shape)
    if not isinstance(x, Tensor):
        said = f"a {type(x).__name__}"
    elif dataset.measured:  # looked at where it is accepted
        return
    elif not x.is_floating_point():
        said = f"{x.dtype} numbers"
    elif tuple(x.shape) != shape:
        said = f"a tensor of {tuple(x.shape)}"
    elif not x.isfinite().all():
        said = "values that are not finite"
    elif not hasattr(dataset, "posterior") and float(x.abs().max()) > 1 + 1e-3:
        said = f"values from {x.min():.4g} to {x.max():.4g}"
    else:
        return
    what = "measurements are a tensor" if dataset.measured else f"images are a float tensor of {shape}, in [-1, 1]"
    raise UserError(f"the dataset {dataset.name}: load gives {said}; {what}")


def _metrics(names: object) -> None:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        example = names if isinstance(names, str) else "psnr,ssim"
        raise UserError(f"metrics is a list, not {names!r}: metrics=[{example}]")
    for name in names:
        if name not in metrics.METRICS:
            raise unknown("metric", name, metrics.METRICS)


def _wandb(node: object) -> None:
    if not isinstance(node, Mapping):
        raise UserError(f"wandb cannot be replaced as a whole by {node!r}: wandb.mode={'|'.join(WANDB)}")
    mode, images = node.get("mode"), node.get("images", 4)
    if mode not in WANDB:
        raise unknown("wandb.mode", str(mode), WANDB)
    if type(images) is not int or images < 0:
        raise UserError(f"wandb.images is a whole number from 0 on, not {images!r}")
    group, tags = node.get("group"), node.get("tags") or []
    if not isinstance(group or "", str):
        raise UserError(f"wandb.group is a name, not {group!r}")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise UserError(f"wandb.tags is a list of names, not {tags!r}: wandb.tags=[first,second]")
