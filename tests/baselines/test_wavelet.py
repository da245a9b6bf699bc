"""Wavelet sparsity against scikit-image, deepinv and PyWavelets, and by the conditions of a minimiser."""

import math
from functools import partial

import pytest
import torch

from baselines.classical import wavelet as module
from baselines.classical.daubechies import Wavelets, daubechies
from baselines.classical.wavelet import wavelet
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.operators.colour import Denoise
from tests.baselines.posed import blur, broken, far, motion, pose

LAM = 0.1


def solve(problem, lam=LAM, solver=wavelet, **options):
    return solver(problem, **{"c": None, "lam": lam, "iterations": 1000, "tolerance": 1e-12, **options}).x


def violation(problem, x, lam, order, levels):
    """How far g = W A^T (A x - y) is from the conditions of a minimiser, relative to lambda: on the approximation
    g = 0; on details |g| <= lambda, and g = -lambda sign(c) where c = W x is not zero."""
    W = Wavelets(order, levels, x)
    c, g = W(x), W(problem.f.T(problem.f(x) - problem.y)) / lam
    h, w = W.corner
    wrong = torch.where(c.abs() > 1e-6, (g + c.sign()).abs(), (g.abs() - 1).clamp(min=0))
    wrong[..., :h, :w] = g[..., :h, :w].abs()
    return float(wrong.max())


CASES = [(Denoise, 24, 4), (blur("circular"), 24, 2), (Inpainting, 19, 1), (motion, 16, 3)]


@pytest.mark.parametrize(("make", "size", "order"), CASES, ids=["denoise", "blur", "mask, odd", "motion"])
def test_it_finds_the_minimiser(make, size, order):
    problem = pose(make, size=size, channels=2, sigma=0.1)
    x = solve(problem, 0.05, order=order, levels=3)
    assert violation(problem, x, 0.05, order, 3) < 0.02
    assert violation(problem, x, 0.06, order, 3) > 0.1


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("strength / L", "2 * strength / L"),
        ("taken[..., : corner[0], : corner[1]] = 0", "pass"),
        ("- f.T(f(z) - y) / L", "- f.T(f(z) - y) / 2 / L"),
    ],
    ids=["threshold", "approximation", "step"],
)
def test_a_broken_variant_is_seen(right, wrong):
    problem = pose(blur("circular"), sigma=0.1)
    x = solve(problem, 0.05, solver=broken(module, "wavelet", right, wrong), iterations=500)
    assert not violation(problem, x, 0.05, 4, 4) < 0.02


def test_momentum_pays():
    """After 50 steps the objective is nearer to its minimum than by plain shrinkage, far more so."""
    problem = pose(blur("circular"), sigma=0.05)
    plain = broken(module, "wavelet", "(before - 1) / t", "0.0")
    least = objective(problem, solve(problem, 0.01, tolerance=1e-10))
    fast, slow = (objective(problem, solve(problem, 0.01, go, iterations=50)) - least for go in (wavelet, plain))
    assert fast < 0.1 * slow


def objective(problem, x, lam=0.01):
    W = Wavelets(4, 4, x)
    details = W(x).abs()
    details[..., : W.corner[0], : W.corner[1]] = 0
    return float((problem.f(x) - problem.y).square().sum() / 2 + lam * details.sum())


def test_it_agrees_with_scikit_image():
    """Haar's wavelet, whose borders need no convention; the universal threshold, which is one for all details."""
    pytest.importorskip("pywt")
    restoration = pytest.importorskip("skimage.restoration")
    problem = pose(size=32)
    theirs = [
        restoration.denoise_wavelet(
            y[0].numpy(), sigma=0.05, wavelet="haar", mode="soft", wavelet_levels=3, method="VisuShrink"
        )
        for y in problem.y
    ]
    ours = solve(problem, 0.05 * math.sqrt(2 * math.log(32 * 32)), order=1, levels=3)
    assert far(ours[:, 0], torch.stack([torch.from_numpy(x) for x in theirs])) < 1e-12


