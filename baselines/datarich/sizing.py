"""What networks share: images of any size, and parts that the first measurement sizes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from sipbench.problem import Problem


def to_multiples(x: Tensor, n: int) -> Tensor:
    """Images continued below and to the right, with their last row and column, to sides that n divides."""
    down, across = (-side % n for side in x.shape[-2:])
    return F.pad(x, (0, across, 0, down), mode="replicate") if down or across else x


class Sized(LazyModuleMixin, nn.Module):
    """A part whose parameters and buffers get their sizes from the first call, or from the weights that are loaded.

    A subclass names them, and fills them in `size`, which is handed what the first call is handed.
    """

    cls_to_become = None

    def __init__(self, parameters: Sequence[str] = (), buffers: Sequence[str] = ()) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Lazy modules are a new feature")
            super().__init__()  # pyright: ignore
        for name in parameters:
            self.register_parameter(name, UninitializedParameter())  # pyright: ignore
        for name in buffers:
            self.register_buffer(name, UninitializedBuffer())

    @torch.no_grad()
    def initialize_parameters(self, *args: object) -> None:  # pyright: ignore
        if self.has_uninitialized_params():  # pyright: ignore
            self.size(*args)

    def size(self, *args: object) -> None:
        """Give each parameter and buffer its size and its first values, by `fill`."""
        raise NotImplementedError

    def fill(self, **values: Tensor) -> None:
        for name, value in values.items():
            own = getattr(self, name)
            own.materialize(value.shape, device=value.device)
            own.copy_(value)


class Norm(Sized):
    """|A|, the largest singular value of the forward map of the first image that is seen; the weights keep it.

    Unrolled networks work with A / |A|, so that their step sizes begin near 1 whatever the units of y. Where each image
    has a map of its own, it is that of one of them: what is learned makes up for the rest.
    """

    value: Tensor

    def __init__(self) -> None:
        super().__init__(buffers=["value"])

    def size(self, problem: Problem) -> None:  # pyright: ignore
        self.fill(value=torch.tensor(problem.linear.select(slice(0, 1)).norm, device=problem.device))

    def forward(self, problem: Problem) -> Tensor:
        return self.value


def normal(*shape: int, std: float, like: Tensor) -> Tensor:
    """First values that are the same wherever and whenever a part is sized: no global random state is used."""
    source = torch.Generator().manual_seed(0)
    return std * torch.randn(shape, generator=source).to(like.device)
