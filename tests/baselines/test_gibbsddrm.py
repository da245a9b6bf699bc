"""GibbsDDRM against its formulas written out in numpy with complex transforms, and its chain against an exact law."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.gibbsddrm import exponential, gibbsddrm, langevin
from sipbench.bench.watch import Counted
from sipbench.metrics.kernels import kernel_similarity
from sipbench.noise import Gaussian
from sipbench.operators import kernels
from sipbench.operators.turbulence import Turbulence
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng
from tests.baselines.exact import frozen
from tests.baselines.reference import MEAN, ddpm, denoise, gap, pose_blind

SIGMA, SIDE, BOX = 0.05, 6, 3
OPTIONS = {"steps": 4, "eta_a": 0.3, "eta_b": 0.9, "eta_c": 0.7, "eta_d": 0.8, "width": 1.0, "begin": 0.7,
           "updates": 2, "iterations": 3, "lr": 2e-11, "gamma": 50.0, "sigma_h": 0.2, "cutoff": 0.3}  # fmt: skip
GRID = {"zero": 8, "circular": 6, "valid": 6}


def pose(boundary="zero", **options):
    return pose_blind(boundary=boundary, sigma=SIGMA, **options)


def one(y, rng, boundary):
    """One image; a blur is a product of complex Fourier transforms on the grid."""
    o, n, c, G = OPTIONS, SIDE, BOX // 2, GRID[boundary]
    first, last = (BOX - 1 - c, n - c) if boundary == "valid" else (0, n)
    window = np.s_[:, first:last, first:last]
    fft, inverse = np.fft.fft2, lambda z: np.fft.ifft2(z).real
    pad = lambda x: np.pad(x, ((0, 0), (0, G - x.shape[-2]), (0, G - x.shape[-1])))  # noqa: E731
    lr = o["lr"] * (o["sigma_h"] / 0.04) ** 2 * (256 * 64) ** 2 / (n * n * BOX * BOX)
    draw = lambda *shape: rng.normal(*shape, dtype=torch.float64)[0].numpy()  # noqa: E731
    at = np.arange(BOX) - (BOX - 1) // 2
    k = np.exp(-np.hypot(at[:, None], at) / o["width"])
    k = k / k.sum()
    transfer = lambda k: fft(np.roll(pad(k[None])[0], (-c, -c), (0, 1)))  # noqa: E731
    placed = np.zeros((3, G, G))
    placed[window] = y

    def told(k, around):
        K = transfer(k)
        full = inverse(K * fft(around)) + SIGMA * draw(3, G, G)
        full[window] = y
        s = np.where(np.abs(K) < o["cutoff"], 0, np.abs(K))
        return s, fft(full) * np.conj(K / np.abs(K)) / G

    def step(k, around, x_t, x_hat, now, then):
        s, Uty = told(k, around)
        V = lambda x: fft(pad(x)) / G  # noqa: E731
        S, z = then[1] / then[0], V(draw(3, n, n))
        h, e = V(x_hat), V((x_t - now[0] * x_hat) / now[1])
        out = h + S * (np.sqrt(1 - o["eta_d"] ** 2) * e + o["eta_d"] * z)
        low = np.broadcast_to((s > 0) & (S * s <= SIGMA), h.shape)
        b, r = e[low], ((Uty - s * h) / SIGMA)[low]
        corr = np.abs((b * r.conj()).sum()) / (np.linalg.norm(b) * np.linalg.norm(r) + 1e-10)
        a, d = o["eta_a"], o["eta_c"]
        rest = np.sqrt(1 - a**2 - d**2 - 2 * a * d * corr)
        out[low] = (h + S * (a * e + d * (Uty - s * h) / SIGMA + rest * z))[low]
        high, q = np.broadcast_to((s > 0) & (S * s > SIGMA), h.shape), np.where(s > 0, s, 1)
        spread = np.sqrt(np.maximum(S**2 - (o["eta_b"] * SIGMA / q) ** 2, 0))
        out[high] = ((1 - o["eta_b"]) * h + o["eta_b"] * Uty / q + spread * z)[high]
        return then[0] * inverse(out * G)[:, :n, :n]

    def update(k, x):
        spectrum = fft(pad(x))
        for _ in range(o["iterations"]):
            r = np.zeros((3, G, G))
            r[window] = inverse(transfer(k) * spectrum)[window] - y
            misfit = np.roll(inverse((np.conj(spectrum) * fft(r)).sum(0)), (c, c), (0, 1))[:BOX, :BOX]
            k = k - lr / 2 * (misfit / o["sigma_h"] ** 2 + o["gamma"] * np.sign(k)) + np.sqrt(lr) * draw(1, BOX, BOX)[0]
        return k / k.sum()

    levels, (s, Uty) = ddpm(o["steps"]), told(k, placed)
    S, z = levels[0][1] / levels[0][0], rng.portable.normal(3, n, n, dtype=torch.float64)[0].numpy()
    z, q = fft(pad(z)) / G, np.where(s > 0, s, 1)
    known = Uty / q + np.sqrt(np.maximum(S**2 - (SIGMA / q) ** 2, 0)) * z
    x_t = levels[0][0] * inverse(np.where(S * s > SIGMA, known, S * z) * G)[:, :n, :n]
    times = np.round(np.linspace(1000, 1, o["steps"])) / 1000
    for (now, then), t in zip(pairwise(levels), times, strict=True):
        x_hat, late = denoise(x_t, *now, 2 * MEAN)[0], t <= o["begin"]
        around = pad(x_hat) if late else placed
        x_s = step(k, around, x_t, x_hat, now, then)
        for _ in range(o["updates"] if late and then[1] else 0):
            k = update(k, denoise(x_s, *then, 2 * MEAN)[0])
            x_s = step(k, around, x_t, x_hat, now, then)
        x_t = x_s
    return x_t, k[None]


def witness(solve, boundary="zero"):
    """One image after another."""
    problem, *_ = pose(boundary)
    rngs = (Rng([key]) for key in problem.rng.keys)
    pairs = [one(y.numpy(), rng, boundary) for y, rng in zip(problem.y, rngs, strict=True)]
    x, k = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    out = solve(problem, **OPTIONS)
    assert max(gap(out.x, x), gap(out.theta["kernel"], k)) < 1e-9


@pytest.mark.parametrize("boundary", GRID)
def test_it_is_the_algorithm(boundary):
    witness(gibbsddrm, boundary)


def witness_langevin(sampler, n=128):
    """Kernels drawn given the image have their Gaussian law: mean and variance within 5 standard errors."""
    problem, x, _ = pose(images=[0] * n, box=2)
    units = torch.eye(4, dtype=torch.float64).view(4, 1, 2, 2)
    X = problem.f(x[:1].expand(4, -1, -1, -1), {"kernel": units}).flatten(1).T
    precision = X.T @ X / SIGMA**2
    mean = torch.linalg.solve(X.T @ X, X.T @ problem.y[0].flatten())
    lr = 0.1 / float(torch.linalg.eigvalsh(precision).max())
    k, rng = torch.full((n, 1, 2, 2), 0.25), Rng.of(1, "draws", range(n))
    k = sampler(problem.f, problem.y.float(), x.float(), k, rng, 600, lr, 0.0, SIGMA)
    white = (k.double().flatten(1) - mean) @ torch.linalg.cholesky(precision)
    assert (white.mean(0) * n**0.5).abs().max() < 5 and ((white.var(0) - 1) * (n / 2) ** 0.5).abs().max() < 5


def test_the_chain_of_kernels_samples_their_posterior():
    witness_langevin(langevin)


@pytest.mark.parametrize(("begin", "late"), [(0.7, 9), (0.0, 0), (1.0, 12)])
def test_the_evaluations_are_counted(begin, late):
    problem, *_ = pose()
    gibbsddrm(problem, steps=13, begin=begin, updates=3, iterations=1)
    assert problem.prior.evaluations == 2 * (13 + 3 * (late - (begin == 0.7)))


@pytest.mark.parametrize(
    ("schedule", "boundary"),
    [("vp", "zero"), ("ve", "zero"), ("flow", "zero"), ("vp", "valid"), ("vp", "circular"), ("vp", "reflect")],
)
def test_where_the_prior_knows_the_image_the_kernel_is_found_without_a_graph(schedule, boundary):
    problem, x, k = pose(boundary, side=16, box=5, known=schedule)
    problem = frozen(problem)
    found = gibbsddrm(problem, steps=8, updates=1, iterations=30, lr=1e-11, gamma=0.0, sigma_h=SIGMA)
    assert gap(found.x, x) < 1e-9
    assert kernel_similarity(found.theta["kernel"], k).min() > 0.98
    still = gibbsddrm(problem, steps=8, updates=0)
    assert kernel_similarity(still.theta["kernel"], k).min() < 0.95


def test_a_tilt_is_left_at_zero_and_kernels_sum_to_one():
    rng, shape = Rng.of(0, "air", [0, 1]), (2, 3, 16, 16)
    f = Turbulence(shape, rng.portable, size=5, sigma=1.0, patches=5)
    y = f(rng.child("x").portable.normal(3, 16, 16), f.draw(rng.child("theta").portable))
    prior = Counted(IsotropicGaussian(shape[1:]))
    found = gibbsddrm(Problem(y, f.sealed(), Gaussian(SIGMA), shape, prior, rng.child("solver")), steps=3, iterations=2)
    assert {name: tuple(t.shape[1:]) for name, t in found.theta.items()} == f.theta_shapes
    assert not found.theta["tilt"].any()
    assert torch.allclose(found.theta["kernel"].sum((-2, -1)), torch.ones(2, 1), atol=1e-5)


@pytest.mark.parametrize("n", [7, 8])
def test_it_starts_round_the_centre_of_kernels_as_blind_problems_turn_them(n):
    k = exponential((n, n), 2.0, torch.zeros(1, 1, dtype=torch.float64))
    turned = kernels.gaussian(n, 1.0).flip(-2, -1)
    assert divmod(int(k.argmax()), n) == divmod(int(turned.argmax()), n)
    assert float(k.sum()) == pytest.approx(1)


def test_a_likelihood_without_noise_is_refused():
    problem = replace(pose()[0], noise=Gaussian(0.0))
    with pytest.raises(ValueError, match="set sigma_h"):
        gibbsddrm(problem, **OPTIONS | {"sigma_h": None})
