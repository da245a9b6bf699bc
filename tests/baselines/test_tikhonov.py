"""Tikhonov and Wiener against the formula with dense matrices."""

import pytest
import torch
from scipy.fft import dctn, idctn
from scipy.sparse.linalg import LinearOperator
from scipy.sparse.linalg import cg as scipy_cg
from skimage.data import camera

from baselines.classical.cosines import Cosines
from baselines.classical.tikhonov import seen, tikhonov
from sipbench.metrics import psnr
from sipbench.noise import Gaussian
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.blur import Blur
from sipbench.operators.colour import Colorize, Denoise
from sipbench.problem import Problem, Rng
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
    x = tikhonov(problem, prior=prior, std=0.4, mean=0.1, exponent=3.0, corner=0.7, tolerance=1e-12).x
    assert far(x, reference(problem, C, 0.1, 0.2)) < 1e-8


def test_white_images_may_be_larger_than_their_measurement():
    """With neither closed form, the variance is that of the image's frequencies."""

    def valid(shape, rng):
        return Blur(shape, rng, kernel="motion", size=3, boundary="valid")

    problem = pose(valid, size=SIZE)
    assert problem.y.shape != problem.shape
    x = tikhonov(problem, prior="white", std=0.4, tolerance=1e-12).x
    assert far(x, reference(problem, 0.16 * torch.eye(SIZE**2, dtype=torch.float64), 0.0, 0.2)) < 1e-8


def test_channels_are_independent():
    problem = pose(Colorize, size=SIZE, channels=3)
    x = tikhonov(problem, exponent=2.0, tolerance=1e-12).x
    assert far(x, reference(problem, covariance(3, 0.5, 2.0, 1.0), 0.0, 0.2)) < 1e-8


def witness(solve):
    problem = pose(Inpainting, size=SIZE)
    found = solve(problem, mean=0.1, exponent=2.0, tolerance=1e-12)
    assert far(found.x, reference(problem, covariance(1, 0.5, 2.0, 1.0), 0.1, 0.2)) < 1e-8
    assert found.stopped.max() < 60 and not solve(problem, iterations=2).converged.any()


def test_the_prior_has_the_variance_it_says():
    x = torch.zeros(1, 1, 16, 20, dtype=torch.float64)
    s = Cosines.of(x).power(0.4, 2.0, 1.0)
    assert float(s.mean()) == pytest.approx(0.16)


def test_the_noise_is_assumed_where_it_is_not_told():
    problem = pose(Inpainting, size=SIZE)
    assert far(tikhonov(hidden(problem), sigma=0.2).x, tikhonov(problem).x) == 0
    assert far(tikhonov(hidden(problem), sigma=0.1).x, tikhonov(problem).x) > 1e-2


def photograph(side=64):
    x = torch.from_numpy(camera()[128 : 128 + 4 * side : 4, 128 : 128 + 4 * side : 4] / 127.5 - 1)
    return x.float()[None, None]


@pytest.mark.parametrize("boundary", ["reflect", "circular", "zero"])
@pytest.mark.parametrize("exponent", [2.0, 3.0])
def test_a_blur_with_little_noise_converges(exponent, boundary):
    """In single precision as well: what the harness hands over. No more steps, and no others, change the image."""
    x, rng = photograph(), Rng.of(0, "camera", [0])
    f = Blur(tuple(x.shape), rng, kernel="gaussian", size=13, sigma=2.0, boundary=boundary)
    y = Gaussian(0.02)(f(x), rng.child("noise"))
    problem = Problem(y, f, Gaussian(0.02), tuple(x.shape), None, rng.child("solver"))
    found = tikhonov(problem, exponent=exponent)
    assert bool(found.converged) and int(found.stopped) < 150
    best = dual(problem, exponent, 0.02)
    assert psnr(found.x, best) > 80
    assert psnr(found.x, x) > psnr(y, x) + 0.9


def dual(problem, exponent, sigma):
    """C A^T (A C A^T + sigma^2)^-1 y by scipy's conjugate gradients in double precision, to 1e-8."""
    shape, f = problem.shape, problem.f
    s = Cosines.of(torch.zeros(shape, dtype=torch.float64)).power(0.5, exponent, 1.0).numpy()

    def C(v):
        return torch.from_numpy(idctn(s * dctn(v[0, 0].numpy(), norm="ortho"), norm="ortho"))[None, None]

    def system(flat):
        v = torch.from_numpy(flat).view(shape)
        return (f(C(f.T(v))) + sigma**2 * v).numpy().ravel()

    n = problem.y.numel()
    y = problem.y.double().numpy().ravel()
    v, _ = scipy_cg(LinearOperator((n, n), matvec=system, dtype="float64"), y, rtol=1e-8, maxiter=5000)
    return C(f.T(torch.from_numpy(v).view(shape)))


def test_too_few_iterations_say_so():
    problem = pose(motion, size=SIZE, sigma=0.001)
    assert tikhonov(problem, iterations=2).converged.tolist() == [False, False]
    assert tikhonov(problem).converged.tolist() == [True, True]
    assert tikhonov(pose(Denoise)).converged is None


def test_the_probes_see_what_the_cosines_diagonalise():
    """Of a blur with mirrored borders A^T A is exact at each frequency but for the smoothing over its neighbours."""
    problem = pose(lambda shape, rng: Blur(shape, rng, kernel="gaussian", size=3, sigma=0.6, boundary="circular"))
    D = Cosines.of(problem.y)
    gain = torch.stack([D(problem.f.T(problem.f(D.back(e[None, None]))))[0, 0] for e in units(24)]).view(24, 24, 24, 24)
    exact = torch.diagonal(torch.diagonal(gain.permute(0, 2, 1, 3), dim1=0, dim2=1), dim1=0, dim2=1)
    found = seen(problem, D, 64)[:, 0]
    assert ((found - exact).abs() < 0.12).all()


def units(n):
    return torch.eye(n * n, dtype=torch.float64).view(-1, n, n)


def test_it_removes_noise():
    clean, problem = pose(sigma=0.0).y, pose()
    assert far(tikhonov(problem, exponent=3.0).x, clean) < 0.75 * far(problem.y, clean)
