"""Learned primal-dual: an unrolled primal-dual method whose proximal steps are networks with memory.

Adler, Oktem: Learned Primal-Dual Reconstruction, IEEE TMI 2018, https://arxiv.org/abs/1707.06474
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.datarich.sizing import Norm
from sipbench.problem import Problem


def lpd(problem: Problem, *, net: PrimalDual) -> Tensor:
    """For A and y in units of |A|, from zeros, h in the space of y and x in that of images, both with memory:

        h = h + G_k(h, A x_2, y)
        x = x + F_k(x, A^T h_1)

    where x_2 is the second of the M parts of x and h_1 the first of h. Returns x_1. Cost: one A, A^T, F_k and G_k an
    iteration.
    """
    A, scale = problem.linear, 1 / net.norm(problem)
    y = scale * problem.y.to(scale.dtype)
    h, x = (torch.zeros_like(v)[:, None].repeat_interleave(net.memory, 1) for v in (y, A.T(y)))
    for k in problem.steps(len(net.primal)):
        h = h + net.dual[k](torch.cat([h, scale * A(x[:, 1 % net.memory])[:, None], y[:, None]], 1))
        x = x + net(torch.cat([x, scale * A.T(h[:, 0])[:, None]], 1), k)
        problem.show(x[:, 0])
    return x[:, 0].to(problem.y.dtype)


class PrimalDual(nn.Module):
    """F_k and G_k: three convolutions with PReLU between them.

    Colours are seen together in F_k. G_k sees each channel of y by itself, as an image if it is one; the entries of a y
    without rows and columns have no neighbours, and are seen one by one.

    Args:
        channels: of the image.
        steps: how many iterations.
        memory: parts of x and of h.
        width: channels between the convolutions; published are 32, and 10 iterations.
    """

    def __init__(self, channels: int = 3, steps: int = 8, memory: int = 5, width: int = 16) -> None:
        super().__init__()
        self.norm, self.memory = Norm(), memory
        self.primal = nn.ModuleList(Convolutions(memory + 1, memory, width, channels) for _ in range(steps))
        self.dual = nn.ModuleList(Convolutions(memory + 2, memory, width) for _ in range(steps))

    def forward(self, x: Tensor, k: int) -> Tensor:
        return self.primal[k](x)


class Convolutions(nn.Module):
    """From `before` to `after` parts, (B, parts, C, ...), with C channels at a time."""

    def __init__(self, before: int, after: int, width: int, channels: int = 1) -> None:
        super().__init__()
        self.channels = channels
        sizes = [before * channels, width, width, after * channels]
        convolutions = [nn.Conv2d(a, b, 3, padding=1) for a, b in zip(sizes, sizes[1:], strict=False)]
        layers = [layer for convolution in convolutions for layer in (convolution, nn.PReLU(num_parameters=1))]
        self.layers = nn.Sequential(*layers[:-1])
        for convolution in convolutions:
            nn.init.xavier_uniform_(convolution.weight)
            nn.init.zeros_(convolution.bias)  # pyright: ignore

    def forward(self, v: Tensor) -> Tensor:
        batch, parts, *shape = v.shape
        sides = shape[1:] if len(shape) == 3 else (1, 1)
        groups = v.movedim(1, -1).reshape(batch, -1, self.channels, *sides, parts)
        inputs = groups.movedim(-1, 2).flatten(0, 1).flatten(1, 2)
        outputs = self.layers(inputs).unflatten(1, (-1, self.channels)).unflatten(0, (batch, -1))
        return outputs.movedim(2, -1).reshape(batch, *shape, -1).movedim(-1, 1)
