"""BM3D: what is handed to the package, what comes back, and what is said where it is missing."""

import sys
from types import SimpleNamespace

import pytest
import torch

from baselines.classical.bm3d import bm3d
from baselines.common import block_matching as module
from sipbench.bench import needs
from sipbench.operators import Inpainting
from sipbench.operators.colour import Denoise
from tests.baselines.posed import far, pose


@pytest.fixture
def calls(monkeypatch):
    """A package that takes a tenth off what it is given, and keeps how it was called."""
    seen = []

    def fake(z, sigma, profile):
        seen.append((z.shape, float(z.mean()), sigma, profile.num_threads))
        return 0.9 * z

    package = SimpleNamespace(bm3d=fake, bm3d_rgb=fake, BM3DProfile=SimpleNamespace, BM3DProfileVN=SimpleNamespace)
    monkeypatch.setattr(module, "load", lambda: package)
    return seen


@pytest.mark.parametrize(
    ("channels", "size", "shapes"), [(3, 20, [(20, 20, 3)]), (2, 20, [(20, 20)] * 2), (1, 8, [(16, 16)])]
)
def test_it_hands_over_intensities(calls, channels, size, shapes):
    """On [0, 1], sigma too; colours together, other channels by themselves, small images made larger."""
    problem = pose(images=(0,), channels=channels, size=size)
    x = bm3d(problem)
    assert [call[0] for call in calls] == shapes
    assert calls[0][2:] == (pytest.approx(0.1), 1)
    assert x.shape == problem.shape
    assert far((x + 1) / 2, 0.9 * (problem.y + 1) / 2) < 1e-12
    bm3d(problem, strength=1.5, profile="vn")
    assert calls[-1][2] == pytest.approx(0.15)


def test_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'sipbench\[bm3d\]'"):
        bm3d(pose())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_removes_noise():
    pytest.importorskip("bm3d")
    problem, clean = pose(images=(0,), size=32), pose(images=(0,), size=32, sigma=0.0).y
    x = bm3d(problem)
    assert far(x, clean) < 0.4 * far(problem.y, clean)
    assert torch.equal(x, bm3d(problem))


def test_it_is_for_denoising_alone():
    method = {"name": "bm3d", "needs": ["denoising", "noise.sigma"]}
    reasons = [needs.unmet(method, "this", p.f, p.noise, None) for p in (pose(Denoise), pose(Inpainting))]
    assert reasons == [None, "bm3d only denoises; this does more than add noise"]
