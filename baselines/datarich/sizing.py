"""What networks share: images of any size, and parts that the first measurement sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy

from sipbench.problem import Problem


def to_multiples(x: Tensor, n: int) -> Tensor:
    """Images continued below and to the right, with their last row and column, to sides that n divides."""
    down, across = (-side % n for side in x.shape[-2:])
    return F.pad(x, (0, across, 0, down), mode="replicate") if down or across else x


class Sized(nn.Module):
    """A part whose parameters and buffers get their sizes from the first call, or from the weights that are loaded.

    A subclass names them, and gives each its size and its first values, by `fill`, in `size`, which is handed what the
    first call is handed. Unlike torch's lazy modules, one that has its weights is not altered by its first call.
    """

    size: Callable[..., None]

    def __init__(self, parameters: Sequence[str] = (), buffers: Sequence[str] = ()) -> None:
        super().__init__()
        for name in parameters:
            self.register_parameter(name, UninitializedParameter())  # pyright: ignore
        for name in buffers:
            self.register_buffer(name, UninitializedBuffer())

    @torch.no_grad()
    def fill(self, **values: Tensor) -> None:
        for name, value in values.items():
            own = getattr(self, name)
            own.materialize(value.shape, device=value.device)
            own.copy_(value)

    def __call__(self, *args: Any) -> Any:
        if any(is_lazy(part) for part in self._parts.values()):
            self.size(*args)
        return super().__call__(*args)

    def _load_from_state_dict(self, state_dict: Any, prefix: Any, *args: Any) -> None:  # pyright: ignore
        for name, part in self._parts.items():
            if is_lazy(part) and prefix + name in state_dict:
                part.materialize(state_dict[prefix + name].shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def _parts(self) -> dict[str, Any]:
        return {**self._parameters, **self._buffers}


class Norm(Sized):
    """|A|, the largest singular value of the forward map of the first image that is seen; the weights keep it.

    Unrolled networks work with A / |A|, so that their step sizes begin near 1 whatever the units of y. Where each image
    has a map of its own, it is that of one of them: what is learned makes up for the rest.
    """

    value: Tensor

    def __init__(self) -> None:
        super().__init__(buffers=["value"])

    def size(self, problem: Problem) -> None:
        self.fill(value=torch.tensor(problem.linear.select(slice(0, 1)).norm, device=problem.device))

    def forward(self, problem: Problem) -> Tensor:
        return self.value


def normal(*shape: int, std: float, like: Tensor) -> Tensor:
    """First values that are the same wherever and whenever a part is sized: no global random state is used."""
    source = torch.Generator().manual_seed(0)
    return std * torch.randn(shape, generator=source).to(like.device)
