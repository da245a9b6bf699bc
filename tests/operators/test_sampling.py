"""What the published protocols say of bicubic super-resolution and random inpainting."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.sampling import bicubic_matrix
from sipbench.problem import Rng
from tests.operators.posing import close

few = settings(max_examples=10, derandomize=True, deadline=None)
sides = st.integers(2, 5).map(lambda n: 8 * n)


@few
@given(h=sides, w=sides, removed=st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.92]))
def test_inpainting_removes_exactly(h, w, removed):
    mask = Inpainting((3, 3, h, w), Rng.of(0, "t", range(3)).portable, removed=removed).mask
    assert mask.shape == (3, 1, h, w)  # the same in all channels
    assert ((mask == 0) | (mask == 1)).all()
    assert ((mask == 0).flatten(1).sum(1) == math.floor(removed * h * w)).all()


def test_every_pixel_is_as_likely_to_go():
    mask = Inpainting((400, 3, 8, 8), Rng.of(0, "t", range(400)).portable).mask
    kept = 64 - math.floor(0.7 * 64)
    p = kept / 64
    assert ((mask.mean(0) - p).abs() < 5 * math.sqrt(p * (1 - p) / 400)).all()


def by_loop(row, factor):
    """One line resized tap by tap: the cubic kernel with a = -1/2, stretched, normalised, the edge sample repeated."""

    def kernel(u):
        u = abs(u)
        if u <= 1:
            return 1.5 * u**3 - 2.5 * u**2 + 1
        return -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2 if u < 2 else 0.0

    out = []
    for i in range(len(row) // factor):
        u = factor * i + (factor - 1) / 2
        total = weight = 0.0
        for j in range(math.floor(u - 2 * factor), math.ceil(u + 2 * factor) + 1):
            k = kernel((j - u) / factor)
            mirror = -1 - j if j < 0 else 2 * len(row) - 1 - j if j >= len(row) else j
            total, weight = total + k * row[mirror], weight + k
        out.append(total / weight)
    return out


@pytest.mark.parametrize(("n", "factor"), [(16, 4), (32, 4), (24, 2)])
def test_bicubic_borders_by_brute_force(n, factor):
    row = Rng.of(0, "row", [0]).normal(n, dtype=torch.float64)[0]
    expected = torch.tensor(by_loop(row.tolist(), factor), dtype=torch.float64)
    assert close(bicubic_matrix(n, factor) @ row, expected, 1e-12)
    assert not close(bicubic_matrix(n, factor, a=-0.75) @ row, expected, 1e-3)


def test_bicubic_keeps_a_constant_and_divides_the_size():
    f = BicubicDownsampling((1, 3, 256, 256), Rng.of(0, "t", [0]))
    y = f(torch.full((1, 3, 256, 256), 0.3, dtype=torch.float64))
    assert y.shape == (1, 3, 64, 64)
    assert close(y, torch.full_like(y, 0.3), 1e-12)
