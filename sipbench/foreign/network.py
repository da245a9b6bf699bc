"""A network made elsewhere as the harness and a solver see it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

NORMS = tuple(f"{kind}Norm{n}d" for kind in ("Batch", "Instance") for n in (1, 2, 3))


class Foreign(nn.Module):
    """A network with what is known of its interface; it answers in the precision that it is asked in.

    Attributes:
        multiple, minimum, square: which sides its images may have.
        scale: by how much its images are larger than what it is given.
        channels: how many it takes, or None where the file does not say.
        alone: whether it is given one image at a time.
        output: which of its outputs is the image, where it has several.
        keeps: whether its buffers stay as they are; else they are put back after each image, since in train mode
            running statistics move, and what an image gives may not hang on those before it.
    """

    multiple: int = 1
    minimum: int = 0
    square: bool = False
    scale: int = 1
    channels: int | None = None

    def __init__(self, inner: nn.Module, *, alone: bool = False, output: int = 0, keeps: bool = True) -> None:
        super().__init__()
        self.inner, self.alone, self.output, self.keeps = inner, alone, output, keeps

    def train(self, mode: bool = True) -> Foreign:
        """Its mode was set when it was loaded, and stays."""
        return self

    def forward(self, v: Tensor, *more: Any) -> Tensor:
        images = v.split(1) if self.alone else (v,)
        return torch.cat([self._one(image, more) for image in images])

    def _one(self, v: Tensor, more: tuple[Any, ...]) -> Tensor:
        dtype = next((p.dtype for p in self.inner.parameters() if p.is_floating_point()), v.dtype)
        before = [] if self.keeps else [buffer.clone() for buffer in self.inner.buffers()]
        x = self.inner(v.to(dtype), *more)
        for buffer, value in zip(self.inner.buffers(), before, strict=False):
            buffer.copy_(value)
        return (x if isinstance(x, Tensor) else x[self.output]).to(v.dtype)


class Script(nn.Module):
    """TorchScript, not optimised while it runs: what it compiles after its first calls would change its last bits."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Any) -> Any:
        with torch.jit.optimized_execution(False):
            return self.inner(*inputs)


def own_statistics(net: nn.Module) -> None:
    """Train mode as deblurring networks run in it: normalisation by each image's own statistics, dropout off."""
    net.eval()
    for module in net.modules():
        name = getattr(module, "original_name", type(module).__name__)  # the first is that of TorchScript
        if name.endswith(NORMS) and not any(module.children()):
            module.train()
