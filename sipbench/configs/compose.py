"""A config composed by Hydra, with plain errors."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sipbench.configs.find import absent, is_file_target, names, root
from sipbench.configs.main_schema import check_main
from sipbench.configs.methods import refusal
from sipbench.configs.quoting import quoted, unreadable
from sipbench.configs.word import Word
from sipbench.errors import UserError, unknown
from sipbench.safety import sizes


def compose(overrides: list[str], config: str = "config") -> Any:
    """The composed config (an OmegaConf DictConfig) for these overrides, with plain errors."""
    from hydra import compose as hydra_compose
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    check_main(config)
    overrides = [quoted(word) for word in overrides]
    _check_choices(overrides)
    try:
        with hydra_ready():
            return hydra_compose(config, overrides=overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise _explain(error, overrides, config) from error
    except (
        ValueError,
        TypeError,
        AttributeError,
        AssertionError,
        KeyError,
    ) as error:  # words that Hydra does not check
        raise UserError(f"these words make no config: {sizes.reason(error)}") from error


def exchanged(cfg: Any, **parts: Any) -> Any:
    """A composed config with other parts; what refers to them follows."""
    from omegaconf import open_dict

    cfg = copy.copy(cfg)
    with open_dict(cfg):
        cfg.update(parts)
    return cfg


def resolvers() -> None:
    """What configs may ask for.

    `${channels:KIND}`: the channels of an unknown of that kind (see unknowns.py); `${divide:N,BY}`: a whole number.
    """
    from omegaconf import OmegaConf

    channels = {"image": 3, "grey": 1, "complex": 2, "object": 2}
    OmegaConf.register_new_resolver("channels", channels.__getitem__, replace=True)
    OmegaConf.register_new_resolver("divide", lambda n, by: int(n) // int(by), replace=True)


@contextmanager
def hydra_ready() -> Iterator[Any]:
    """Hydra's config loader over the project's configs and those of others.

    Hydra keeps one global state; a run that is under way gets its own back.
    """
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from sipbench.configs.sources import register

    register()
    resolvers()
    state = GlobalHydra.instance()
    kept, state.hydra = state.hydra, None
    try:
        with initialize_config_dir(str(root()), version_base="1.3"):
            yield state.config_loader()
    finally:
        state.hydra = kept


def _check_choices(overrides: list[str]) -> None:
    """A choice that does not exist; Hydra itself is silent about optional groups."""
    for word in map(Word.of, overrides):
        name = word.plain
        word.check()
        if word.value is None or not (root() / word.key).is_dir() or is_file_target(name) or name == "null":
            continue
        if name not in names(word.key):
            raise absent(word.key, name)


def _unread(overrides: list[str]) -> UserError | None:
    """The first word that Hydra's grammar cannot read."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    for word in overrides:
        try:
            OverridesParser.create().parse_override(word)
        except HydraException as error:  # noqa: PERF203
            return unreadable(word, error)
    return None


def _explain(error: Exception, overrides: list[str], config: str) -> UserError:
    """Hydra's words made plain: a misspelt option with the nearest known one, or what it could not read."""
    text = " ".join(str(error).split())
    found = re.search(r"Could not override '([^']+)'", text) or re.search(r"Key '([^']+)' is not in struct", text)
    if found is None:
        return _unread(overrides) or UserError(text.split(" Set the environment variable")[0])
    key = found.group(1)
    others = [o for o in overrides if Word.of(o).key != key]
    if len(others) == len(overrides):
        return UserError(f"unknown option {key!r}: {text}")
    node, parents = compose(others, config), key.split(".")[:-1]
    if parents == ["method", "solver"] and (why := refusal(node.method.solver, key.split(".")[-1])):
        return why
    for depth, name in enumerate(parents):
        if depth == 0 and config == "config" and name not in node and (choices := names(name)):
            return UserError(
                f"{key}: no {name} is chosen; name one too, as in {name}={choices[-1]}: {', '.join(choices)}"
            )
        if name not in node:
            return unknown("option", ".".join(parents[: depth + 1]), [str(k) for k in node])
        node = node[name]
        if not hasattr(node, "keys"):
            value = ".".join(parents[: depth + 1])
            return UserError(f"unknown option {key!r}: {value} is a value, and holds no others")
    prefix = "".join(f"{p}." for p in parents)
    known = [f"{prefix}{k}" for k in node if k not in ("hydra", "_target_")]
    if key in known:
        return UserError(f"{key} cannot be replaced as a whole: set its parts, such as {key}.NAME=VALUE")
    return unknown("option", key, known)
