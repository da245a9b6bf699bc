"""Total variation against scikit-image, deepinv, and the certificate of its dual."""

from functools import cache, partial

import pytest
import torch
from deepinv import optim
from deepinv.models.tv import TVDenoiser, TVL1Denoiser
from skimage.restoration import denoise_tv_chambolle

from baselines.classical.gradient import SQUARED_NORM, gradient, gradient_T
from baselines.classical.tgv import tgv
from baselines.classical.tv import tv
from baselines.classical.wavelet import wavelet
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.colour import Denoise
from sipbench.operators.compressed import GaussianSensing
from tests.baselines.posed import blur, far, hidden, motion, physics, pose
from tests.dense import matrix

LAM = 0.15


def solve(problem, lam=LAM, solver=tv, **options):
    return solver(problem, **{"c": None, "lam": lam, "iterations": 3000, "tolerance": 1e-9, **options}).x


@cache
def scikit():
    """scikit-image on the same objective, each channel by itself."""
    rows = [denoise_tv_chambolle(y.numpy(), LAM, eps=0, max_num_iter=3000) for y in pose(channels=2).y.flatten(0, 1)]
    return torch.stack([torch.from_numpy(row) for row in rows]).view(2, 2, 24, 24)


def witness(solver):
    assert far(solve(pose(channels=2), solver=solver, channels="separate"), scikit()) < 1e-3


@pytest.mark.parametrize("isotropic", [True, False])
def test_it_agrees_with_deepinv(isotropic):
    """Whose gamma is the textbook's lambda, not divided by the norm of the gradient as its page has it."""
    peer = (TVDenoiser if isotropic else TVL1Denoiser)(n_it_max=500, crit=1e-9)
    problem = pose(images=(0,))
    assert far(solve(problem, isotropic=isotropic), peer(problem.y, LAM)) < 1e-4


@pytest.mark.parametrize("boundary", ["circular", "reflect"])
def test_it_agrees_with_deepinv_on_a_blur(boundary):
    """With a singular value decomposition, and without one."""
    problem = pose(blur(boundary), images=(0,), size=16, sigma=0.05)
    prior = optim.TVPrior(def_crit=1e-9, n_it_max=100)
    peer = optim.FISTA(optim.L2(), prior, lambda_reg=0.02, stepsize=0.9 / problem.f.norm**2, max_iter=80)
    assert far(solve(problem, 0.02), peer(problem.y, physics(problem))) < 1e-3


@pytest.mark.parametrize("make", [Inpainting, BicubicDownsampling, blur("circular")], ids=["mask", "bicubic", "blur"])
def test_implicit_and_explicit_steps_meet(make):
    """The box, in which the solution lies anyway, asks for the explicit step."""
    problem = pose(make, images=(0,), size=16, sigma=0.05)
    implicit, explicit = (solve(problem, 0.02, box=box, tolerance=1e-7) for box in (False, True))
    assert implicit.abs().max() < 1
    assert objective(problem, explicit, 0.02) / objective(problem, implicit, 0.02) == pytest.approx(1, abs=1e-5)
    assert objective(problem, solve(problem, 0.03, tolerance=1e-7), 0.02) / objective(problem, implicit, 0.02) > 1.001


def objective(problem, x, lam):
    return (problem.f(x) - problem.y).square().sum() / 2 + lam * gradient(x).square().sum(1).sqrt().sum()


def test_the_box_holds():
    problem = pose(images=(0,))
    problem.y.add_(0.6)
    free, boxed = solve(problem), solve(problem, box=True)
    assert free.max() > 1.05
    assert boxed.max() == 1
    assert boxed.min() >= -1


def test_equal_channels_are_one_with_a_weaker_penalty():
    """|(g, g, g)| = sqrt 3 |g|: three equal channels together cost sqrt 3, not 3, times what one costs."""
    problem, grey = pose(channels=3), pose()
    problem.y.copy_(grey.y.expand_as(problem.y))
    expected = solve(grey, LAM / 3**0.5)
    assert far(solve(problem), expected.expand_as(problem.y)) < 1e-6
    assert far(solve(problem, channels="separate"), expected.expand_as(problem.y)) > 1e-2


def test_the_adjoint_is_exact_and_the_bound_holds():
    x, u = torch.randn(2, 3, 9, 7, dtype=torch.float64), torch.randn(2, 2, 3, 9, 7, dtype=torch.float64)
    assert torch.allclose((gradient(x) * u).sum(), (x * gradient_T(u)).sum(), atol=1e-12)
    assert 0.97 * SQUARED_NORM < torch.linalg.matrix_norm(matrix(gradient, (1, 12, 12)), 2) ** 2 < SQUARED_NORM


def test_the_weight_follows_the_noise_where_it_is_told():
    problem = pose()
    told = tv(problem, c=4.0, lam=1e9).x
    assert far(told, tv(problem, c=None, lam=4.0 * 0.2**2).x) == 0
    assert far(tv(hidden(problem), c=4.0, lam=0.16).x, told) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("solver", [tv, tgv, wavelet])
@pytest.mark.parametrize("make", [Denoise, blur("circular", 3)], ids=["denoise", "blur"])
def test_without_noise_nothing_is_taken_off(solver, make):
    """lambda = c sigma^2 is zero then: what is left is the data, which this map tells whole."""
    problem = pose(make, sigma=0.0)
    x = solver(problem, iterations=200).x
    assert x.isfinite().all() and (problem.f(x) - problem.y).abs().max() < 1e-2
    assert far(solver(problem, iterations=200, c=None, lam=0.0).x, x) == 0


@pytest.mark.parametrize(("solver", "make"), [
    (tv, Denoise), (tv, motion), (tgv, Denoise), (tgv, Inpainting), (wavelet, Inpainting), (wavelet, motion),
])  # fmt: skip
def test_no_image_feels_when_another_stops(solver, make):
    go = partial(solver, tolerance=1e-3 if solver is wavelet else 1e-4)
    together, alone = go(pose(make)), [go(pose(make, images=[i])) for i in (0, 1)]
    assert (together.x - torch.cat([one.x for one in alone])).abs().max() < 1e-12
    assert together.stopped.tolist() == [int(one.stopped) for one in alone]
    assert together.stopped.max() < (500 if solver is wavelet else 1000)


def test_it_removes_noise():
    problem = pose()
    clean = pose(sigma=0.0).y
    assert far(tv(problem).x, clean) < 0.4 * far(problem.y, clean)


def test_a_matrix_is_factorised_once_an_image(monkeypatch):
    """For the step, and for the norm."""
    asked, qr = [], torch.linalg.qr
    monkeypatch.setattr(torch.linalg, "qr", lambda M: asked.append(1) or qr(M))
    tv(pose(GaussianSensing, size=8), iterations=1)
    assert len(asked) == 2
