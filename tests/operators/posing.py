"""Operators, images and distances for the tests of single operators."""

import torch

from sipbench.problem import Rng


def make(kind, shape, indices=None, seed=0, **options):
    """The operator for these images of a set, all of a batch unless given."""
    return kind(shape, Rng.of(seed, "t", range(shape[0]) if indices is None else indices).portable, **options)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def error(a, b):
    """The largest difference, relative to the largest value of b."""
    return float((a.detach().double() - b.detach().double()).abs().max() / b.detach().double().abs().max())


def close(a, b, tolerance=1e-12):
    """Within a tolerance, relative where b is larger than one."""
    return float((a - b).detach().abs().max()) <= tolerance * max(1.0, float(b.detach().abs().max()))