def test_it_agrees_with_deepinv_on_a_blur():
    pytest.importorskip("ptwt")
    optim, physics = pytest.importorskip("deepinv.optim"), pytest.importorskip("deepinv.physics")
    problem = pose(blur(), images=(0,), size=16, sigma=0.05)
    A = physics.LinearPhysics(A=problem.f, A_adjoint=problem.f.T)
    prior = optim.WaveletPrior(level=2, wv="haar")  # within an optimiser its threshold is a tenth of lambda_reg
    peer = optim.FISTA(optim.L2(), prior, lambda_reg=0.3, stepsize=0.99 / problem.f.norm**2, max_iter=200)
    assert far(solve(problem, 0.03, order=1, levels=2), peer(problem.y, A)) < 1e-3


def test_the_filters_are_daubechies():
    root, scale = math.sqrt(3), 4 * math.sqrt(2)
    assert daubechies(1) == pytest.approx([math.sqrt(0.5)] * 2)
    assert daubechies(2) == pytest.approx(
        [(1 + root) / scale, (3 + root) / scale, (3 - root) / scale, (1 - root) / scale]
    )
    for order in range(1, 13):
        low = torch.tensor(daubechies(order), dtype=torch.float64)
        high = low.flip(0) * torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(order)
        k = torch.arange(2 * order, dtype=torch.float64) / (2 * order)
        assert all(abs(float((high * k**p).sum())) < 1e-6 for p in range(order))
        shifted = [float((low[2 * m :] * low[: len(low) - 2 * m]).sum()) for m in range(order)]
        assert shifted == pytest.approx([1.0] + [0.0] * (order - 1), abs=1e-9)


@pytest.mark.parametrize("order", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(32, 32), (33, 17), (9, 40)])
def test_the_transform_is_orthogonal(size, order):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    W = Wavelets(order, 3, x)
    assert far(W(x).norm(), x.norm()) < 1e-12
    assert far(W.inverse(W(x)), x) < 1e-12
    assert far(W(W.inverse(x)), x) < 1e-12


@pytest.mark.parametrize("order", [2, 4])
def test_the_transform_is_pywavelets(order):
    pywt = pytest.importorskip("pywt")
    x = torch.randn(1, 1, 32, 48, dtype=torch.float64)
    W = Wavelets(order, 2, x)
    theirs = pywt.wavedec2(x[0, 0].numpy(), f"db{order}", mode="periodization", level=2)
    h, w = W.corner
    assert far(W(x)[0, 0, :h, :w], torch.from_numpy(theirs[0])) < 1e-12
    for k, details in ((1, theirs[1]), (2, theirs[2])):
        n, m = h * k, w * k
        for part, ours in zip(
            details,
            ((slice(n, 2 * n), slice(0, m)), (slice(0, n), slice(m, 2 * m)), (slice(n, 2 * n), slice(m, 2 * m))),
            strict=True,
        ):
            assert far(W(x)[0, 0][ours].abs(), torch.from_numpy(part).abs()) < 1e-12


def test_small_images_are_halved_as_long_as_the_filter_fits():
    assert Wavelets(4, 4, torch.zeros(1, 1, 8, 8)).corner == (4, 4)
    assert Wavelets(4, 4, torch.zeros(1, 1, 6, 64)).corner == (6, 64)


@pytest.mark.parametrize("make", [Inpainting, motion, BicubicDownsampling])
def test_images_do_not_feel_each_other(make):
    go = partial(wavelet, tolerance=1e-3)
    together = go(pose(make))
    alone = [go(pose(make, images=[i])) for i in (0, 1)]
    assert (together.x - torch.cat([one.x for one in alone])).abs().max() < 1e-12
    assert together.stopped.tolist() == [int(one.stopped) for one in alone]
    assert max(together.stopped.tolist()) < 500
