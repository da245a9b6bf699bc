"""Wavelet sparsity against scikit-image, deepinv and PyWavelets, and by the conditions of a minimiser."""

import math

import pytest
import pywt
import torch
from deepinv import optim
from skimage.restoration import denoise_wavelet

from baselines.classical.daubechies import Wavelets, daubechies
from baselines.classical.wavelet import wavelet
from sipbench.operators import Inpainting
from sipbench.operators.colour import Denoise
from tests.baselines.posed import blur, far, motion, physics, pose

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


def witness(solver):
    problem = pose(blur("circular"), sigma=0.1)
    assert violation(problem, solve(problem, 0.05, solver), 0.05, 4, 4) < 0.02
    problem = pose(blur("circular"), sigma=0.05)  # without momentum 50 steps end ten times as far from the minimum
    early, least = (objective(problem, solve(problem, 0.01, solver, iterations=n)) for n in (50, 1000))
    assert early < (1 + 1e-4) * least


def objective(problem, x, lam=0.01):
    W = Wavelets(4, 4, x)
    details = W(x).abs()
    details[..., : W.corner[0], : W.corner[1]] = 0
    return float((problem.f(x) - problem.y).square().sum() / 2 + lam * details.sum())


def test_it_agrees_with_scikit_image():
    """Haar's wavelet, whose borders need no convention; the universal threshold, which is one for all details."""
    problem, options = pose(size=32), {"wavelet": "haar", "mode": "soft", "wavelet_levels": 3, "method": "VisuShrink"}
    theirs = [denoise_wavelet(y[0].numpy(), sigma=0.05, **options) for y in problem.y]
    ours = solve(problem, 0.05 * math.sqrt(2 * math.log(32 * 32)), order=1, levels=3)
    assert far(ours[:, 0], torch.stack([torch.from_numpy(x) for x in theirs])) < 1e-12


def test_it_agrees_with_deepinv_on_a_blur():
    problem = pose(blur(), images=(0,), size=16, sigma=0.05)
    prior = optim.WaveletPrior(level=2, wv="haar")  # within an optimiser its threshold is a tenth of lambda_reg
    peer = optim.FISTA(optim.L2(), prior, lambda_reg=0.3, stepsize=0.99 / problem.f.norm**2, max_iter=200)
    assert far(solve(problem, 0.03, order=1, levels=2), peer(problem.y, physics(problem))) < 1e-3


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
    x = torch.randn(1, 1, 32, 48, dtype=torch.float64)
    W = Wavelets(order, 2, x)
    c, (h, w) = W(x)[0, 0], W.corner
    lows, *bands = pywt.wavedec2(x[0, 0].numpy(), f"db{order}", mode="periodization", level=2)
    assert far(c[:h, :w], torch.from_numpy(lows)) < 1e-12
    for k, details in enumerate(bands, 1):
        below, right = slice(h * k, 2 * h * k), slice(w * k, 2 * w * k)
        places = (below, slice(0, w * k)), (slice(0, h * k), right), (below, right)
        for place, theirs in zip(places, details, strict=True):
            assert far(c[place].abs(), torch.from_numpy(theirs).abs()) < 1e-12


def test_small_images_are_halved_as_long_as_the_filter_fits():
    assert Wavelets(4, 4, torch.zeros(1, 1, 8, 8)).corner == (4, 4)
    assert Wavelets(4, 4, torch.zeros(1, 1, 6, 64)).corner == (6, 64)
