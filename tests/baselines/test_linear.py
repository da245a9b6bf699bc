"""The linear systems that solvers share."""

import pytest
import torch

from baselines.common.linear import cg, conditioning, pseudo_inverse
from sipbench.api import pose
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.iterative import least_squares
from sipbench.operators.separable import GaussianBlur
from sipbench.problem import Rng
from tests.baselines.reference import WithoutSVD, dense, pinv


def matrices(b=3, d=6, shift=0.1):
    M = Rng.of(0, "matrix", range(b)).normal(d, d, dtype=torch.float64)
    return M @ M.mT + shift * torch.eye(d, dtype=torch.float64)


def test_cg_solves_each_image_by_itself():
    M, b = matrices(), Rng.of(1, "b", range(3)).normal(6, dtype=torch.float64)
    v = cg(lambda p: torch.einsum("bij,bj->bi", M, p), b, 30)
    assert torch.allclose(v, torch.linalg.solve(M, b), atol=1e-8)
    alone = cg(lambda p: torch.einsum("bij,bj->bi", M[1:2], p), b[1:2], 30)
    assert torch.allclose(alone[0], v[1], atol=1e-10)


def test_cg_stays_finite_where_the_matrix_is_not_positive():
    b = torch.ones(2, 2, dtype=torch.float64)
    M = torch.stack([torch.diag(torch.tensor([1.0, -2.0])), torch.diag(torch.tensor([1.0, 2.0]))]).double()
    v = cg(lambda p: torch.einsum("bij,bj->bi", M, p), b, 20)
    assert v[0].abs().max() < 10
    assert torch.allclose(v[1], torch.tensor([1.0, 0.5]).double(), atol=1e-10)


@pytest.mark.parametrize("operator", [Inpainting, BicubicDownsampling])
def test_conditioning_is_the_same_by_either_way(operator, monkeypatch):
    shape = (2, 1, 8, 8)
    f = operator(shape, Rng.of(0, "f", range(2)).portable)
    r = f(Rng.of(0, "x", range(2)).normal(*shape[1:], dtype=torch.float64))
    by_svd = conditioning(f, torch.float64)(r, 0.7, 0.05)
    monkeypatch.setattr(type(f), "svd", lambda self, dtype=None: None)
    by_cg = conditioning(f, torch.float64, 200)(r, 0.7, 0.05)
    assert torch.allclose(by_svd, by_cg, atol=1e-8)


@pytest.mark.parametrize("degradation", ["mri_multicoil", "ct_sparse"])
def test_conditioning_that_ends_early_is_nearer_than_nothing(degradation):
    """What noise does to y outside the range of A must not matter; it did where the system was that of y."""
    problem, _ = pose(degradation=degradation, size=32, images=2, overrides=["degradation.noise.sigma=0.05"])
    f, y, b = problem.linear, problem.y.double(), 1e-5
    exact = least_squares(f, y, 2000, 1e-6, damping=b)
    errors = [(conditioning(f, torch.float64, n)(y, 1.0, b) - exact).norm() for n in (5, 20, 50)]
    assert exact.norm() > errors[0] > errors[1] > errors[2]


def test_cg_ends_with_its_last_image():
    M, calls = matrices(), []
    b = Rng.of(1, "b", range(3)).normal(6, dtype=torch.float64)
    v = cg(lambda p: calls.append(p) or torch.einsum("bij,bj->bi", M, p), b, 500)
    assert len(calls) <= 50
    assert torch.allclose(v, torch.linalg.solve(M, b), atol=1e-8)


@pytest.mark.parametrize("cutoff", [0.0, 0.2])
def test_the_pseudo_inverse_has_no_small_singular_values(cutoff):
    shape, rng = (1, 1, 6, 6), Rng.of(0, "f", [0]).portable
    f = GaussianBlur(shape, rng, size=3, sigma=1.0, boundary="circular")
    inverse = dense(pseudo_inverse(f, torch.float64, cutoff), shape[1:])
    assert abs(inverse - pinv(dense(f, shape[1:]), cutoff)).max() < 1e-9
    assert (abs(inverse - dense(f.pinv, shape[1:])).max() > 1) == (cutoff > 0)


def test_where_nothing_is_small_it_is_the_map_s_own():
    f = BicubicDownsampling((1, 1, 8, 8), Rng.of(0, "f", [0]).portable, factor=2)
    assert pseudo_inverse(f, torch.float64, 0.03) == f.pinv


@pytest.mark.parametrize("map", [GaussianBlur, WithoutSVD])
def test_without_a_decomposition_small_singular_values_are_damped(map, monkeypatch):
    shape, rng = (1, 1, 6, 6), Rng.of(0, "f", [0]).portable
    f = map(shape, rng, size=3, sigma=1.0) if map is GaussianBlur else map(shape, rng, factor=2)
    monkeypatch.setattr(map, "svd", lambda self, dtype=None: None)
    A, small = dense(f, shape[1:]), (1, shape[1] * f(torch.zeros(shape)).shape[-1], f(torch.zeros(shape)).shape[-1])
    assert abs(dense(pseudo_inverse(f, torch.float64, 0.2), small) - pinv(A, 0.2, damped=True)).max() < 1e-3
