"""Pan's blind deblurring: its kernels against independent implementations, and the whole."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from baselines.classical import pan, pan_kernel
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
