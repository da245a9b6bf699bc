"""What solvers share that look for an image in the range of a generator: codes, their images, how well these explain y.

A generator is a module G(z) whose attribute `latent` is the shape of a code z. Where a solver goes through its stages,
it has `depth` of them, and G(h, begin, end) is what stages begin to end - 1 make of h. Where a solver asks for the code
of an image, `encode(x)` has its mean and the logarithm of its variance.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sipbench.problem import Problem


def codes(problem: Problem, G: nn.Module, *several: int) -> Tensor:
    """Codes from N(0, I) for each image, (B, *several, *latent), in the generator's precision."""
    latent: tuple[int, ...] = tuple(G.latent)  # pyright: ignore
    return problem.rng.portable.normal(*several, *latent, dtype=precision(problem, G))


def precision(problem: Problem, G: nn.Module) -> torch.dtype:
    """That of the generator's weights; of y where it has none."""
    return next(G.parameters(), problem.y).dtype


def drawn(problem: Problem, x: Tensor) -> Tensor:
    """What a generator drew as images of this problem: in its precision, refused where they have another shape."""
    if x.shape[1:] != tuple(problem.shape[1:]):
        raise ValueError(
            f"the generator draws images of {tuple(x.shape[1:])}, and these are {tuple(problem.shape[1:])}"
        )
    return x.to(problem.y.dtype)


def misfit(problem: Problem, x: Tensor) -> Tensor:
    """The mean of (y - f(x))^2 over the entries of each measurement that say something, (B,)."""
    squares, valid = (problem.f(x) - problem.y).square(), problem.f.valid
    if valid is None:
        return squares.flatten(1).mean(1)
    counts = (valid != 0).expand_as(squares).to(squares)
    return (squares * counts).flatten(1).sum(1) / counts.flatten(1).sum(1).clamp(min=1)


def energy(z: Tensor) -> Tensor:
    """|z|^2 of each image's code, (B,)."""
    return z.square().flatten(1).sum(1)


def descend(optimiser: torch.optim.Optimizer, unknown: Tensor, loss: Tensor) -> None:
    """One step of the optimiser on the sum of all losses; the weights of the generator have no part in it."""
    (unknown.grad,) = torch.autograd.grad(loss.sum(), unknown)
    optimiser.step()
