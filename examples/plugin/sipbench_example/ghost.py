"""A ghost: the image and, fainter and moved, the image again, as in a window."""

from __future__ import annotations

from torch import Tensor

from sipbench.operators.base import LinearOperator
from sipbench.problem import Rng


class Ghost(LinearOperator):
    """y = (x + w x moved to the right) / (1 + w), around the borders; how far is drawn for each image.

    Args:
        weight: of the ghost, w.
        farthest: pixels that it may be moved by; at least 1.
    """

    per_image = ("shift",)

    def __init__(self, shape: tuple[int, ...], rng: Rng, *, weight: float = 0.5, farthest: int = 6) -> None:
        super().__init__(shape, rng.device)
        self.weight = weight
        self.register_buffer("shift", 1 + (rng.uniform(1)[:, 0] * farthest).long())

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.weight * self._moved(x, 1)) / (1 + self.weight)

    def T(self, y: Tensor) -> Tensor:
        return (y + self.weight * self._moved(y, -1)) / (1 + self.weight)

    def _moved(self, x: Tensor, sign: int) -> Tensor:
        """Each image by its own shift, without asking the device for a number."""
        width = x.shape[-1]
        shift = self.get_buffer("shift").expand(len(x))
        at = (x.new_zeros(width).long() + 1).cumsum(0) - 1
        index = (at - sign * shift[:, None]) % width
        return x.gather(-1, index[:, None, None].expand_as(x))
