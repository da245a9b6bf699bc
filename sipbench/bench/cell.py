"""A cell: (dataset, degradation, method, seed, protocol), resolved from a config and named by its hash."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import checkpoints, configs
from sipbench.bench.needs import wants_prior
from sipbench.bench.options import Options, resolve
from sipbench.bench.options import typed as typed_options
from sipbench.errors import UserError, unknown

PROTOCOL = 1  # raised when the harness itself changes what a number means


class NotApplicable(UserError):
    """This method cannot do this cell; the reason is the message."""


@dataclass(frozen=True)
class Cell:
    """What a resolved config says of one cell.

    Attributes:
        cfg: the resolved config as plain data.
        chosen: solver options that were named by hand; they win over tuned values and profiles.
    """

    cfg: dict[str, Any]
    chosen: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, cfg: Any, overrides: list[str]) -> Cell:
        """From a composed config and the overrides that were typed."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        configs.resolvers()
        try:
            plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        except OmegaConfBaseException as error:
            raise UserError(" ".join(str(error).split())) from error
        assert isinstance(plain, dict)
        if plain.get("noise"):
            plain["degradation"]["noise"] = plain["noise"]
        _sound(plain)  # pyright: ignore
        keys = [o.lstrip("+~").partition("=")[0] for o in overrides]
        kind = None if "prior" in keys else plain["method"].get("prior")
        typed = [k.removeprefix("prior.") for k in keys if k.startswith("prior.")]
        plain["prior"] = _variant(plain.get("prior"), kind, typed)
        return cls(plain, typed_options(plain["method"].get("solver", {}), keys))  # pyright: ignore

    @property
    def method(self) -> dict[str, Any]:
        return self.cfg["method"]

    @property
    def degradation(self) -> dict[str, Any]:
        return self.cfg["degradation"]

    @property
    def profile(self) -> str:
        return (self.cfg.get("profile") or {}).get("name", "none")

    @property
    def label(self) -> str:
        """How progress and messages name this cell."""
        return f"{self.cfg['dataset']['name']} / {self.degradation['name']} / {self.method['name']}"

    @property
    def images(self) -> list[int]:
        """The indices of the images, in order."""
        images = self.cfg["images"]
        if images == "all":
            return list(range(len(self.dataset)))
        chosen = list(range(images)) if isinstance(images, int) else images
        whole = isinstance(chosen, list) and all(type(i) is int and i >= 0 for i in chosen)
        if isinstance(images, bool) or not whole or not chosen or len(set(chosen)) < len(chosen):
            raise UserError(f"images is all, a number above 0, or a list of different indices, not {images}")
        return chosen

    @cached_property
    def settings(self) -> Options:
        """The solver's options, where each comes from, and the precision that it works in."""
        tuned = bool(self.cfg.get("tuned", True))
        return resolve(self.method, self.degradation["name"], self.profile, tuned, self.chosen)

    @property
    def tuned(self) -> bool:
        """Whether an option is set for the task or for the demo."""
        return self.settings.tuned

    @property
    def options(self) -> dict[str, Any]:
        """The solver's keyword arguments; nodes with a `_target_` as plain data."""
        return self.settings.values

    @property
    def origins(self) -> dict[str, str]:
        """Where each option comes from (see options.py)."""
        return self.settings.origins

    @property
    def precision(self) -> str:
        """float32 or float64, of the measurement that the solver is handed."""
        return self.settings.precision

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
        return target

    @cached_property
    def dataset(self) -> Any:
        """The dataset; building it only lists what there is."""
        return configs.build(self.cfg["dataset"])

    @property
    def takes_prior(self) -> bool:
        """Whether the solver is handed a prior. One that states no needs is handed what there is."""
        needs = self.method.get("needs")
        has = bool((self.cfg.get("prior") or {}).get("_target_"))
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
    def priors(self) -> dict[str, dict[str, Any]]:
        """Further priors that the solver is handed: `NAME_prior` is one of the part NAME of theta, where it is open.

        `{side}` in a path stands for the largest multiple of four that fits into the box of that part: the networks
        halve a side twice.
        """
        nodes, needs = self.method.get("priors") or {}, self.method.get("needs")
        if not nodes or not (needs is None or wants_prior(self.method)):
            return {}
        open_ = {f"{part}_prior": shape for part, shape in self.theta_shapes.items()}
        return {name: _sized(node, open_[name]) for name, node in nodes.items() if name in open_}

    @cached_property
    def weights(self) -> dict[str, Path]:
        """Every weight file that the cell uses, by the name of its part. Missing ones are an error that says how."""
        cfg, found = self.cfg, {}
        if self.takes_prior and "path" in cfg["prior"]:
            try:
                folder = checkpoints.find(cfg["prior"]["path"], cfg["weights"], cfg["prior"].get("get", ""))
                found["prior"] = checkpoints.weight_file(folder)
                codec = checkpoints.codec_folder(folder)
                found |= {"codec": checkpoints.weight_file(codec)} if codec else {}
            except UserError:
                if self.method.get("needs") is not None:
                    raise
        for name, node in self.priors.items():
            if "path" in node:
                found[name] = checkpoints.weight_file(
                    checkpoints.find(node["path"], cfg["weights"], node.get("get", ""))
                )
        operator = {k: v for k, v in self.degradation["operator"].items() if k != "_target_"}
        if "checkpoint" in operator:
            kind = configs.locate(self.degradation["operator"]["_target_"])
            found["degradation"] = kind.weight_file(**operator)
        if operator.get("path"):
            found["degradation"] = checkpoints.existing(operator["path"], self.degradation["name"])
        for name, node in (self.method.get("networks") or {}).items():
            how = f"sipbench train net dataset={cfg['dataset']['name']} size={cfg['size']} "
            how += f"degradation={self.degradation['name']}"
            folder = checkpoints.find(node["weights"], cfg["weights"], node.get("get", how))
            found[name] = checkpoints.weight_file(folder)
        return found

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that can change the result, and nothing else (no device, batch size, launcher or logging)."""
        cfg, target = self.cfg, self.method["solver"]["_target_"]
        networks = {k: v for k, v in (self.method.get("networks") or {}).items()}
        prior = cfg["prior"] if self.takes_prior and ("prior" in self.weights or "path" not in cfg["prior"]) else None
        strip = (*configs.META, "variants", "weights", "root", "protocol", "check", "range")
        operator = {k: v for k, v in self.degradation["operator"].items() if k not in (*strip, "path")}
        identity = {
            "protocol": PROTOCOL,
            "dataset": [cfg["dataset"]["name"], self.dataset.version, cfg["split"], cfg["size"]],
            "degradation": {k: v for k, v in self.degradation.items() if k not in strip} | {"operator": operator},
            "method": [self.method["name"], target, configs.code_hash(target), self.options],
            "networks": {k: {n: v for n, v in node.items() if n not in strip} for k, node in networks.items()},
            "prior": {k: v for k, v in prior.items() if k not in (*strip, "path")} if prior else None,
            "weights": {name: checkpoints.sha256(path) for name, path in self.weights.items()},
            "budget": cfg.get("budget_seconds"),
            "seed": cfg["seed"],
        }
        if self.priors:
            own = {k: {n: v for n, v in node.items() if n not in (*strip, "path")} for k, node in self.priors.items()}
            identity["priors"] = own
        return json.loads(json.dumps(identity, sort_keys=True, default=str))

    @cached_property
    def hash(self) -> str:
        return hashlib.sha256(json.dumps(self.identity, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where the rows of this cell lie, below the results folder."""
        names = (self.cfg["dataset"]["name"], self.degradation["name"], self.method["name"])
        plain = [re.sub(r"[^\w.+-]", "_", name) for name in names]
        return Path(self.cfg["results"], "runs", *plain, self.hash)


