"""Tikhonov and Wiener against the formula with dense matrices."""

import pytest
import torch
from scipy.fft import dctn, idctn

from baselines.classical.tikhonov import spectral, tikhonov
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.colour import Colorize, Denoise
from tests.baselines.posed import blur, far, hidden, matrix, motion, pose

SIZE = 12
MAPS = {"one": Denoise, "mask": Inpainting, "bicubic": BicubicDownsampling, "blur": blur(), "motion": motion}


def covariance(channels, std, exponent, corner):
    """The prior's covariance, from scipy's cosine transform."""
    k = torch.arange(SIZE, dtype=torch.float64) / 2
    s = (k[:, None] ** 2 + k**2 + corner**2) ** (-exponent / 2)
    s = (s * std**2 / s.mean()).numpy()
    columns = [
        torch.from_numpy(idctn(s * dctn(e.view(SIZE, SIZE).numpy(), norm="ortho"), norm="ortho")).flatten()
        for e in torch.eye(SIZE**2, dtype=torch.float64)
    ]
    return torch.block_diag(*[torch.stack(columns, 1)] * channels)


def reference(problem, C, mean, sigma):
    """The least |A x - y|^2 / (2 sigma^2) + (x - m)^T C^-1 (x - m) / 2, from its normal equations."""
    out = []
    for i in range(problem.shape[0]):
        A = matrix(problem.f.select(slice(i, i + 1)), problem.shape)
        H = A.T @ A / sigma**2 + torch.linalg.inv(C)
        m = torch.full((A.shape[1],), mean, dtype=torch.float64)
        out.append(m + torch.linalg.solve(H, A.T @ (problem.y[i].flatten() - A @ m) / sigma**2))
    return torch.stack(out).view(problem.shape)


@pytest.mark.parametrize("prior", ["white", "power"])
@pytest.mark.parametrize("name", MAPS)
def test_it_is_the_formula(name, prior):
    problem = pose(MAPS[name], size=SIZE)
    C = 0.16 * torch.eye(SIZE**2, dtype=torch.float64) if prior == "white" else covariance(1, 0.4, 3.0, 0.7)
    x = tikhonov(problem, prior=prior, std=0.4, mean=0.1, exponent=3.0, corner=0.7, tolerance=1e-12)
    assert far(x, reference(problem, C, 0.1, 0.2)) < 1e-8


def test_channels_are_independent():
    problem = pose(Colorize, size=SIZE, channels=3)
    x = tikhonov(problem, tolerance=1e-12)
    assert far(x, reference(problem, covariance(3, 0.5, 2.0, 1.0), 0.0, 0.2)) < 1e-8


def witness(solve):
    problem = pose(Inpainting, size=SIZE)
    x = solve(problem, mean=0.1, tolerance=1e-12)
    assert far(x, reference(problem, covariance(1, 0.5, 2.0, 1.0), 0.1, 0.2)) < 1e-8


def test_the_prior_has_the_variance_it_says():
    x = torch.zeros(1, 1, 16, 20, dtype=torch.float64)
    _, s = spectral(x, 0.4, 2.0, 1.0)
    assert float(s.mean()) == pytest.approx(0.16)


def test_the_noise_is_assumed_where_it_is_not_told():
    problem = pose(Inpainting, size=SIZE)
    assert far(tikhonov(hidden(problem), sigma=0.2), tikhonov(problem)) == 0
    assert far(tikhonov(hidden(problem), sigma=0.1), tikhonov(problem)) > 1e-2


def test_it_removes_noise():
    clean, problem = pose(sigma=0.0).y, pose()
    assert far(tikhonov(problem, exponent=3.0), clean) < 0.75 * far(problem.y, clean)
