"""A cell that somebody handed in: its solver need not be here, and its problem must be one of the table's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sipbench import configs
from sipbench.bench import protocol
from sipbench.bench.cell import Cell
from sipbench.bench.identity import digest, identity
from sipbench.bench.rescore import unsolved

SHARED = ("protocol", "dataset", "degradation", "seed", "draws")
DATASET = ("name", "version", "split", "size", "options")
FILES = ("degradation", "told")  # weights that the problem is made of
MOST = 3  # differences that a reason names


@dataclass(frozen=True)
class Handed(Cell):
    """A cell of which cell.json says what its method is; all that is its problem's is the table's own.

    Attributes:
        said: what its cell.json says.
    """

    said: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def identity(self) -> dict[str, Any]:
        return dict(self.said["identity"])

    @cached_property
    def hash(self) -> str:
        return digest(self.identity)

    @cached_property
    def setting(self) -> str:
        """What names the cell whatever its seed: cells of one method on one problem whose options are the same."""
        return digest({k: v for k, v in self.identity.items() if k != "seed"})

    @property
    def options(self) -> dict[str, Any]:
        own = self.identity.get("method") or []
        return dict(own[3]) if len(own) > 3 and isinstance(own[3], Mapping) else {}

    @property
    def origins(self) -> dict[str, str]:
        return {str(k): str(v) for k, v in (self.said.get("origins") or {}).items()}

    @cached_property
    def weights(self) -> dict[str, Path]:
        return {str(k): Path(str(v)) for k, v in (self.said.get("weights") or {}).items()}

    def below(self, results: Path) -> Handed:
        """The same in another results folder."""
        return replace(self, results=results)


def handed(setting: Cell, seed: int, method: str, said: Mapping[str, Any], results: Path) -> Handed:
    """Of a problem of the table, as its folder and its cell.json say."""
    node = configs.read("method", method) if method in configs.names("method") else {"name": method}
    target = (said.get("identity") or {}).get("method") or [method, "", "", {}]
    node = {**node, "name": method, "solver": {"_target_": str(target[1])}, "networks": {}, "priors": {}}
    own = {f.name: getattr(setting, f.name) for f in fields(Cell)}
    made = Handed(**{**own, "method": node, "seed": seed, "results": results, "prior": None}, said=said)
    _ = made.options, made.origins, made.weights  # said by a stranger: what is none of these shows here
    return made


def check(own: Mapping[str, Any]) -> None:
    """Refuse an identity whose parts, that others read, are not of their kinds."""
    name, target, code, options = own["method"]
    texts, mappings = (name, target, code), (options, own["weights"])
    if not all(isinstance(one, str) for one in texts) or not all(isinstance(one, Mapping) for one in mappings):
        raise TypeError("its method or its weights")
    if not isinstance(own["dataset"], list):
        raise TypeError("its dataset")


def problem(setting: Cell, seed: int) -> dict[str, Any]:
    """What a cell of this problem says of it, whatever its method."""
    return identity(replace(unsolved(setting), seed=seed))


def unlike(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str:
    """Why a cell is not of this problem: what its identity says otherwise. Nothing where it is."""
    there, here = (dict(_parts(one)) for one in (theirs, ours))
    code = {name: text for name, text in (ours.get("code") or {}).items() if name in (theirs.get("code") or {})}
    there |= {f"code of {name}": (theirs.get("code") or {})[name] for name in code}
    here |= {f"code of {name}": text for name, text in code.items()}
    keys = [key for key in dict.fromkeys([*here, *there]) if here.get(key) != there.get(key)]
    said = [f"{key} {_short(there.get(key))}, here {_short(here.get(key))}" for key in keys[:MOST]]
    return "; ".join([*said, *([f"and {len(keys) - MOST} more"] if len(keys) > MOST else [])])


def other_protocol(text: object) -> str:
    """Why rows of this protocol cannot stand beside ours; scores are made anew, so that metrics do not count."""
    theirs = {name: said for name, _, said in (part.rpartition(" ") for part in str(text).split(", "))}
    ours = {name: str(version) for name, version in protocol.versions().items()}
    parts = [name for name in ours if name not in ("metrics", "training") and theirs.get(name) != ours[name]]
    return ", ".join(f"{name} {theirs.get(name, 'not said')}, here {ours[name]}" for name in parts)


def _parts(own: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The leaves of all that is a problem's, by their path."""
    for name in SHARED:
        value = own.get(name)
        if name == "dataset" and isinstance(value, list):
            value = dict(zip(DATASET, value, strict=False))
        yield from _leaves(value, name)
    weights = own.get("weights") or {}
    yield from ((f"file of {name}", weights[name]) for name in FILES if name in weights)


def _leaves(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, own in value.items():
            yield from _leaves(own, f"{at}.{key}")
    elif value is not None:
        yield at, value


def _short(value: Any) -> str:
    return "none" if value is None else str(value)[:40]
