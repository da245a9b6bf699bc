"""A config composed by Hydra itself, over the project's configs and those of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sipbench.configs.find import root


def by_hydra(overrides: Sequence[str], config: str = "config") -> Any:
    """The composed config (an OmegaConf DictConfig) for these overrides; mistakes as Hydra says them."""
    from hydra import compose

    with hydra_ready():
        return compose(config, overrides=list(overrides))


def resolvers() -> None:
    """What configs may ask for.

    `${channels:KIND}`: the channels of an unknown of that kind (see unknowns.py); `${kind:KIND}`: what is appended to
    the name of what is learned of it, nothing where it is the image; `${divide:N,BY}`: a whole number.
    """
    from omegaconf import OmegaConf

    channels = {"image": 3, "grey": 1, "complex": 2, "object": 2}
    OmegaConf.register_new_resolver("channels", channels.__getitem__, replace=True)
    OmegaConf.register_new_resolver("kind", lambda kind: "" if kind == "image" else f"-{kind}", replace=True)
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
