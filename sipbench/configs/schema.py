"""What each kind of YAML in conf/ may say. A file is checked when it is read, a plugin's as the project's own.

`sipbench list schema KIND` prints a kind; docs/configs.md is made of these (python -m sipbench.configs.describe).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sipbench.configs.find import choice
from sipbench.configs.keys import check, check_options, is_open, key
from sipbench.configs.method_schema import Method
from sipbench.configs.nodes import Address, Node, Settings, known
from sipbench.configs.source_text import words_of
from sipbench.configs.table_schema import Table
from sipbench.errors import UserError


@dataclass
class Trained:
    """What a prior was trained on."""

    dataset: str = key("its name", required=True)
    images: int | None = key("how many images of it; null where that is not published")
    before: str | None = key("what it had been trained on before")


@dataclass
class Told:
    """What a solver hears of a measurement where that is not the truth; the score keeps to the truth."""

    operator: Settings = key("options of the operator that differ, or another operator with its `_target_`")
    noise: Settings = key("options of the noise that differ, or another noise with its `_target_`")


@dataclass
class Degradation:
    """A forward map and a noise model."""

    name: str = key("how commands and tables name it", required=True)
    title: str = key("how tables print it")
    published: str | None = key("its name in the files of published numbers")
    protocol: str = key("in a sentence, whose setting this is")
    range: str = key("the range of the images, if it is not [-1, 1]")
    unknown: str = key("what the unknown is made of a picture of the dataset: image, grey, complex or object")
    operator: Node = key("the forward map", required=True)
    noise: Node = key("the noise model", required=True)
    noise_on_invalid: bool = key("whether noise is added also where y carries no information")
    reveal_noise: bool = key("whether the solver is told the noise model")
    told: Told = key("what the solver is told in the place of the truth")
    check: Settings = key("options of the operator for the contract tests, which run it on small images")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Words and options that are not known."""
        if node.get("unknown") is not None:
            known("word under unknown", node["unknown"], words_of("sipbench.operators.unknowns", "UNKNOWNS"), where)
        check_options((node.get("operator") or {}).get("_target_"), node.get("check") or {}, f"{where}: check")


@dataclass
class Noise(Node):
    """A noise model; its other keys are the options of its `_target_`."""


@dataclass
class Dataset(Node):
    """A dataset; its other keys are the options of its `_target_`."""

    name: str = key("how commands and tables name it", required=True)
    title: str = key("how tables print it")
    published: str | None = key("its name in the files of published numbers, at the published size")
    images: Literal["all"] = key("all of its images are taken, whatever the profile, unless images= says otherwise")
    get: str | None = key("how to come by it")


@dataclass
class Metric(Node):
    """A metric; its other keys are the options of its `_target_`.

    That is called with the estimates, the truth, both (B, C, H, W) in [-1, 1], and the options, and gives one value an
    image. Stored scores go by the name: a metric that is changed takes another.
    """

    name: str = key("how commands and rows name it: that of the file", required=True)
    title: str = key("the heading of its column")
    citation: str = key("who published it, and where")
    higher_is_better: bool | None = key("which way is up; null where a value in between is right")
    unit: str = key("dB, or nothing")
    smallest: int = key("the least height and width that it is defined for")
    channels: list[int] = key("the numbers of channels that it takes; any, unless this says otherwise")
    whole: bool = key("of a complex image it compares real and imaginary part; else magnitudes")
    places: int = key("the decimals that a table prints, where it has no unit")
    proportion: bool = key("it is 0 or 1 of an image, so that its mean is a share")


@dataclass
class Learned:
    """A prior that a recipe trains."""

    network: Node = key("the architecture", required=True)
    scheduler: Settings = key("the noise levels, as diffusers names them", required=True)


@dataclass
class Prior(Node):
    """A model of images; its other keys are the options of its `_target_`."""

    name: str = key("how commands and rows name it", required=True)
    path: str | None = key("the checkpoint: its name below weights/ or on the hub, or a folder")
    get: str | None = key("the command that makes or fetches it")
    fetch: Address = key("a plain address of the checkpoint, where there is one")
    variants: dict[str, str | Settings] = key(
        "the priors of other kinds for the same images, by kind, flow or latent: a name, or what differs from this one"
    )
    trained: Trained = key("what it was trained on")
    learned: Learned = key("what a recipe trains it as; its path is then where that lands")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Names of priors that do not exist."""
        for name in (v for v in (node.get("variants") or {}).values() if not isinstance(v, Mapping)):
            choice("prior", name, f"{where}: variants")


@dataclass
class Probe(Node):
    """What watches a solve and adds columns; its other keys are the options of its `_target_`.

    That is called with the problem and the options, anew for each batch: see docs/probes.md.
    """

    name: str = key("how commands and rows name it", required=True)
    title: str = key("what it adds, in words")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Options that a rule of early stopping does not know."""
        for name, rule in (node.get("rules") or {}).items():
            check(Rule, rule, where, f"rules.{name}")


@dataclass
class Rule(Node):
    """A rule of early stopping; its other keys are the options of its `_target_`."""


@dataclass
class Architecture(Node):
    """A network to be trained; its other keys are the options of its `_target_`."""


@dataclass
class Objective:
    """What a prior is trained for."""

    name: str = key("the name of the checkpoint that comes of it", required=True)
    scheduler: Settings = key("the noise levels, as diffusers names them", required=True)


@dataclass
class Recipe:
    """How a cell trains its networks and its prior itself: alike, whatever they are."""

    name: str = key("how commands name it", required=True)
    images: int | None = key("how many training images; null: all")
    subset: int = key("which of them, where there are fewer than all")
    widths: list[int] | None = key("the values of a network's width; the best on validation images is taken")
    validation: int = key("how many validation images")
    error: Literal["l1", "rms", "matching"] = key(
        "what is asked of a network; matching, for denoisers alone: proximal matching, after l1, with falling widths"
    )
    target: Literal["truth", "representative", "measurement"] = key(
        "what an estimate is held against: x, x with its symmetries broken, or y; truth, unless this says otherwise"
    )
    schedule: Settings = key("how long and how fast: see sipbench train", required=True)

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Numbers that are too small."""
        for name, least in {"images": 1, "subset": 0, "validation": 1}.items():
            if isinstance(node.get(name), int) and node[name] < least:
                raise UserError(f"{where}: {name} is a whole number from {least} on, not {node[name]}")
        widths = node.get("widths")
        if isinstance(widths, list) and not (widths and all(is_open(w) or w > 0 for w in widths)):
            raise UserError(f"{where}: widths is a list of whole numbers from 1 on, or null, not {widths}")


@dataclass
class Profile:
    """How large and how many: the scale of a run."""

    name: str = key("how commands name it", required=True)
    size: int | None = key("pixels along one side")
    images: int | list[int] | Literal["all"] | None = key("how many images, which, or all")
    batch_size: int | None = key("images at a time")


KINDS: dict[str, type] = {
    "method": Method,
    "degradation": Degradation,
    "noise": Noise,
    "dataset": Dataset,
    "metric": Metric,
    "prior": Prior,
    "probe": Probe,
    "network": Architecture,
    "objective": Objective,
    "profile": Profile,
    "recipe": Recipe,
    "table": Table,
}


def check_file(group: str, node: Mapping[str, Any], where: str) -> None:
    """Refuse what a file of this group may not say; a group without a schema may say anything."""
    if group in KINDS:
        check(KINDS[group], node, where)
