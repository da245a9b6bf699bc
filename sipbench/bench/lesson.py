"""What a part of a cell is trained for, as plain data: all that the trained weights depend on.

A cell with a recipe trains its networks and its prior itself. Each is named by the hash of what makes it, so that cells
that ask for the same one share it, and a run that was killed finds what was finished.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import checkpoints, configs
from sipbench.bench import protocol
from sipbench.bench.identity import PLACES, digest, targets
from sipbench.bench.options import resolve
from sipbench.errors import UserError
from sipbench.safety.text import file_word

Node = dict[str, Any]
RESTORATION = "restoration"  # through the solver; the other objectives ask nothing of the degradation
UNHEEDED = {
    "denoising": ("target",),
    "prior": ("target", "error"),
    "generator": ("target", "error"),
    "memory": ("target", "error", "schedule", "widths", "validation"),
}
"""What an objective does not look at, and so is no part of its lesson's name."""


@dataclass(frozen=True)
class Lesson:
    """One part's training.

    Attributes:
        part: the keyword that the network is handed over as, or `prior`.
        objective: restoration, denoising, generator, memory, or prior.
        network: the architecture, without its weights.
        dataset: the node of the dataset that it learns from; its training split.
        images, subset: how many of its images, None for all, and which: subsets of one number lie within each other.
        method: the method whose solver is trained through, with `options`; of restoration alone.
        degradation: what y is measured with: as the solver is told it; of restoration alone.
        unknown: what of a picture the others learn: image, grey, complex or object.
        scheduler: the noise levels of a prior.
        target: what an estimate is held against: truth, representative or measurement; of restoration alone.
        widths: the values of the network's `width` that are trained; the best on validation images is taken.
        validation: how many validation images.
    """

    part: str
    objective: str
    network: Node
    dataset: Node
    size: int
    images: int | None = None
    subset: int = 0
    method: Node | None = None
    options: Node = field(default_factory=dict)
    degradation: Node | None = None
    unknown: str = "image"
    scheduler: Node | None = None
    schedule: Node = field(default_factory=dict)
    error: str = "l1"
    target: str = "truth"
    widths: tuple[int, ...] = ()
    validation: int = 64

    @cached_property
    def made_of(self) -> Node:
        """What names it: without places; images and files count by what they are, code without comments."""
        solver = (self.method or {}).get("solver") or {}
        kept = asdict(self) | {"version": protocol.versions().get("training", 1), "protocol": protocol.solving()}
        kept["dataset"] = self._without(self.dataset, ("root", "path", "split")) | {"version": self._images}
        if self.target == "truth":
            del kept["target"]
        if self.unknown == "image":
            del kept["unknown"]
        parts = [self.network, self.dataset, self.options, self.degradation, {"_target_": solver.get("_target_", "")}]
        own = sorted(t for t in targets(parts) if not t.startswith("diffusers."))
        kept["code"] = {configs.without_place(target): configs.code_hash(target) for target in own}
        kept["method"] = solver.get("_target_")
        if self.degradation is not None:
            operator = self.degradation["operator"]
            kept["degradation"] = self._without(self.degradation, ("protocol", "range", "check"))
            kept["degradation"]["operator"] = {k: v for k, v in operator.items() if k not in PLACES}
            if file := operator_file(operator, self.degradation["name"]):
                kept["degradation"]["file"] = checkpoints.sha256(file)
        kept["schedule"] = {k: v for k, v in self.schedule.items() if k != "save_every"}
        kept["widths"] = sorted(self.widths) if "width" in self.network else []
        if kept["widths"]:
            kept["network"] = {k: v for k, v in self.network.items() if k != "width"}
        kept["subset"] = self._which
        return configs.without_place({k: v for k, v in kept.items() if k not in UNHEEDED.get(self.objective, ())})

    @property
    def _which(self) -> int:
        """The subset; of all images there is one."""
        return 0 if self.images is None else self.subset

    @cached_property
    def name(self) -> str:
        """Of the folder that it is laid down in."""
        learner = (self.method or {}).get("name", self.part)
        many = "all" if self.images is None else self.images
        return f"{learner}-{self.dataset['name']}-{self.size}-n{many}-s{self._which}-{digest(self.made_of)[:12]}"

    def split(self, name: str) -> Any:
        """A split of the dataset that it learns from, at its size."""
        node = {k: v for k, v in self.dataset.items() if k != "split"}
        known = inspect.signature(configs.locate(node["_target_"])).parameters
        try:
            found = configs.build(node | {k: v for k, v in {"split": name, "size": self.size}.items() if k in known})
        except UserError as error:  # such as photographs, which are too few to learn from
            another = "Another dataset is learned from by trained_on=NAME, in `sipbench train` by dataset=NAME."
            raise UserError(f"{str(error).rstrip('.')}. {another}") from error
        if found.measured:
            raise UserError(f"{node['name']} holds measurements, and nothing is trained on such: trained_on=NAME")
        return found

    @property
    def _images(self) -> list[str]:
        """The versions of the images that it sees; a memory looks at no validation images."""
        return [self.split(name).version for name in ("train", "validation")[: 1 + (self.objective != "memory")]]

    def folder(self, results: str | Path) -> Path:
        return Path(results) / "trained" / file_word(self.name)

    def weights(self, results: str | Path) -> Path:
        """Its weight file, which may not be there yet."""
        return self.folder(results) / checkpoints.WEIGHTS[0]

    def done(self, results: str | Path) -> bool:
        """Its facts are written last: where they are, all is."""
        return (self.folder(results) / "facts.json").is_file()

    def trained(self, results: str | Path, told: Node) -> Path:
        """The folder with what was trained: its weights are the ones that were told of."""
        folder, file = self.folder(results), self.weights(results)
        if not file.is_file() or checkpoints.sha256(file) != told.get("sha256"):
            if self.done(results) and checkpoints.read_json(folder / "facts.json") != told:
                raise UserError(f"the weights in {folder} were replaced while this ran: run it again")
            raise UserError(f"{folder} does not hold the weights that were trained: delete it, and they are made anew")
        return folder

    @staticmethod
    def _without(node: Mapping[str, Any], names: tuple[str, ...]) -> Node:
        return {k: v for k, v in node.items() if k not in (*names, *configs.META)} | {"name": node.get("name")}


