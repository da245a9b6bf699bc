"""Regression from pairs in a few dimensions: a fully connected network, and the mean of the nearest neighbours.

The measurements of y = |A x|^2 do not tell x from -x. A regression on pairs that have both tends to their mean, zero,
the more so the more pairs it has; one on pairs of a half space {x_n > 0} does not.

Tayal, Lai, Manekar, Zhuang, Kumar, Sun: Unlocking Inverse Problems Using Deep Learning: Breaking Symmetries in Phase
Retrieval, ICML 2020 workshop; https://arxiv.org/abs/2003.09077
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sipbench.operators.breaking import break_symmetry
from sipbench.problem import Problem, Rng

AT_ONCE = 2**26  # distances
BLOCK = 100  # steps whose pairs are drawn together: they are drawn on the CPU, and a copy from there waits


def mlp(
    problem: Problem,
    *,
    points: int = 20_000,
    breaking: bool = True,
    widths: Sequence[int] = (256, 128, 64),
    steps: int = 6000,
    batch: int = 512,
    lr: float = 1e-3,
) -> Tensor:
    """x_hat = g(y) put into the ball, g a network trained on pairs: min_g sum_i |g(y_i) - x_i|^2, y standardised.

    Adam, the rate constant for half of the steps and then falling to zero; the pairs of a step are drawn with
    replacement. Each image has its own forward map, pairs and network.

    Args:
        points: the pairs that there are; four fifths are trained on, as the published split leaves a fifth for tests.
        breaking: whether the x_i are moved to a fundamental domain of the problem's symmetries first.
        widths: of the layers in between; (512, 256, 128) is WNN, (2048, 1024, 512, 256, 128) is DNN.
    """
    parts = [problem.select(slice(b, b + 1)) for b in range(len(problem.rng))]
    pairs = [_pairs(part, points, breaking) for part in parts]
    nets = [
        Regressor(y, [*widths, x.shape[1]], part.rng.child("theta").portable)
        for part, (y, x) in zip(parts, pairs, strict=True)
    ]
    streams, block = problem.rng.child("batches").portable, problem.y.new_zeros(0)
    optimiser = torch.optim.Adam([p for net in nets for p in net.parameters()], lr=lr)
    for k in problem.steps(steps):
        optimiser.param_groups[0]["lr"] = lr * min(1.0, 2 * (steps - k) / steps)
        optimiser.zero_grad()
        block = block if k % BLOCK else streams.uniform(BLOCK, batch)
        for (y, x), net, u in zip(pairs, nets, block[:, k % BLOCK], strict=True):
            i = (u * len(y)).long().clamp(max=len(y) - 1)
            (net(y[i]) - x[i]).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        x = torch.stack([net(y) for net, y in zip(nets, _rows(problem), strict=True)])
    return (x / x.norm(dim=2, keepdim=True).clamp(min=1)).view(problem.shape)


def knn(problem: Problem, *, points: int = 20_000, breaking: bool = True, k: int = 5) -> Tensor:
    """x_hat = the mean of the x_i of the k nearest y_i, of the same pairs; found exactly."""
    found = []
    near = neighbours if problem.device.type == "cuda" else tree
    for b in range(len(problem.rng)):
        part = problem.select(slice(b, b + 1))
        y, x = _pairs(part, points, breaking)
        if not 1 <= k <= len(y):
            raise ValueError(f"k is 1 to {len(y)}, the number of pairs, not {k}")
        found.append(x[near(_rows(part)[0], y, k)].mean(1))
    return torch.stack(found).view(problem.shape)


class Regressor(nn.Module):
    """Standardisation, then linear layers with ReLU between them, uniform on +- 1 / sqrt(fan in) at first."""

    def __init__(self, y: Tensor, widths: Sequence[int], rng: Rng) -> None:
        super().__init__()
        self.mean, self.scale = y.mean(0), y.std(0).clamp(min=torch.finfo(y.dtype).tiny)
        fans = list(zip([y.shape[1], *widths], widths, strict=False))
        drawn = [(2 * rng.uniform(b, a + 1, dtype=y.dtype)[0] - 1) * a**-0.5 for a, b in fans]
        self.weights = nn.ParameterList(w[:, 1:].contiguous() for w in drawn)
        self.biases = nn.ParameterList(w[:, 0].contiguous() for w in drawn)

    def forward(self, y: Tensor) -> Tensor:
        y = (y - self.mean) / self.scale
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            y = F.relu(F.linear(y, weight, bias))
        return F.linear(y, self.weights[-1], self.biases[-1])


def tree(y: Tensor, among: Tensor, k: int) -> Tensor:
    """The places of the k nearest rows, by a k-d tree: fast where few dimensions lie behind the many, (B, k)."""
    from scipy.spatial import KDTree

    _, i = KDTree(among.double().cpu().numpy()).query(y.double().cpu().numpy(), k=k)
    return torch.from_numpy(i).to(y.device).view(len(y), k)


def neighbours(y: Tensor, among: Tensor, k: int) -> Tensor:
    """The same by all distances, some rows at a time."""
    exact = "donot_use_mm_for_euclid_dist"  # products of rows far from the origin round too much
    rows = y.split(max(1, AT_ONCE // len(among)))
    distances = (torch.cdist(r, among, compute_mode=exact) for r in rows)
    return torch.cat([d.topk(k, dim=1, largest=False).indices for d in distances])


def _rows(problem: Problem) -> Tensor:
    """What was measured of each channel in a row, (B, C, m)."""
    return problem.y.view(*problem.shape[:2], -1)


def _pairs(problem: Problem, points: int, breaking: bool) -> tuple[Tensor, Tensor]:
    """(y, x) of the one image's forward map, x uniform in the unit ball; the points go through f as channels."""
    if points < 2:
        raise ValueError(f"points is 2 or more, not {points}")
    shape, rng, count = problem.shape[2:], problem.rng, round(0.8 * points)
    z = rng.child("direction").portable.normal(count, *shape, dtype=torch.float64)
    u = rng.child("radius").portable.uniform(count, 1, 1, dtype=torch.float64)
    x = z / z.norm(dim=(2, 3), keepdim=True) * u ** (1 / math.prod(shape))
    x = x.to(problem.y.dtype)
    y = problem.f(x)
    if problem.noise is not None:
        y = problem.noise(y, rng.child("noise").portable)
    x = break_symmetry(x[0][:, None], problem.f.symmetries) if breaking else x[0]
    return y.view(count, -1), x.flatten(1)
