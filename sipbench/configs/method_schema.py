"""What a method's YAML may say: who it is, what it is called with, what it needs and what it knows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sipbench.configs import methods
from sipbench.configs.find import choice
from sipbench.configs.keys import check_options, key
from sipbench.configs.nodes import Address, Family, Node, Settings, known
from sipbench.configs.source_text import words_of
from sipbench.errors import UserError

ALL = "all"  # in the place of a degradation's name: every one


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


@dataclass
class OfAnother:
    """Whose network it is, and for what: the keyword that it is handed over as is the same."""

    method: str = key("the method whose network it is", required=True)
    degradation: str = key("what that restores from", required=True)

    @staticmethod
    def refuse(node: Mapping[str, Any], where: str) -> None:
        """Names that do not exist."""
        for kind in ("method", "degradation"):
            choice(kind, node[kind], f"{where}: lessons")


Goal = Literal["restoration", "denoising", "generator", "memory"]


@dataclass
class Method:
    """A solver: who it is, what it is called with, what it needs and what it knows.

    The signature of the solver says all options and their defaults; the file says what differs.
    """

    name: str = key("how commands and tables name it", required=True)
    title: str = key("how tables print it")
    family: Family = key("what it starts from")
    citation: str = key("who published it, and where")
    like: str = key("the method that it is a variant of: what this file does not say is as there")
    solver: Solver = key("its `_target_`, and the paper's defaults where the signature has others", required=True)
    networks: dict[str, Network] = key("trained networks, each handed over as the keyword of that name")
    training: dict[str, Goal] = key("what each network is trained for; restoration, unless this says otherwise")
    lessons: dict[str, OfAnother] = key(
        "networks that are another method's, for another degradation: a recipe trains such"
    )
    priors: dict[str, PartPrior] = key("further priors, each handed over as the keyword of that name")
    prior: str = key("the kind of the dataset's prior that it is handed: flow or latent; else the dataset's own")
    paper: dict[str, Settings] = key("by degradation, what the paper or its public code sets")
    demo: dict[str, Settings] = key("by degradation, or for `all`, cheaper settings for the built-in demo")
    limits: dict[str, list[float]] = key("by option, the least and the most that it can be; another value is refused")
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
            known("need", need, words_of("sipbench.bench.needs", "NEEDS"), where)
        if node.get("like") is not None:
            choice("method", node["like"], f"{where}: like")
        whole = methods.varied(dict(node))
        target = (whole.get("solver") or {}).get("_target_")
        if target is None and "defaults" not in node:
            raise UserError(f"{where}: solver._target_ is missing: the function, as package.module.name")
        extra = {"precision": Literal["float32", "float64"]}
        if node.get("ensemble") is not None:
            check_options(target, {node["ensemble"]: None}, f"{where}: ensemble")
        limits = node.get("limits") or {}
        check_options(target, dict.fromkeys(limits), f"{where}: limits")
        for name, ends in limits.items():
            if len(ends) != 2 or not ends[0] <= ends[1]:
                raise UserError(f"{where}: limits.{name} is the least and the most, as [0, 1], not {ends}")
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