def _variant(prior: dict[str, Any] | None, kind: str | None, typed: list[str]) -> dict[str, Any] | None:
    """The prior of this kind that a dataset's prior names under `variants`: latent, flow; else the prior itself.

    Options of the prior that were typed hold for whichever it is.
    """
    if not prior:
        return prior
    name = (prior.get("variants") or {}).get(kind)
    own = {k: prior[k] for k in typed if k in prior}
    chosen = configs.read("prior", name) | own if name else prior
    return {k: v for k, v in chosen.items() if k != "variants"}


def _sized(node: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """A further prior's node with the side of its part of theta put in."""
    side = str(min(shape[1:]) // 4 * 4)
    return {k: v.replace("{side}", side) if k in ("path", "get") else v for k, v in node.items()}


def _sound(cfg: dict[str, Any]) -> None:
    """Refuse values of the harness's own options that make no sense."""
    for part in ("operator", "noise"):
        if not isinstance((cfg.get("degradation") or {}).get(part), dict):
            raise UserError(f"a degradation has an operator and a noise, each with a _target_: {part} is missing")
    seed, batch, budget = cfg["seed"], cfg["batch_size"], cfg.get("budget_seconds")
    if type(seed) is not int:
        raise UserError(f"seed is a whole number, not {seed!r}")
    if type(batch) is not int or batch < 1:
        raise UserError(f"batch_size is a whole number from 1 on, not {batch!r}")
    if budget is not None and not (isinstance(budget, (int, float)) and budget > 0):
        raise UserError(f"budget_seconds is a number above 0, or null, not {budget!r}")
