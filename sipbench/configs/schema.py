"""What each kind of YAML in conf/ may say. A file is checked when it is read, a plugin's as the project's own.

`sipbench list schema KIND` prints a kind; docs/configs.md is made of these (python -m sipbench.configs.describe).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sipbench.configs import methods
from sipbench.configs.find import choice
from sipbench.configs.keys import check, check_options, is_open, key
from sipbench.configs.source_text import words_of
from sipbench.configs.table_schema import Table
from sipbench.errors import UserError, unknown

ALL = "all"  # in the place of a degradation's name: every one
Settings = dict[str, Any]


@dataclass
class Node:
    """What is built: a `_target_`, and the options that it is called with."""

    options = True
    _target_: str | None = key("the function or class, package.module.name or path/to/file.py:name", required=True)


@dataclass
class Solver(Node):
    """The solver: its `_target_`, and the options in which it differs from its signature."""

    _target_: str | None = key("the function; a variant's is that of the method that it is like")


@dataclass
class PartPrior(Node):
    """A prior of a part of the unknown, such as a blur kernel; its other keys are the options of its `_target_`."""

    path: str | None = key("the checkpoint; {side} in it stands for the side of that part")
    get: str | None = key("the command that makes or fetches it")


@dataclass
class Address:
    """Where `sipbench fetch` gets it: a model of the hub, or one file by its address."""

    hub: str | None = key("a model of the hub in diffusers format, owner/name")
    url: str | None = key("the address of a file: a prior's of guided-diffusion, a network's of its tensors")
    sha256: str | None = key("the hash of that file, where it is known")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Two addresses, none, or a hash of nothing."""
        if (node.get("hub") is None) == (node.get("url") is None):
            raise UserError(f"{where}: fetch says hub or url, one of the two")
        if node.get("sha256") is not None and node.get("url") is None:
            raise UserError(f"{where}: fetch.sha256 is that of the file at fetch.url")


@dataclass
class Network(Node):
    """An architecture with trained weights; its other keys are the options of the architecture."""

    weights: str | None = key("the checkpoint: its name below weights/, or a folder")
    path: str | None = key(
        "in its place, the file of a network made elsewhere, which the `_target_` loads: docs/external.md"
    )
    trained: str | None = key("of a network made elsewhere, what its maker says that it was trained on")
    get: str | None = key("the command that makes or fetches it, or what to do by hand")
    fetch: Address = key("a plain address of the checkpoint, where there is one")


@dataclass
class Data:
    """What a method was trained on, itself or through its prior."""

    source: Literal["none", "prior", "network"] = key(
        "none; the prior's images (see the prior's `trained`); or a network's own (see the card of its weights)",
        name="from",
        required=True,
    )
    pairs: bool = key("whether these are pairs of an image and its measurement by one degradation")
    of: list[Literal["images", "kernels"]] = key("of what: images, unless this says otherwise")


Known = Literal["f", "f.values", "f.but_kernel", "f.identity", "sigma", "kernel_size", "kernel_box", "support"]


@dataclass
class Knowledge:
    """What a method is told of the measurement at hand.

    f: the forward map and its derivative; f.values: its values alone; f.but_kernel: all of it but its kernel;
    f.identity: that it is the identity. sigma: the noise's standard deviation. kernel_size: the size of the kernel;
    kernel_box: a box that holds it. support: where the unknown is not zero.
    """

    told: list[Known] = key("what it cannot do without", required=True)
    where_told: list[Known] = key("what it makes use of where the problem tells it")
    in_training: list[Known] = key("what was fixed when it was trained")
    presumes: str = key("what it takes for granted without being told")


@dataclass
class Trained:
    """What a prior was trained on."""

    dataset: str = key("its name", required=True)
    images: int | None = key("how many images of it; null where that is not published")
    before: str | None = key("what it had been trained on before")


@dataclass
class Chosen:
    """One search on validation images, and what it chose."""

    command: str = key("the command that searched", required=True)
    tasks: list[str] = key("the degradations that it searched on; all: its choice holds for every one", required=True)
    options: list[str] = key("the options that it searched", required=True)
    images: str = key("the images that it searched on")
    date: str = key("when, as 2026-11-28")


