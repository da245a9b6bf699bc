"""Metrics that a YAML declares, a plugin's too: read when they are asked for, imported when they run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from sipbench import configs, device
from sipbench.configs.own_module import where
from sipbench.errors import UserError

WORDS = ("higher_is_better", "unit", "smallest", "channels", "whole", "places", "proportion")


def declared(taken: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What each file in conf/metric says of its metric, by name; `taken` are the names and titles that are given away.

    One that cannot be used costs a line on standard error.
    """
    names, titles = set(taken), set(taken.values())
    for name in configs.names("metric"):
        try:
            said = _read(name)
            if name in names or said["title"] in titles:
                raise UserError("another metric has its name or its title")
        except UserError as error:
            print(f"sipbench: the metric {configs.path_of('metric', name)} is passed over: {error}", file=sys.stderr)
            continue
        titles.add(said["title"])
        yield name, said


def _read(name: str) -> dict[str, Any]:
    node = configs.read("metric", name)
    if node["name"] != name:
        raise UserError(f"its name is {node['name']}, and its file is {name}.yaml")
    options = {k: v for k, v in node.items() if k not in (*WORDS, "name", "title", "citation", "_target_")}
    said = {k: node[k] for k in WORDS if node.get(k) is not None}
    if "channels" in said:
        said["channels"] = tuple(said["channels"])
    said.setdefault("higher_is_better", None)
    return said | {"title": node.get("title", name), "function": partial(_value, name, node["_target_"], **options)}


def _value(name: str, target: str, x_hat: Tensor, x: Tensor, **options: Any) -> Tensor:
    """The metric of its target. A plugin's mistake is said with its name: it is no failure of a solver."""
    try:
        found = configs.build({"name": name, "_target_": target} | options, x_hat, x)
    except UserError as error:
        raise UserError(f"the metric {error}") from error
    except Exception as error:
        if device.out_of_memory(error):
            raise
        raise UserError(f"the metric {name}: {where(error)}") from error
    if not isinstance(found, Tensor) or tuple(found.shape) != (len(x),):
        what = f"{tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise UserError(f"the metric {name} gives {what}; it is one value an image, a tensor ({len(x)},)")
    return found
