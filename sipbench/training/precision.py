"""Training in half precision: the network calculates in it, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def lower(network: nn.Module, device: torch.device, precision: torch.dtype) -> None:
    """Each part of the network that is called from outside calculates in this precision, and gives back float32.

    What it is trained through keeps its own: a measurement in bfloat16 errs by as much as its noise, and no sparse
    matrix multiplies in it.
    """
    for part in network.modules():
        part.forward = _lowered(part.forward, device.type, precision)


def _lowered(forward: Callable[..., Any], kind: str, precision: torch.dtype) -> Callable[..., Any]:
    def called(*inputs: Any, **named: Any) -> Any:
        if torch.is_autocast_enabled(kind):  # from within a part that is
            return forward(*inputs, **named)
        with torch.autocast(kind, precision):
            out = forward(*inputs, **named)
        return out.float() if isinstance(out, Tensor) and out.dtype == precision else out

    return called