@dataclass
class Parity:
    """How a method stands to its public code: equal to it, departing from it, or none to compare with.

    `equal` is tested: tests/parity runs an independent writing of that code's update beside the solver, with equal
    weights and draws.
    """

    verdict: Literal["equal", "departs", "none"] = key("what came of the comparison", required=True)
    code: str = key("what it was compared with: owner/repository, or the paper")
    within: float = key("for equal alone: the largest relative difference that the test allows")
    note: str = key("where it departs and what that is worth, in a sentence")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """A verdict without what stands behind it."""
        verdict = node.get("verdict")
        if verdict != "none" and not node.get("code"):
            raise UserError(f"{where}: parity.code is missing: what was it compared with?")
        if (verdict == "equal") != (node.get("within") is not None):
            raise UserError(f"{where}: parity.within is for the verdict equal, and that needs it")
        if verdict == "departs" and not node.get("note"):
            raise UserError(f"{where}: parity.note is missing: where it departs and what that is worth")


Goal = Literal["restoration", "denoising", "generator", "memory"]


@dataclass
class Method:
    """A solver: who it is, what it is called with, what it needs and what it knows.

    The signature of the solver says all options and their defaults; the file says what differs.
    """

    name: str = key("how commands and tables name it", required=True)
    title: str = key("how tables print it")
    family: str = key("classical, datarich, diffusion or single")
    citation: str = key("who published it, and where")
    like: str = key("the method that it is a variant of: what this file does not say is as there")
    solver: Solver = key("its `_target_`, and the paper's defaults where the signature has others", required=True)
    networks: dict[str, Network] = key("trained networks, each handed over as the keyword of that name")
    training: dict[str, Goal] = key("what each network is trained for; restoration, unless this says otherwise")
    priors: dict[str, PartPrior] = key("further priors, each handed over as the keyword of that name")
    prior: str = key("the kind of the dataset's prior that it is handed: flow or latent; else the dataset's own")
    paper: dict[str, Settings] = key("by degradation, what the paper or its public code sets")
    demo: dict[str, Settings] = key("by degradation, or for `all`, cheaper settings for the built-in demo")
    search: dict[str, Any] = key("by option, the values that `sipbench tune` tries; or by degradation, then by option")
    chosen: list[Chosen] = key("the searches that found settings under `demo`")
    needs: list[str] = key("what it cannot run without: see sipbench/bench/needs.py")
    ensemble: str = key("the option that says how many draws it makes together, of one that moves an ensemble")
    data: Data = key("what it was trained on")
    knowledge: Knowledge = key("what it is told")
    parity: Parity = key("how it stands to its public code; a variant says its own")
    check: Settings = key("settings for the contract tests, which run it on small images")

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Words, names of degradations and options that are not known."""
        for need in node.get("needs") or []:
            _known("need", need, words_of("sipbench.bench.needs", "NEEDS"), where)
        if node.get("like") is not None:
            choice("method", node["like"], f"{where}: like")
        whole = methods.varied(dict(node))
        target = (whole.get("solver") or {}).get("_target_")
        if target is None and "defaults" not in node:
            raise UserError(f"{where}: solver._target_ is missing: the function, as package.module.name")
        extra = {"precision": Literal["float32", "float64"]}
        if node.get("ensemble") is not None:
            check_options(target, {node["ensemble"]: None}, f"{where}: ensemble")
        given = {**(whole.get("networks") or {}), **(whole.get("priors") or {})}
        for path, options in _settings(node, where):
            check_options(target, options, f"{where}: {path}", extra)
            for name in options:
                if name in given:
                    raise UserError(f"{where}: {path}: {name} is handed over by the harness: it is no option")


def _settings(node: Mapping[str, Any], where: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Every group of options, with the place that it stands at."""
    solver = node.get("solver") or {}
    yield "solver", {k: v for k, v in solver.items() if k != "_target_"}
    yield "check", node.get("check") or {}
    for part in ("paper", "demo"):
        for task, options in (node.get(part) or {}).items():
            if part == "paper" or task != ALL:
                choice("degradation", task, f"{where}: {part}")
            yield f"{part}.{task}", options or {}
    search = node.get("search") or {}
    if any(isinstance(values, Mapping) for values in search.values()):
        for task, options in search.items():
            choice("degradation", task, f"{where}: search")
            yield f"search.{task}", dict.fromkeys(options)
    else:
        yield "search", dict.fromkeys(search)
    for entry in node.get("chosen") or []:
        for task in entry.get("tasks") or []:
            if task != ALL:
                choice("degradation", task, f"{where}: chosen")
        yield "chosen", dict.fromkeys(entry.get("options") or [])


def _known(kind: str, name: Any, known: Iterable[str], where: str) -> None:
    known = list(known)
    if name not in known:
        raise UserError(f"{where}: {unknown(kind, str(name), known)}")


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
            _known("word under unknown", node["unknown"], words_of("sipbench.operators.unknowns", "UNKNOWNS"), where)
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
    error: Literal["l1", "rms"] = key("what is asked of a network")
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
