"""The nearest of the training images: what a method must beat that is to have learnt more than they are.

Cover, Hart: Nearest Neighbor Pattern Classification, IEEE Transactions on Information Theory 1967
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from baselines.common.inverse import first_image
from sipbench.operators.base import Operator
from sipbench.problem import Problem


@torch.no_grad()
def nearest_neighbour(
    problem: Problem,
    *,
    memory: Memory,
    k: int = 1,
    by: Literal["measurement", "image"] = "measurement",
    cutoff: float = 0.03,
    chunk: int = 256,
) -> Tensor:
    """x = the mean of the k training images x_i with the smallest |f(x_i) - y|; or, by image, |x_i - A^+ y|.

    The search is exact: every training image is looked at; of two that are equally near the first is taken. f is asked
    for each training image once where all images of the batch share it, else once for each of them.

    Args:
        memory: the training images.
        k: how many neighbours.
        by: what is compared.
        cutoff: singular values of A below it count as zero in A^+: see `first_image`.
        chunk: how many training images are looked at together, which bounds the memory that is used.
    """
    n = len(memory.images)
    if not 1 <= k <= n:
        raise ValueError(f"k is 1 to {n}, the number of training images, not {k}")
    y, f = problem.y, problem.f
    target = first_image(problem, cutoff) if by == "image" else y
    far = y.new_full((len(y), n), torch.inf, dtype=torch.float64)
    begins = range(0, n, chunk)
    for step in problem.steps(len(begins)):
        part = slice(begins[step], begins[step] + chunk)
        x = memory.recall(part, y.dtype)
        if by == "image":
            far[:, part] = distances(target, x)
        elif alike(f):
            far[:, part] = distances(target, f(x))
        else:
            seen = torch.stack([(f(one.expand(problem.shape)) - y).flatten(1).norm(dim=1) for one in x], 1)
            far[:, part] = seen.double().square()
    nearest = far.sort(dim=1, stable=True).indices[:, :k]
    return torch.stack([memory.recall(some, y.dtype).mean(0) for some in nearest])


class Memory(nn.Module):
    """Training images, kept as 8 bits a value on [-1, 1].

    Args:
        count: how many.
        size: their side.
        channels: theirs.
    """

    images: Tensor

    def __init__(self, count: int = 1000, size: int = 64, channels: int = 3) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(count, channels, size, size, dtype=torch.uint8))
        self.register_load_state_dict_pre_hook(_as_many)

    def store(self, x: Tensor, begin: int = 0) -> None:
        """Keep these images from place `begin` on."""
        self.images[begin : begin + len(x)] = ((x.clamp(-1, 1) + 1) * 127.5).round().to(self.images)

    def recall(self, which: slice | Tensor, dtype: torch.dtype) -> Tensor:
        """Some of the images, (n, C, H, W)."""
        return self.images[which].to(dtype) / 127.5 - 1


def _as_many(memory: Memory, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Room for as many images as were stored, before they are loaded."""
    stored = state.get(f"{prefix}images")
    if isinstance(stored, Tensor) and stored.shape[1:] == memory.images.shape[1:]:
        memory.images = memory.images.new_empty(stored.shape)


def distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i - b_j|^2 = |a_i|^2 - 2 <a_i, b_j> + |b_j|^2 for all pairs, in double precision, in which nothing cancels."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    return a.square().sum(1)[:, None] - 2 * a @ b.T + b.square().sum(1)


def alike(f: Operator) -> bool:
    """Whether f is the same map for every image of the batch: no part of it has something for each."""
    maps = [m for m in f.modules() if isinstance(m, Operator)]
    return not any(name in dict(m.named_buffers(recurse=False)) for m in maps for name in m.per_image)
