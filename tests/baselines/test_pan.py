"""Pan's blind deblurring: its parts against independent implementations, and the whole on faces."""

import inspect

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage.filters import threshold_otsu

from baselines.classical import pan, pan_kernel, pan_latent
from baselines.classical.pan import pan_dcp, pan_l0
from sipbench.metrics import kernel_similarity
from sipbench.problem import Rng
from tests.baselines.blind import gain, pose


def images(b=2, c=1, h=20, w=18, seed=0):
    return Rng.of(seed, "pan", range(b)).uniform(c, h, w, dtype=torch.float64)


def kernels(b=2, side=5, seed=0):
    return pan_kernel.normalised(images(b, 1, side, side, seed=seed + 9) - 0.5)


def blurred(x, k):
    """The circular convolution, by scipy."""
    parts = [[ndimage.convolve(c, k_[0], mode="wrap") for c in x_] for x_, k_ in zip(x.numpy(), k.numpy(), strict=True)]
    return torch.from_numpy(np.array(parts))


def close(a, b, tolerance=1e-10):
    return float((torch.as_tensor(a) - b).abs().max()) < tolerance


def few_gradients_in_numpy(y, k, mu, a, u):
    """One image, its channels together."""
    h, w = y.shape[-2:]
    kernel = np.zeros((h, w))
    for i in range(k.shape[0]):
        for j in range(k.shape[1]):
            kernel[i - k.shape[0] // 2, j - k.shape[1] // 2] = k[i, j]
    K, Y = np.fft.fft2(kernel), np.fft.fft2(y)
    dy, dx = np.zeros((h, w)), np.zeros((h, w))
    dy[0, 0] = dx[0, 0] = -1
    dy[-1, 0] = dx[0, -1] = 1
    Dy, Dx = np.fft.fft2(dy), np.fft.fft2(dx)
    x, b = u.copy(), 2 * mu
    while b < 1e5:
        gy, gx = np.fft.ifft2(Dy * np.fft.fft2(x)).real, np.fft.ifft2(Dx * np.fft.fft2(x)).real
        none = (gy**2 + gx**2).sum(0) < mu / b
        gy[:, none] = gx[:, none] = 0
        top = K.conj() * Y + b * (Dy.conj() * np.fft.fft2(gy) + Dx.conj() * np.fft.fft2(gx)) + a * np.fft.fft2(u)
        x = np.fft.ifft2(top / (abs(K) ** 2 + b * (abs(Dy) ** 2 + abs(Dx) ** 2) + a)).real
        b *= 2
    return x


@pytest.mark.parametrize("a", [0.0, 0.3])
def test_few_gradients(a, module=pan_latent.__dict__):
    x, k = images(c=3), kernels()
    y, u = blurred(x, k), images(c=3, seed=1)
    found = module["few_gradients"](u, module["Deconvolution"](y, k), 0.01, a, u)
    expected = [few_gradients_in_numpy(y[i].numpy(), k[i, 0].numpy(), 0.01, a, u[i].numpy()) for i in range(2)]
    assert close(np.array(expected), found)


@pytest.mark.parametrize(
    ("right", "wrong"), [("b = 2 * mu", "b = mu"), (".sum(1, keepdim=True) >= mu", " >= mu"), ("K.conj()", "K")]
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(pan_latent)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    with pytest.raises(AssertionError):
        test_few_gradients(0.3, broken)


def test_the_darkest_pixels_are_the_minima_of_windows():
    x = images(1, 1, 60, 50)
    expected = np.zeros((60, 50), bool)
    for i in range(60):
        for j in range(50):
            top, left = max(i - 17, 0), max(j - 17, 0)
            window = x[0, 0, top : i + 18, left : j + 18].numpy()
            r, c = np.unravel_index(window.argmin(), window.shape)
            expected[top + r, left + c] = True
    assert torch.equal(pan_latent.darkest(x)[0, 0], torch.from_numpy(expected))
    assert 1 < expected.sum() < 100


def test_dark_pixels_become_fewer():
    x = images(h=40, w=40)
    k = torch.ones(2, 1, 1, 1, dtype=torch.float64)
    y = pan_latent.few_pixels(x, k, 0.05, 1e-4, torch.full((2,), 0.1, dtype=torch.float64), pan_latent.everywhere)
    assert ((y.abs() < 0.05).sum() > 2 * (x.abs() < 0.05).sum()).all()
    assert ((y - x).abs() < 0.3).all()


def test_otsu_is_that_of_skimage():
    x = torch.cat([0.3 * images(1, 1, 40, 40), 0.3 * images(1, 1, 40, 40, seed=1) + 0.6], 3)
    levels = (x * 255).round().numpy().astype(np.uint8)
    assert abs(float(pan_latent.otsu(x)) - threshold_otsu(levels) / 255) < 1.5 / 255


def test_bilateral():
    x = images(1, 3, 9, 8)
    expected = torch.zeros_like(x)
    for i, j in np.ndindex(9, 8):
        near = [(dy, dx, min(max(i + dy - 6, 0), 8), min(max(j + dx - 6, 0), 7)) for dy, dx in np.ndindex(13, 13)]
        values = torch.stack([x[0, :, r, c] for *_, r, c in near])
        far = torch.tensor([(dy - 6) ** 2 + (dx - 6) ** 2 for dy, dx, *_ in near]) / 9
        weights = torch.exp(-0.5 * (far + (values - x[0, :, i, j]).square().sum(1) / 0.01))
        expected[0, :, i, j] = (weights[:, None] * values).sum(0) / weights.sum()
    assert close(expected, pan_latent.bilateral(x), 1e-6)


def test_total_variation_lowers_its_objective():
    x, k, lam = images(c=3), kernels(), 0.02
    y = blurred(x, k)

    def objective(v):
        differences = sum(d.abs().flatten(1).sum(1) for d in pan_latent.differences(v))
        return (blurred(v, k) - y).square().flatten(1).sum(1) / 2 + lam * differences

    found = pan_latent.total_variation(y, k, lam)
    assert (objective(found) < objective(y)).all() and (objective(found) < objective(x)).all()
    for seed in range(3):  # nothing near is much better
        assert (objective(found) < 1.02 * objective(found + 0.003 * (images(c=3, seed=seed) - 0.5))).all()


def test_the_kernel_solves_its_least_squares():
    x, k = images(h=24, w=22), kernels(side=3)
    y = blurred(x, k)
    wrapped = [(v.roll(-1, -2) - v, v.roll(-1, -1) - v) for v in (x, y)]
    found = pan_kernel.estimate(*wrapped, 3, 2.0)
    for i in range(2):
        rows = [[g[i, 0].roll((a, b), (0, 1)).flatten() for a in (-1, 0, 1) for b in (-1, 0, 1)] for g in wrapped[0]]
        A = torch.cat([torch.stack(r, 1) for r in rows])
        target = torch.cat([g[i].flatten() for g in wrapped[1]])
        solved = torch.linalg.solve(A.T @ A + 2 * torch.eye(9, dtype=torch.float64), A.T @ target)
        solved[solved < solved.max() / 20] = 0
        assert close(solved / solved.sum(), found[i].flatten(), 1e-6)
    assert kernel_similarity(found, k).min() > 0.99


def test_small_parts_go():
    k = pan_kernel.normalised((images(3, 1, 15, 15) - 0.7).clamp(min=0))
    found = pan_kernel.pruned(k, 0.05)
    for a, b in zip(k, found, strict=True):
        labels, n = ndimage.label(a[0].numpy(), np.ones((3, 3)))
        mass = ndimage.sum(a[0].numpy(), labels, range(1, n + 1))
        kept = np.isin(labels, 1 + np.flatnonzero(mass >= 0.05)) * a[0].numpy()
        assert 0 < kept.sum() < 1
        assert close(kept / kept.sum(), b[0], 1e-12)


def test_strong_gradients_come_in_four_orientations():
    x = images(2, 1, 60, 60)
    threshold = pan_kernel.strength(x, 5)
    down, right = pan_kernel.strong(x, threshold)
    angle = torch.atan2(down, right).remainder(torch.pi)
    kept = (down != 0) | (right != 0)
    counts = torch.stack([(kept & ((angle * 4 / torch.pi).floor() == i)).flatten(1).sum(1) for i in range(4)])
    assert counts.amin(0).tolist() == [100, 100]
    assert all(part.any() for part in pan_kernel.strong(x, 1e6 * threshold))


def test_a_kernel_grows_about_its_middle():
    k = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    k[..., 2, 1:4] = torch.tensor([1.0, 2.0, 1.0])
    big = pan_kernel.resized(pan_kernel.normalised(k), 9, 2.0)
    assert close(torch.tensor([0, 1, 2, 3, 4, 3, 2, 1, 0]) / 16, big.sum(2)[0, 0], 1e-12)
    assert close(big, big.flip(-1, -2), 1e-12)


MOTION = {"kernel": "motion", "size": 13}


def quality(solver, **settings):
    problem, x, theta = pose(96, of="blocks", **MOTION)
    found = solver(problem, **settings)
    assert torch.allclose(found.theta["kernel"].sum((1, 2, 3)), torch.ones(2))
    return gain(problem, x, found.x).mean(), kernel_similarity(found.theta["kernel"], theta["kernel"]).mean()


@pytest.mark.parametrize(
    ("solver", "settings", "least"), [(pan_dcp, {}, 3), (pan_l0, {}, 1.5), (pan_l0, {"lam": 0.0}, 7)]
)
def test_motion_is_undone(solver, settings, least):
    """Blocks are not dark: on them sparse gradients alone do best."""
    better, alike = quality(solver, **settings)
    assert better > least and alike > 0.88


def test_a_kernel_that_is_not_found_would_be_seen():
    better, alike = quality(pan_dcp, weight=1e6)
    assert better < 0 and alike < 0.75


@pytest.mark.parametrize("options", [MOTION, {"size": 8, "boundary": "zero"}])
@pytest.mark.parametrize("solver", [pan_dcp, pan_l0])
def test_a_batch_is_its_images_one_by_one(solver, options):
    problem, *_ = pose(40, n=3, dtype=torch.float64, **options)
    together = solver(problem, iterations=2)
    alone = [solver(problem.select(slice(i, i + 1)), iterations=2) for i in range(3)]
    assert close(torch.cat([e.x for e in alone]), together.x)
    assert close(torch.cat([e.theta["kernel"] for e in alone]), together.theta["kernel"])
    assert together.x.dtype == torch.float64


def test_the_image_lies_where_the_measurement_says():
    """Both boundaries: y is explained by the pair that comes back, and not by one a pixel aside."""
    for options in ({"size": 9}, {"size": 9, "boundary": "zero"}, {"size": 8, "boundary": "zero"}):
        problem, *_ = pose(48, kernel="gaussian", **options)
        found = pan_l0(problem)
        fits = [
            (problem.f(found.x.roll(by, -1), found.theta) - problem.y)[..., 8:-8, 8:-8].square().mean() for by in (0, 1)
        ]
        assert fits[0] < 1e-3 and fits[1] > 5 * fits[0]


def test_a_smaller_kernel_is_looked_for_in_the_middle():
    problem, *_ = pose(48, n=1, kernel="motion", size=15)
    k = pan_dcp(problem, iterations=1, kernel_size=7).theta["kernel"]
    assert k.shape == (1, 1, 15, 15) and k[..., 4:-4, 4:-4].sum() == pytest.approx(1)
    with pytest.raises(ValueError, match="within the box"):
        pan_dcp(problem, kernel_size=16)


def test_levels_are_the_published_ones():
    sides = {5: 0, 7: 0, 8: 1, 13: 2, 25: 4, 63: 7}
    assert {side: pan.levels(side) for side in sides} == sides
