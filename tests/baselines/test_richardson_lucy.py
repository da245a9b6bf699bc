"""Richardson-Lucy against scikit-image and deepinv, and by what expectation maximisation promises."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from deepinv import optim
from skimage import restoration

from baselines.classical.richardson_lucy import curvature, richardson_lucy
from sipbench import configs
from sipbench.bench import needs
from sipbench.operators import Inpainting
from sipbench.operators.colour import Denoise
from tests.baselines.posed import blur, far, physics, pose


def intensities(problem, x):
    """What x and y are on [0, 1]."""
    return (x + 1) / 2, (problem.y + problem.f(torch.ones_like(x))) / 2


@cache
def scikit():
    problem = pose(blur("zero"), sigma=0.02)
    kernel = problem.f.kernel[0, 0].numpy()
    _, b = intensities(problem, torch.zeros(problem.shape, dtype=torch.float64))
    return torch.stack([torch.from_numpy(restoration.richardson_lucy(y[0].numpy(), kernel, num_iter=30)) for y in b])


def witness(solve):
    x = solve(pose(blur("zero"), sigma=0.02), iterations=30, normalise=False)
    assert far((x[:, 0] + 1) / 2, scikit()) < 1e-10


def test_it_agrees_with_scikit_image_but_for_the_border():
    witness(richardson_lucy)
    normalised = (richardson_lucy(pose(blur("zero"), sigma=0.02), iterations=30)[:, 0] + 1) / 2
    inside = (..., slice(6, -6), slice(6, -6))
    assert far(normalised[inside], scikit()[inside]) < 0.05 < far(normalised, scikit())


def test_it_agrees_with_deepinv():
    """Maximum likelihood by expectation maximisation, from the same start, with the sensitivities A^T 1."""
    problem = pose(blur("zero"), images=(0,), sigma=0.02)
    _, b = intensities(problem, torch.zeros(problem.shape, dtype=torch.float64))
    fidelity = optim.PoissonLikelihood(gain=1.0, bkg=0.0, denormalize=False)
    mlem = optim.MLEM(data_fidelity=fidelity, prior=None, max_iter=30)
    theirs = mlem(b, physics(problem), init=torch.full(problem.shape, 0.5, dtype=torch.float64))
    ours = richardson_lucy(problem, iterations=30, clip=False)
    assert far((ours + 1) / 2, theirs) < 1e-3


@pytest.mark.parametrize("make", [blur("zero"), blur("reflect"), Inpainting], ids=["zero", "reflect", "mask"])
def test_it_keeps_the_light_and_climbs_the_likelihood(make):
    """sum A u = sum b after each iteration, and sum b log A u - A u never falls."""
    problem, likelihoods = pose(make, images=(0,), sigma=0.05), []
    for n in (1, 2, 5, 20):
        u, b = intensities(problem, richardson_lucy(problem, iterations=n, clip=False))
        seen = problem.f(u)
        b = b.clamp(min=0) if problem.f.valid is None else b.clamp(min=0) * problem.f.valid
        assert float(seen.sum()) == pytest.approx(float(b.sum()), rel=1e-9)
        likelihoods.append(float((torch.xlogy(b, seen.clamp(min=1e-12)) - seen).sum()))
    assert likelihoods == sorted(likelihoods)


def test_what_is_not_seen_stays():
    problem = pose(Inpainting, sigma=0.05)
    x = richardson_lucy(problem, iterations=3, start=0.3)
    hidden = ~problem.f.valid.bool().expand_as(x)
    assert (x[hidden] - (2 * 0.3 - 1)).abs().max() < 1e-12


def test_the_variation_has_dey_s_formula():
    """One iteration for A = 1: u <- b / (1 - lambda div(grad u / |grad u|)), the divergence by loops."""
    problem = pose(images=(0,), size=8, sigma=0.05)
    first, second = (richardson_lucy(problem, iterations=n, lam=0.01, clip=False) for n in (1, 2))
    u, b = (t[0, 0].numpy() for t in intensities(problem, first))
    p, n = np.zeros((2, 8, 8)), 8
    for i in range(n):
        for j in range(n):
            d = u[i + 1, j] - u[i, j] if i + 1 < n else 0.0, u[i, j + 1] - u[i, j] if j + 1 < n else 0.0
            p[:, i, j] = np.array(d) / np.sqrt(d[0] ** 2 + d[1] ** 2 + 1e-12)
    padded = np.pad(p, ((0, 0), (1, 0), (1, 0)))
    div = p[0] - padded[0, :-1, 1:] + p[1] - padded[1, 1:, :-1]
    assert abs((second[0, 0].numpy() + 1) / 2 - b / (1 - 0.01 * div)).max() < 1e-9
    assert abs(curvature(torch.from_numpy(u)[None, None])[0, 0].numpy() + div).max() < 1e-9


def test_it_sharpens():
    problem, clean = pose(blur(), sigma=0.01), pose(Denoise, sigma=0.0).y
    assert far(richardson_lucy(problem), clean) < 0.85 * far(problem.y, clean)


def test_it_is_for_real_images():
    """Intensities have no phase: of a complex image it would make a line of light."""
    method = configs.read("method", "richardson_lucy")
    shapes = {"this": SimpleNamespace(shape=(1, 3, 8, 8), linear=True, blind=False)}
    shapes["mri"] = SimpleNamespace(shape=(1, 2, 8, 8), linear=True, blind=False)
    reasons = [needs.unmet(method, name, f, None, None) for name, f in shapes.items()]
    assert reasons == [None, "richardson_lucy is for real images; those of mri are complex"]
