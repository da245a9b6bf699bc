"""Which prior a cell takes, of those that its config names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sipbench import configs
from sipbench.errors import UserError


def variant(prior: dict[str, Any] | None, kind: str | None, typed: list[str]) -> dict[str, Any] | None:
    """The prior of this kind that a dataset's prior names under `variants`: latent, flow; else the prior itself.

    A variant is the name of another, or what differs from the prior itself. Options of the prior that were typed hold
    for whichever it is.
    """
    if not prior:
        return prior
    other = (prior.get("variants") or {}).get(kind)
    own = {k: prior[k] for k in typed if k in prior}
    chosen = {**prior, **other} if isinstance(other, Mapping) else configs.read("prior", other) if other else prior
    chosen = chosen | own
    return {k: v for k, v in chosen.items() if k != "variants"}


def trained_prior(dataset: str) -> dict[str, Any] | None:
    """The prior of a dataset's images, where there is one."""
    return configs.read("prior", dataset) if dataset in configs.names("prior") else None


def sized(node: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    """A further prior's node with the side of its part of theta put in."""
    if not isinstance(node, Mapping):
        raise UserError(f"such a prior is told by its path, as in method.priors.kernel_prior.path=NAME, not {node!r}")
    side = str(min(shape[1:]) // 4 * 4)
    named = {k: v for k, v in node.items() if k in ("path", "get") and isinstance(v, str)}
    return node | {k: v.replace("{side}", side) for k, v in named.items()}
