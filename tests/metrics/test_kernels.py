"""Kernel similarity: one for a shifted copy, less for another kernel."""

import torch

from sipbench.metrics import kernel_similarity
from sipbench.problem import Rng


def kernels(n, size):
    k = Rng.of(0, "k", range(n)).uniform(1, size, size, dtype=torch.float64) ** 4
    return k / k.flatten(1).sum(1).view(-1, 1, 1, 1)


def test_a_moved_and_scaled_copy_is_the_same():
    k = kernels(3, 9)
    moved = torch.zeros(3, 1, 17, 15, dtype=torch.float64)
    moved[..., 5:14, 2:11] = 3 * k
    assert torch.allclose(kernel_similarity(moved, k), torch.ones(3, dtype=torch.float64))


def test_another_kernel_is_less_alike():
    k = kernels(2, 9)
    assert (kernel_similarity(k.flip(0), k) < 0.9).all()
    assert (kernel_similarity(k.flip(-1), k) < 0.95).all()
    point = torch.zeros_like(k)
    point[..., 4, 4] = 1
    assert torch.allclose(kernel_similarity(point, k), k.flatten(1).amax(1) / k.flatten(1).norm(dim=1))


def test_no_kernel_is_not_a_number():
    assert kernel_similarity(None, kernels(2, 5)).isnan().all()
