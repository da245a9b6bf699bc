"""A cell: (dataset, degradation, method, seed, protocol), resolved from a config and named by its hash."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import checkpoints, configs
from sipbench.bench import validate
from sipbench.bench.identity import digest, identity, question
from sipbench.bench.lesson import Lesson, lessons, operator_file
from sipbench.bench.needs import wants_prior
from sipbench.bench.options import Options, resolve
from sipbench.bench.options import typed as typed_options
from sipbench.bench.variants import sized, trained_prior, variant
from sipbench.datasets import Dataset
from sipbench.datasets.base import Paired
from sipbench.errors import UserError, unknown
from sipbench.safety.text import file_word

Node = dict[str, Any]


class NotApplicable(UserError):
    """This method cannot do this cell; the reason is the message."""


@dataclass(frozen=True)
class Cell:
    """What a resolved config says of one cell. Nodes are a config's entries as plain data.

    Attributes:
        method, degradation, source, prior: the nodes of the method, the degradation, the dataset and the prior.
        probe: the node of what watches its solves, or None.
        typed: solver options that were named by hand; they win over all others.
        seed, split, size, chosen_images: which images, and of how many pixels along one side.
        draws: how often the solver draws for each image, with streams of its own each time.
        tuned: whether settings that the paper or the demo names are used; else the paper's defaults alone.
        metrics, keep_images: what is scored, and whether what the solver returned is kept.
        device, batch_size, budget_seconds, retry_failed: how it is run.
        isolate, kill_after, memory_limit: whether its solver has a process of its own, and what that may take.
        weights_folder, data, results: where things lie.
        wandb: what is sent there, and how.
        noise_told: whether the noise was named by hand, as it must be for real measurements.
        trained_on: the dataset that trained networks come from; the cell's own, unless this says otherwise.
        recipe: how the cell trains its networks and its prior itself, or None: they are there.
    """

    method: Node
    degradation: Node
    source: Node = field(default_factory=dict)
    prior: Node | None = None
    probe: Node | None = None
    typed: dict[str, Any] = field(default_factory=dict)
    profile: str = "none"
    seed: int = 0
    split: str = "test"
    size: int = 0
    chosen_images: Any = 8
    draws: int = 1
    tuned: bool = True
    metrics: tuple[str, ...] = ()
    keep_images: bool = True
    device: str = "auto"
    batch_size: int = 8
    budget_seconds: float | None = None
    retry_failed: bool = False
    isolate: bool = False
    kill_after: float | None = None
    memory_limit: str | None = None
    weights_folder: str = "weights"
    data: str = "data"
    results: Path = Path("results")
    wandb: Mapping[str, Any] = field(default_factory=dict)
    noise_told: bool = False
    trained_on: str = ""
    recipe: Node | None = None

    @classmethod
    def of(cls, cfg: Any, overrides: list[str]) -> Cell:
        """From a composed config, or one that is plain data already, and the overrides that were typed."""
        plain = dict(cfg) if type(cfg) is dict else configs.plain(cfg)
        validate.whole(plain)
        if plain.get("noise"):
            plain["degradation"] = plain["degradation"] | {"noise": plain["noise"]}
        validate.options(plain)
        plain |= validate.places(plain)
        keys = configs.Overrides(overrides).leaves
        kind = None if "prior" in keys else plain["method"].get("prior")
        typed = [k.removeprefix("prior.") for k in keys if k.startswith("prior.")]
        same = ("degradation", "method", "seed", "split", "size", "device", "batch_size", "retry_failed", "keep_images")
        trained_on = plain.get("trained_on") or plain["dataset"]["name"]
        if "trained_on" in keys and "prior" not in keys:
            plain["prior"] = trained_prior(trained_on)
        return cls(
            **{name: plain[name] for name in same},
            source=plain["dataset"],
            prior=variant(plain.get("prior"), kind, typed),
            probe=plain.get("probe"),
            typed=typed_options(plain["method"].get("solver", {}), keys),
            profile=(plain.get("profile") or {}).get("name", "none"),
            chosen_images=plain["images"],
            draws=plain.get("draws", 1),
            tuned=bool(plain.get("tuned", True)),
            metrics=tuple(plain["metrics"]),
            budget_seconds=plain.get("budget_seconds"),
            isolate=plain.get("isolate", False),
            kill_after=plain.get("kill_after"),
            memory_limit=plain.get("memory_limit"),
            weights_folder=str(plain["weights"]),
            data=str(plain["data"]),
            results=Path(plain["results"]),
            wandb=plain.get("wandb") or {"mode": "disabled"},
            trained_on=trained_on,
            recipe=plain.get("recipe"),
            noise_told=any(k.split(".")[0] == "noise" or k.startswith("degradation.noise") for k in keys),
        )

    @property
    def names(self) -> tuple[str, str, str]:
        """The names of the dataset, the degradation and the method."""
        return self.source["name"], self.degradation["name"], self.method["name"]

    @property
    def label(self) -> str:
        """How progress and messages name this cell."""
        return " / ".join(self.names)

    @cached_property
    def images(self) -> list[int]:
        """The indices of the images, in order."""
        images = self.chosen_images
        if images == "all":
            validate.ends(self.dataset, self.split)
            return list(range(len(self.dataset)))
        if type(images) is int:
            validate.count(self.dataset, self.split, images)
        chosen = list(range(images)) if isinstance(images, int) else images
        whole = isinstance(chosen, list) and all(type(i) is int and i >= 0 for i in chosen)
        if isinstance(images, bool) or not whole or not chosen or len(set(chosen)) < len(chosen):
            raise UserError(f"images is all, a number above 0, or a list of different indices, not {images}")
        if type(images) is not int:
            validate.within(self.dataset, self.split, max(chosen))
        return chosen

    @cached_property
    def _resolved(self) -> Options:
        asked = {self.method["ensemble"]: self.draws} if self.moves_ensemble else {}
        return resolve(self.method, self.degradation["name"], self.profile, self.tuned, asked | self.typed)

    @property
    def image_metrics(self) -> list[str]:
        """Those of the metrics that look at one image; the others look at draws."""
        from sipbench.metrics import METRICS

        return [name for name in self.metrics if not METRICS[name].of_draws]

    @property
    def moves_ensemble(self) -> bool:
        """Whether the draws of an image are made together, by a solver that moves an ensemble."""
        return self.draws > 1 and bool(self.method.get("ensemble"))

    @property
    def options(self) -> dict[str, Any]:
        """The solver's keyword arguments."""
        return self._resolved.values

    @property
    def origins(self) -> dict[str, str]:
        """Where each option comes from."""
        return self._resolved.origins

    @property
    def precision(self) -> str:
        """The precision of what the solver is handed."""
        return self._resolved.precision

    @cached_property
    def solver(self) -> Any:
        """The solver function, its options checked against its signature."""
        target = configs.locate(self.method["solver"]["_target_"])
        known = inspect.signature(target).parameters
        if any(p.kind is p.VAR_KEYWORD for p in known.values()):
            return target
        own = [n for n, p in known.items() if p.kind is p.KEYWORD_ONLY]
        for name in self.options:
            if name not in own:
                raise unknown(f"option of method {self.method['name']}", name, own)
        try:
            configs.typed(target, configs.built(self.options))
        except ValueError as error:
            raise UserError(f"{self.method['name']}: {error}") from error
        self._within_limits()
        return target

    def _within_limits(self) -> None:
        """Refuse a number that its method says it cannot work with."""
        for name, (least, most) in (self.method.get("limits") or {}).items():
            value = self.options.get(name)
            if isinstance(value, (int, float)) and not least <= value <= most:
                raise UserError(f"{self.method['name']}: {name} lies between {least:g} and {most:g}, not at {value:g}")

    @cached_property
    def dataset(self) -> Any:
        """The dataset; building it only lists what there is."""
        key = json.dumps([self.source, self.split, self.size], sort_keys=True, default=str)
        if key not in self._opened:
            self._opened[key] = self._open()
        return self._opened[key]

    @cached_property
    def _opened(self) -> dict[str, Any]:
        """The datasets that were opened already; cells that belong together share them (see `cells.py`)."""
        return {}

    def _open(self) -> Any:
        node = self._handed_on(self.source)
        with configs.in_a_line(f"the dataset {self.source['name']}"):
            dataset = configs.build(node)
        if Dataset not in type(dataset).__mro__ and not isinstance(dataset, Dataset):
            raise UserError(f"{self.source['name']} is no dataset: let its class inherit sipbench.datasets.Dataset")
        sides = ((self.size, self.size), (1, self.size), (2, self.size))  # of a picture, of a real and a complex point
        if not dataset.measured and self.size and tuple(dataset.shape[-2:]) not in sides:
            raise UserError(f"{self.source['name']} has images of {dataset.shape}, and size={self.size} was asked for")
        return dataset

    def _handed_on(self, node: Node) -> Node:
        """A dataset's node with the split and the size, which every dataset must take, whatever its config forgets."""
        known = inspect.signature(configs.locate(node["_target_"])).parameters
        if "split" not in known:
            raise UserError(f"{node['name']}: a dataset takes the split that it is to show, an argument split=...")
        if (own := node.get("split", self.split)) != self.split:
            raise UserError(
                f"the dataset shows split {own!r} and the cell is of {self.split!r}: split={own} names both"
            )
        return {k: v for k, v in {"split": self.split, "size": self.size}.items() if k in known} | node

    @property
    def measured(self) -> bool:
        """Whether the dataset holds measurements; the truth of some is known too: `paired`."""
        return self.dataset.measured

    @property
    def paired(self) -> bool:
        """Whether the dataset holds measurements and their truth."""
        return self.measured and isinstance(self.dataset, Paired)

    @property
    def takes_prior(self) -> bool:
        """Whether the solver is handed a prior. One that states no needs is handed what there is."""
        needs = self.method.get("needs")
        has = bool((self.prior or {}).get("_target_"))
        return has and (needs is None or wants_prior(self.method))

    @cached_property
    def theta_shapes(self) -> dict[str, tuple[int, ...]]:
        """What the degradation leaves open: the shape of each part of theta without the batch; {} unless f is blind."""
        from sipbench.degradation import Degradation
        from sipbench.problem import Rng

        degradation = Degradation.of(self.degradation)
        f = degradation.build((1, *degradation.x_shape(self.dataset)), Rng.of(0, "check", [0]))
        return f.theta_shapes if f.blind else {}  # pyright: ignore

    @cached_property
    def priors(self) -> dict[str, Node]:
        """Further priors that the solver is handed: `NAME_prior` is one of the part NAME of theta, where it is open.

        `{side}` in a path stands for the largest multiple of four that fits into the box of that part: the networks
        halve a side twice.
        """
        nodes, needs = self.method.get("priors") or {}, self.method.get("needs")
        if not nodes or not (needs is None or wants_prior(self.method)):
            return {}
        open_ = {f"{part}_prior": shape for part, shape in self.theta_shapes.items()}
        return {name: sized(node, open_[name]) for name, node in nodes.items() if name in open_}

    @cached_property
    def weights(self) -> dict[str, Path]:
        """Every weight file that the cell uses, by the name of its part. Missing ones are an error that says how."""
        from sipbench.degradation import as_told

        found = self._prior_weights()
        for name, node in self.priors.items():
            if "path" in node:
                found[name] = self._weight_file(node["path"], node.get("get", ""))
        found |= self._operator_file("degradation", self.degradation["operator"])
        if self.degradation.get("told"):
            told = as_told(self.degradation)["operator"]
            found |= {} if told == self.degradation["operator"] else self._operator_file("told", told)
        dataset, degradation, method = self.names if self.source else ("", "", "")
        how = f"sipbench train net method={method} dataset={self.trained_on} size={self.size} degradation={degradation}"
        how += "; or take one of another dataset: trained_on=NAME"
        if self.trained_on not in configs.names("dataset"):
            known = ", ".join(configs.names("dataset"))
            how = f"there is no dataset {self.trained_on!r} to train it on; trained_on names one of {known}"
        elif degradation not in configs.names("degradation"):  # one that was built by hand
            how = "networks are trained for a degradation that has a config: name it and the size, as in "
            how += "degradation=sr4 size=64"
        for name, node in (self.method.get("networks") or {}).items():
            learned = self.lessons.get(name)
            if "path" in node:
                who = self.method["name"]
                found[name] = checkpoints.made_elsewhere(node["path"], self.weights_folder, who, node.get("get", ""))
            elif learned:
                found[name] = learned.weights(self.results)
            else:
                here = checkpoints.alike(node["weights"], f"-{self.trained_on}-", self.weights_folder)
                there = f". Here are: {', '.join(here)}" if here else ""
                found[name] = self._weight_file(node["weights"], node.get("get", how) + there)
        return found

    @property
    def waits(self) -> bool:
        """Whether its method is a network made elsewhere: what needs its file can do without, where that is absent."""
        return any("path" in node for node in (self.method.get("networks") or {}).values())

    @cached_property
    def lessons(self) -> dict[str, Lesson]:
        """What its recipe trains, by the part's name."""
        return lessons(self)

    @property
    def trainings(self) -> dict[str, Node]:
        """What each lesson that was given told when first asked, by its part: of the weights that were loaded."""
        for name, lesson in self.lessons.items():
            if name not in self._trainings and lesson.done(self.results):
                self._trainings[name] = checkpoints.read_json(lesson.folder(self.results) / "facts.json")
        return self._trainings

    @cached_property
    def _trainings(self) -> dict[str, Node]:
        return {}

    def _operator_file(self, name: str, node: Node) -> dict[str, Path]:
        """The checkpoint or the file that an operator is made of, under this name."""
        file = operator_file(node, self.degradation["name"])
        return {name: file} if file else {}

    def _prior_weights(self) -> dict[str, Path]:
        """The weights of the prior and of its codec. A solver that states no needs does without, where they lack."""
        if "prior" in self.lessons:
            return {"prior": self.lessons["prior"].weights(self.results)}
        if not (self.takes_prior and self.prior and "path" in self.prior):
            return {}
        try:
            folder = checkpoints.find(self.prior["path"], self.weights_folder, self.prior.get("get", ""))
        except UserError:
            if self.method.get("needs") is not None:
                raise
            return {}
        codec = checkpoints.codec_folder(folder)
        own = {"prior": checkpoints.weight_file(folder)}
        return own | ({"codec": checkpoints.weight_file(codec)} if codec else {})

    def _weight_file(self, path: str, how: str) -> Path:
        return checkpoints.weight_file(checkpoints.find(path, self.weights_folder, how))

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that can change the result, and nothing else (no device, batch size, launcher or logging)."""
        return identity(self)

    @cached_property
    def hash(self) -> str:
        return digest(self.identity)

    @cached_property
    def asked(self) -> str:
        """A hash of what is asked; cells that differ in nothing but the code that answers have the same."""
        return question(self)

    @property
    def folder(self) -> Path:
        """Where the rows of this cell lie, below the results folder."""
        return Path(self.results, "runs", *map(file_word, self.names), self.hash)
