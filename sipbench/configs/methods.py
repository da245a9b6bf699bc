"""A method's config made whole: what it takes over from the method it is like, and its options from the signature.

A method's YAML says what differs from the signature of its solver; here the signature fills in the rest, so that a
composed config, a listing and a cell all see every option.
"""

from __future__ import annotations

import copy
from typing import Any

from sipbench.configs import signature
from sipbench.configs.find import find
from sipbench.configs.yaml_file import load
from sipbench.errors import UserError

PRECISION = "float32"  # of y and all that a solver computes from it, unless `precision: float64` is among its settings
OWN = ("name", "title", "like", "parity")  # what a variant never takes over


def complete(node: dict[str, Any]) -> dict[str, Any]:
    """The method with all that it does not say itself."""
    node = varied(node)
    solver = node.get("solver")
    if isinstance(solver, dict) and "_target_" in solver:
        given = {*(node.get("networks") or {}), *(node.get("priors") or {})}
        node["solver"] = filled(solver, given)
    return node


def varied(node: dict[str, Any], seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """A variant's own keys replace those of the method that it is `like`; its solver's options are merged into it."""
    other = node.get("like")
    if not other:
        return dict(node)
    if other in seen:
        raise UserError(f"method {node.get('name')!r} is like itself: {' like '.join([*seen, other])}")
    base = varied(load(find("method", other)), (*seen, other))
    merged = {k: v for k, v in base.items() if k not in OWN} | node
    if base.get("solver") and node.get("solver") is not None:
        merged["solver"] = deep(base["solver"], node["solver"])
    elif base.get("solver"):
        merged["solver"] = base["solver"]
    return merged


def deep(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Two mappings merged; nodes within them too, unless they name different targets."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        alike = isinstance(before, dict) and isinstance(value, dict)
        if alike and value.get("_target_", before.get("_target_")) == before.get("_target_"):  # pyright: ignore
            merged[key] = deep(before, value)  # pyright: ignore
        else:
            merged[key] = value
    return merged


def filled(solver: dict[str, Any], given: set[str]) -> dict[str, Any]:
    """A solver's node with the options that it leaves to the signature, but for those that are given otherwise."""
    known = signature.options(solver["_target_"])
    defaults = {k: v for k, v in copy.deepcopy(known.defaults).items() if k not in given} if known else {}
    return {"_target_": solver["_target_"], **deep(defaults, {"precision": PRECISION, **solver})}


def refusal(solver: dict[str, Any], name: str) -> UserError | None:
    """Why a parameter that the signature has cannot be set as method.solver.NAME=VALUE; None where that is not why."""
    known = signature.options(solver["_target_"])
    if known is None:
        return None
    function = solver["_target_"].replace(":", ".").rpartition(".")[2]
    if name in known.unreadable:
        return UserError(
            f"the default of {name} in {function} is the expression {known.unreadable[name]}, which is not known "
            f"before the file runs: set it as +method.solver.{name}=VALUE, or give it a plain value as its default"
        )
    if name in known.required:
        return UserError(f"{name} has no default in {function}: set it as +method.solver.{name}=VALUE")
    if name in known.positional:
        return UserError(
            f"{name} is no option of {function}: options are keyword-only, as in def {function}(problem, *, {name}=...)"
        )
    return None
