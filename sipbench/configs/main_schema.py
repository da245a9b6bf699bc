"""What the files at the top of conf/ may say: config.yaml of a cell, and train_*.yaml of `sipbench train`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sipbench.configs.find import root
from sipbench.configs.keys import check, key
from sipbench.configs.nodes import Settings
from sipbench.configs.yaml_file import load


@dataclass
class Wandb:
    """What is sent to wandb."""

    mode: Literal["disabled", "offline", "online"] = key("whether a cell is logged, and where")
    project: str = key("the project there")
    images: int = key("how many pictures of a cell")
    group: str | None = key("of runs that belong together: those of a sweep have its name")
    tags: list[str] = key("beside those of the cell and of its sweep")


@dataclass
class Config:
    """A cell: which images, how they are solved, and where things lie."""

    seed: int = key("the seed of all random streams", required=True)
    split: str = key("the split of the dataset that is solved")
    trained_on: str = key("the dataset that trained networks come from, and the prior")
    size: int = key("pixels along one side")
    images: int | list[int] | Literal["all"] = key("how many of the split, which, or all")
    batch_size: int = key("images at a time")
    draws: int = key("how often a solver draws for each image")
    path: str | None = key("the file of a network made elsewhere")
    trusted: bool = key("whether files that are code may be loaded")
    tuned: bool = key("whether what the paper sets per task and the demo sets is used")
    device: str = key("auto, cpu, cuda, cuda:1, ...")
    budget_seconds: float | None = key("the seconds after which a batch's solver is ended")
    isolate: bool = key("whether its solver has a process of its own, which may crash or hang alone")
    kill_after: float | None = key("with isolate, the seconds that a batch's solver may take")
    memory_limit: str | None = key("with isolate, the memory that it may take, such as 4GB")
    metrics: list[str] = key("what is scored")
    keep_images: bool = key("whether what the solver returned is kept")
    retry_failed: bool = key("whether images that failed are tried again")
    wandb: Wandb = key("what is sent to wandb")
    data: str = key("the folder of datasets")
    weights: str = key("the folder of checkpoints of your own")
    results: str = key("the folder of the store, of tables and of logs")
    hydra: Settings = key("where Hydra puts its logs")


@dataclass
class Train:
    """What all trainings share."""

    split: Literal["train"] = key("the split that is learned from", required=True)
    size: int = key("pixels along one side")
    name: str | None = key("what the trained folder is called; null: the name that the method looks for")
    schedule: Settings = key("how long and how fast: see sipbench train")
    init: str | None = key("the checkpoint whose weights it starts from")
    device: str = key("auto, cpu, cuda, cuda:1, ...")
    data: str = key("the folder of datasets")
    weights: str = key("the folder that the trained one lands in")
    results: str = key("the folder of the run until it is done")


@dataclass
class TrainNet(Train):
    """Training of a method's network."""

    trained_on: str = key("the dataset in the name that the method looks for")
    part: str | None = key("which of the method's networks; null: its first")
    images: int | None = key("how many of the training images; null: all")
    subset: int = key("which, where there are fewer than all")
    validation: int = key("how many validation images its progress is looked at on")
    error: Literal["l1", "rms", "mse", "matching"] = key("what is asked of the network")
    target: Literal["truth", "representative", "measurement"] = key("what an estimate is held against")
    tuned: bool = key("whether the solver has its settings for this task")


@dataclass
class TrainPrior(Train):
    """Training of a prior."""

    codec: str | None = key("the autoencoder whose codes it is a prior of")


@dataclass
class TrainAutoencoder(Train):
    """Training of an autoencoder, for a prior of its codes."""

    kl: float = key("weight of the codes' divergence from a standard normal")
    edges: float = key("weight of the errors of neighbouring pixels' differences")


MAIN: dict[str, type] = {
    "config": Config,
    "train_net": TrainNet,
    "train_prior": TrainPrior,
    "train_autoencoder": TrainAutoencoder,
}


def check_main(name: str) -> None:
    """Refuse what the file of this name, conf/NAME.yaml, may not say."""
    path = root() / f"{name}.yaml"
    _check(name, str(path), path.stat().st_mtime_ns)


@cache
def _check(name: str, path: str, changed: int) -> None:
    node: dict[str, Any] = load(root() / f"{name}.yaml")
    check(MAIN[name], node, path)
