"""The weights within what people save: under a key, and with a prefix of what had wrapped the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS = ("model_state_dict", "state_dict", "params_ema", "params-ema", "params", "model", "net")
PREFIXES = ("module.", "netG.")


def bare(content: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors by the names that the network gives them."""
    state = next((content[key] for key in KEYS if isinstance(content.get(key), Mapping)), content)
    if len(state) == 1 and isinstance(only := next(iter(state.values())), Mapping):
        state = only
    for prefix in PREFIXES:
        if state and all(str(name).startswith(prefix) for name in state):
            state = {name[len(prefix) :]: value for name, value in state.items()}
    return dict(state)