def operator_file(node: Node, who: str) -> Path | None:
    """The checkpoint or the file that an operator is made of."""
    if "checkpoint" in node:
        options = {k: v for k, v in node.items() if k != "_target_"}
        return configs.locate(node["_target_"]).weight_file(**options)
    return checkpoints.existing(node["path"], who) if node.get("path") else None


def architecture(node: Mapping[str, Any]) -> Node:
    """A network's node without what only says where its weights are."""
    return {k: v for k, v in node.items() if k not in ("weights", "get")}


def objective(method: Mapping[str, Any], part: str) -> str:
    """What a method's network is trained for: what its config says, else restoration."""
    return (method.get("training") or {}).get(part, RESTORATION)


def lessons(cell: Any) -> dict[str, Lesson]:
    """Of a Cell with a recipe: what each part that it trains is trained for, by the part's name."""
    if not cell.recipe:
        return {}
    networks = cell.method.get("networks") or {}
    given = ("path", "fetch")  # made elsewhere, or released: nothing to train
    found = {part: of_network(cell, part) for part, node in networks.items() if not any(key in node for key in given)}
    if cell.takes_prior and cell.prior and cell.prior.get("learned"):
        learned = cell.prior["learned"]
        own = {"scheduler": learned["scheduler"], "unknown": _unknown(cell)}
        found["prior"] = Lesson("prior", "prior", learned["network"], **own, **_shared(cell))
    return found


def of_network(cell: Any, part: str) -> Lesson:
    """Of one of the method's networks."""
    node, goal = architecture(cell.method["networks"][part]), objective(cell.method, part)
    through: Node = {}
    if goal == RESTORATION:
        through = _through(cell, part)
    else:
        through = {"unknown": _unknown(cell)}
    return Lesson(part, goal, node, **through, **_shared(cell))


def _through(cell: Any, part: str) -> Node:
    """What a network learns to restore, and through which solver: the cell's, or what `lessons` of its method name."""
    named = (cell.method.get("lessons") or {}).get(part)
    if not named:
        return {"method": cell.method, "options": cell.options, "degradation": heard(cell.degradation)}
    other = _composed([*(f"{kind}={name}" for kind, name in named.items()), f"size={cell.size}"])
    degradation = other["degradation"] | ({"unknown": _unknown(cell)} if _unknown(cell) != "image" else {})
    options = resolve(other["method"], degradation["name"], cell.profile, cell.tuned).values
    return {"method": other["method"], "options": options, "degradation": degradation}


def _unknown(cell: Any) -> str:
    """What the cell's unknown is made of a picture."""
    return cell.degradation.get("unknown") or "image"


def _shared(cell: Any) -> Node:
    """What all parts of a cell are trained with alike."""
    recipe = {k: v for k, v in cell.recipe.items() if k != "name"}
    dataset = cell.source if cell.trained_on == cell.source["name"] else _dataset(cell)
    widths = tuple(recipe.pop("widths", None) or ())
    return {"dataset": dataset, "size": cell.size, "widths": widths, **recipe}


def _dataset(cell: Any) -> Node:
    """Another dataset than the cell's own, composed as a run with it would be."""
    return _composed([f"dataset={cell.trained_on}", f"size={cell.size}", f"data={cell.data}"])["dataset"]


def _composed(words: list[str]) -> Node:
    from omegaconf import OmegaConf

    cfg = configs.compose(words)
    return {k: OmegaConf.to_container(cfg[k], resolve=True) for k in ("dataset", "method", "degradation")}


def heard(node: Node) -> Node:
    """What a solver hears is what its networks have learned from."""
    from sipbench.degradation import as_told

    return as_told(node) if node.get("told") else node
