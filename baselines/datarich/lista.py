"""Learned iterative shrinkage and thresholding (LISTA).

Gregor, LeCun: Learning Fast Approximations of Sparse Coding, ICML 2010,
https://icml.cc/Conferences/2010/papers/449.pdf
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.datarich.sizing import Sized
from sipbench.problem import Problem

MOST = 3072  # values of an image, as 32 x 32 in colour has: a matrix of n x n is learned


def lista(problem: Problem, *, net: Lista) -> Tensor:
    """The image is x = Psi a with a sparse, Psi the orthonormal cosines. From a = 0, the same every time:

        a = shrink(W y + S a, theta),   shrink(u, theta) = sign(u) max(|u| - theta, 0)

    W, S and theta are learned. With D = A Psi they begin at W = D^T / |D|^2, S = I - D^T D / |D|^2 and theta = lam,
    where this is ISTA for min_a |D a - y|^2 / 2 + lam |D|^2 |a|_1. For small images, and one map for all of them.
    """
    if not problem.f.alike:
        raise ValueError("lista learns one map: here each image has its own")
    W, S, theta = net.matrices(problem)
    b = problem.y.to(W.dtype).flatten(1) @ W.T
    a = torch.zeros_like(b)
    for _ in problem.steps(net.layers):
        a = net(a, b, S, theta)
        problem.show(synthesis(a, problem.shape))
    return synthesis(a, problem.shape).to(problem.y.dtype)


class Lista(nn.Module):
    """The matrices W and S and the thresholds theta, which all layers share.

    Args:
        layers: how often they are used.
        lam: the first thresholds.
    """

    def __init__(self, layers: int = 16, lam: float = 0.01) -> None:
        super().__init__()
        self.layers, self.matrices = layers, Matrices(lam)

    def forward(self, a: Tensor, b: Tensor, S: Tensor, theta: Tensor) -> Tensor:
        """shrink(b + S a, theta) for b = W y."""
        u = b + a @ S.T
        return u.sign() * F.relu(u.abs() - theta)


class Matrices(Sized):
    """W, S and theta of the first problem.

    What is learned is n W, n (I - S) and theta: a step of Adam changes each entry by as much as the learning rate, and
    so the map by as little.
    """

    nW: Tensor
    nG: Tensor
    theta: Tensor

    def __init__(self, lam: float) -> None:
        super().__init__(parameters=["nW", "nG", "theta"])
        self.lam = lam

    def size(self, problem: Problem) -> None:
        shape, n = problem.shape[1:], math.prod(problem.shape[1:])
        if n > MOST:
            raise ValueError(f"lista learns a matrix of {n} x {n}: take images of at most {MOST} values, by size=32")
        atoms = synthesis(torch.eye(n, dtype=torch.float64, device=problem.device), (n, *shape))
        one = problem.linear.select(slice(1))
        D = torch.cat([one(atom).flatten(1) for atom in atoms.split(1)]).T
        D = (D / problem.linear.norm).float()
        theta = torch.full((n,), self.lam, device=problem.device)
        self.fill(nW=n * (D.T / problem.linear.norm), nG=n * (D.T @ D), theta=theta)

    @property
    def S(self) -> Tensor:
        n = len(self.theta)
        return torch.eye(n, dtype=self.nG.dtype, device=self.nG.device) - self.nG / n

    def forward(self, problem: Problem) -> tuple[Tensor, Tensor, Tensor]:
        return self.nW / len(self.theta), self.S, self.theta


def synthesis(a: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Psi a: the images whose orthonormal cosine transform, channel by channel, is a, (B, n)."""
    rows, columns = (cosines(n, a) for n in shape[-2:])
    return rows.T @ a.view(-1, *shape[1:]) @ columns


def cosines(n: int, like: Tensor) -> Tensor:
    """The orthonormal cosine transform of type II of n values."""
    k, i = torch.meshgrid(*[torch.arange(n, dtype=torch.float64, device=like.device)] * 2, indexing="ij")
    C = torch.cos(torch.pi * k * (i + 0.5) / n) * math.sqrt(2 / n)
    return torch.where(k == 0, C / math.sqrt(2), C).to(like.dtype)
