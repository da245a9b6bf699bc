"""Untrained generators of blur kernels, one an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sipbench.operators.base import BlindOperator
from sipbench.operators.blind import BlindBlur
from sipbench.problem import Problem, Rng

Pair = tuple[int, int]
Net = Literal["mlp", "siren", "free"]


class Linear(nn.Module):
    """Matrices and offsets (B, ...) of fully connected layers, uniform on +- bound."""

    def __init__(self, rng: Rng, n_in: int, n_out: int, dtype: torch.dtype, bound: float | None = None) -> None:
        super().__init__()
        reach = n_in**-0.5 if bound is None else bound
        self.weight = nn.Parameter(reach * (2 * rng.uniform(n_out, n_in, dtype=dtype) - 1))
        self.bias = nn.Parameter(n_in**-0.5 * (2 * rng.uniform(n_out, dtype=dtype) - 1))

    def forward(self, h: Tensor) -> Tensor:
        """(B, n, n_in) -> (B, n, n_out)."""
        return torch.baddbmm(self.bias[:, None], h, self.weight.mT)


class MLP(nn.Module):
    """SelfDeblur's: a fixed vector of 200 numbers on [0, 0.1], 1000 hidden units with ReLU6, one logit a pixel."""

    def __init__(self, rng: Rng, size: Pair, dtype: torch.dtype, *, inputs: int = 200, hidden: int = 1000) -> None:
        super().__init__()
        self.z = 0.1 * rng.uniform(1, inputs, dtype=dtype)
        self.first = Linear(rng, inputs, hidden, dtype)
        self.last = Linear(rng, hidden, size[0] * size[1], dtype)

    def forward(self) -> Tensor:
        return self.last(F.relu6(self.first(self.z)))


class Siren(nn.Module):
    """Logits as a function of the pixel: coordinates on [-1, 1]^2, two layers of 64 sines of frequency 30, a sum."""

    def __init__(self, rng: Rng, size: Pair, dtype: torch.dtype, *, hidden: int = 64, omega: float = 30.0) -> None:
        super().__init__()
        axes = [torch.linspace(-1, 1, n, dtype=dtype, device=rng.device) for n in size]
        self.at = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(1, -1, 2)
        self.omega, bound = omega, (6 / hidden) ** 0.5 / omega
        self.first = Linear(rng, 2, hidden, dtype, 1 / 2)
        self.second = Linear(rng, hidden, hidden, dtype, bound)
        self.last = Linear(rng, hidden, 1, dtype, bound)

    def forward(self) -> Tensor:
        h = (self.omega * self.first(self.at.expand(len(self.first.weight), -1, -1))).sin()
        return self.last((self.omega * self.second(h)).sin())


class Free(nn.Module):
    """The logits themselves, from N(0, 1)."""

    def __init__(self, rng: Rng, size: Pair, dtype: torch.dtype) -> None:
        super().__init__()
        self.logits = nn.Parameter(rng.normal(size[0] * size[1], dtype=dtype))

    def forward(self) -> Tensor:
        return self.logits


NETS: dict[str, Callable[[Rng, Pair, torch.dtype], nn.Module]] = {"mlp": MLP, "siren": Siren, "free": Free}


class Kernel(nn.Module):
    """Kernels (B, 1, *box), the softmax of a generator's logits: none below zero, of sum 1.

    Args:
        net: mlp, siren or free.
        size: the side of the kernel to look for in the middle of the box that f names; None is the box.
    """

    def __init__(self, problem: Problem, net: Net, size: int | None, dtype: torch.dtype) -> None:
        super().__init__()
        f = problem.f
        assert isinstance(f, BlindOperator)
        blur = getattr(f, "blur", f)
        assert isinstance(blur, BlindBlur)
        if size is not None and not 1 <= size <= min(blur.box):
            raise ValueError(f"kernel_size is a side within the box of {blur.box}, or null, not {size}")
        self.size = blur.box if size is None else (size, size)
        self.boxed = blur.boxed
        self.logits = NETS[net](problem.rng.child("kernel").portable, self.size, dtype)

    def forward(self) -> Tensor:
        logits = self.logits().flatten(1)
        return self.boxed(logits.softmax(1).view(len(logits), 1, *self.size))


def completed(problem: Problem, kernel: Tensor) -> dict[str, Tensor]:
    """theta with this kernel; what else f leaves open, such as a tilt map, stays at zero."""
    assert isinstance(problem.f, BlindOperator)
    rest = {name: kernel.new_zeros(len(kernel), *shape) for name, shape in problem.f.theta_shapes.items()}
    return rest | {"kernel": kernel}
