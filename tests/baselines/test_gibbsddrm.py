"""GibbsDDRM against its formulas written out in numpy with complex transforms, and its chain against an exact law."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import gibbsddrm as module
from baselines.diffusion.gibbsddrm import gibbsddrm, langevin
from sipbench.bench.watch import Counted
from sipbench.metrics.kernels import kernel_similarity
from sipbench.noise import Gaussian
from sipbench.operators import kernels
from sipbench.operators.blind import BlindBlur
from sipbench.operators.turbulence import Turbulence
from sipbench.priors.base import Prior
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.schedules import named
from sipbench.problem import Problem, Rng

MEAN, STD, SIGMA, SIDE, BOX = 0.2, 0.5, 0.05, 6, 3


class Known(Prior):
    """A prior of one image, which asks that nobody keeps a graph."""

    def __init__(self, x, schedule="vp"):
        super().__init__(named(schedule))
        self.x, self.shape = x, tuple(x.shape[1:])

    def denoise(self, x_t, t):
        assert not torch.is_grad_enabled() and not x_t.requires_grad
        return self.x[: len(x_t)].to(x_t)


def pose(boundary="zero", *, images=(0, 1), side=SIDE, box=BOX, known=None, sigma=SIGMA):
    rng, shape = Rng.of(0, "gibbs", images), (len(images), 3, side, side)
    f = BlindBlur(shape, rng.portable, size=box, boundary=boundary)
    x = MEAN + STD * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64)
    theta = f.draw(rng.child("theta").portable)
    y = Gaussian(sigma)(f(x, theta), rng.child("noise").portable)
    prior = Known(x, known) if known else IsotropicGaussian(shape[1:], MEAN, STD)
    return Problem(y, f.sealed(), Gaussian(sigma), shape, Counted(prior), rng.child("solver")), x, theta["kernel"]


OPTIONS = {"steps": 4, "eta_a": 0.3, "eta_b": 0.9, "eta_c": 0.7, "eta_d": 0.8, "width": 1.0, "begin": 0.7,
           "updates": 2, "iterations": 3, "lr": 2e-11, "gamma": 50.0, "sigma_h": 0.2, "cutoff": 0.3}  # fmt: skip
GRID = {"zero": 8, "circular": 6, "valid": 6}


def one(y, rng, boundary):
    """One image; a blur is a product of complex Fourier transforms on the grid."""
    o, n, c, G = OPTIONS, SIDE, BOX // 2, GRID[boundary]
    first, last = (BOX - 1 - c, n - c) if boundary == "valid" else (0, n)
    window = np.s_[:, first:last, first:last]
    P = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    index = np.concatenate([np.round(np.linspace(1000, 1, o["steps"])), [0]]).astype(int)
    fft, back = np.fft.fft2, lambda z: np.fft.ifft2(z).real
    pad = lambda x: np.pad(x, ((0, 0), (0, G - x.shape[-2]), (0, G - x.shape[-1])))  # noqa: E731
    lr = o["lr"] * (o["sigma_h"] / 0.04) ** 2 * (256 * 64) ** 2 / (n * n * BOX * BOX)
    draw = lambda *shape: rng.normal(*shape, dtype=torch.float64)[0].numpy()  # noqa: E731
    at = np.arange(BOX) - (BOX - 1) // 2
    k = np.exp(-np.hypot(at[:, None], at) / o["width"])
    k = k / k.sum()
    denoise = lambda x, p: MEAN + np.sqrt(p) * STD**2 / (p * STD**2 + 1 - p) * (x - np.sqrt(p) * MEAN)  # noqa: E731
    transfer = lambda k: fft(np.roll(pad(k[None])[0], (-c, -c), (0, 1)))  # noqa: E731
    placed = np.zeros((3, G, G))
    placed[window] = y

    def told(k, around):
        K = transfer(k)
        full = back(K * fft(around)) + SIGMA * draw(3, G, G)
        full[window] = y
        s = np.where(np.abs(K) < o["cutoff"], 0, np.abs(K))
        return s, fft(full) * np.conj(K / np.abs(K)) / G

    def step(k, around, x_t, x_hat, now, then):
        s, Uty = told(k, around)
        V = lambda x: fft(pad(x)) / G  # noqa: E731
        S, z = np.sqrt((1 - then) / then), V(draw(3, n, n))
        h, e = V(x_hat), V((x_t - np.sqrt(now) * x_hat) / np.sqrt(1 - now))
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
        return np.sqrt(then) * back(out * G)[:, :n, :n]

    def update(k, x):
        spectrum = fft(pad(x))
        for _ in range(o["iterations"]):
            r = np.zeros((3, G, G))
            r[window] = back(transfer(k) * spectrum)[window] - y
            misfit = np.roll(back((np.conj(spectrum) * fft(r)).sum(0)), (c, c), (0, 1))[:BOX, :BOX]
            noise = rng.normal(1, BOX, BOX, dtype=torch.float64)[0, 0].numpy()
            k = k - lr / 2 * (misfit / o["sigma_h"] ** 2 + o["gamma"] * np.sign(k)) + np.sqrt(lr) * noise
        return k / k.sum()

    s, Uty = told(k, placed)
    S, z = np.sqrt((1 - P[1000]) / P[1000]), rng.portable.normal(3, n, n, dtype=torch.float64)[0].numpy()
    z, q = fft(pad(z)) / G, np.where(s > 0, s, 1)
    known = Uty / q + np.sqrt(np.maximum(S**2 - (SIGMA / q) ** 2, 0)) * z
    x_t = np.sqrt(P[1000]) * back(np.where(S * s > SIGMA, known, S * z) * G)[:, :n, :n]
    for m in range(o["steps"]):
        now, then, late = P[index[m]], P[index[m + 1]], index[m] <= 1000 * o["begin"]
        x_hat = denoise(x_t, now)
        around = pad(x_hat) if late else placed
        x_s = step(k, around, x_t, x_hat, now, then)
        for _ in range(o["updates"] if late and index[m + 1] else 0):
            k = update(k, denoise(x_s, then))
            x_s = step(k, around, x_t, x_hat, now, then)
        x_t = x_s
    return x_t, k[None]


def reference(problem, boundary):
    """One image after another."""
    rngs = (Rng(problem.rng.keys[i : i + 1]) for i in range(len(problem.y)))
    pairs = [one(y.numpy(), rng, boundary) for y, rng in zip(problem.y, rngs, strict=True)]
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))


def distance(solver, boundary="zero"):
    problem, *_ = pose(boundary)
    x, k = reference(problem, boundary)
    out = solver(problem, **OPTIONS)
    return float((out.x - x).abs().max()), float((out.theta["kernel"] - k).abs().max())


def broken(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    namespace = {"__name__": module.__name__}  # dataclasses ask for it
    exec(compile(source.replace(right, wrong), "broken", "exec", dont_inherit=True), namespace)
    return namespace


@pytest.mark.parametrize("boundary", GRID)
def test_it_is_the_algorithm(boundary):
    assert max(distance(gibbsddrm, boundary)) < 1e-9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("lr / 2 * gradient", "lr * gradient"),
        ("+ eta_b * self.y_bar + spread", "+ self.y_bar + spread"),
        ("(eta_b * self.floor) ** 2", "self.floor ** 2"),
        ("2 * eta_a * eta_c * corr", "eta_a * eta_c * corr"),
        ("prior.denoise(x_s, then.t)", "prior.denoise(x_s, now.t)"),
        ("(n - 1) // 2 for n", "n // 2 - 1 for n"),
        ("k = k / k.sum((-2, -1), keepdim=True)", "pass"),
    ],
    ids=["step", "weight of y", "variance", "correlation", "index", "centre", "sum"],
)
def test_a_broken_variant_is_seen(right, wrong, monkeypatch):
    assert max(distance(broken(right, wrong)["gibbsddrm"])) > 1e-4


def chain(sampler, n=128):
    """How far kernels drawn given the image are from their Gaussian law, in standard errors of mean and variance."""
    problem, x, _ = pose(images=[0] * n, box=2)
    units = torch.eye(4, dtype=torch.float64).view(4, 1, 2, 2)
    X = problem.f(x[:1].expand(4, -1, -1, -1), {"kernel": units}).flatten(1).T
    precision = X.T @ X / SIGMA**2
    mean = torch.linalg.solve(X.T @ X, X.T @ problem.y[0].flatten())
    lr = 0.1 / float(torch.linalg.eigvalsh(precision).max())
    k, rng = torch.full((n, 1, 2, 2), 0.25), Rng.of(1, "draws", range(n))
    k = sampler(problem.f, problem.y.float(), x.float(), k, rng, 600, lr, 0.0, SIGMA)
    white = (k.double().flatten(1) - mean) @ torch.linalg.cholesky(precision)
    return float((white.mean(0) * n**0.5).abs().max()), float(((white.var(0) - 1) * (n / 2) ** 0.5).abs().max())


def test_the_chain_of_kernels_samples_their_posterior():
    assert max(chain(langevin)) < 5
    assert max(chain(broken("lr**0.5 * rng", "2**0.5 * lr**0.5 * rng")["langevin"])) > 5


@pytest.mark.parametrize(("begin", "late"), [(0.7, 9), (0.0, 0), (1.0, 12)])
def test_the_evaluations_are_counted(begin, late):
    problem, *_ = pose()
    gibbsddrm(problem, steps=13, begin=begin, updates=3, iterations=1)
    assert problem.prior.evaluations == 2 * (13 + 3 * (late - (begin == 0.7)))


@pytest.mark.parametrize(
    ("schedule", "boundary"),
    [("vp", "zero"), ("ve", "zero"), ("flow", "zero"), ("vp", "valid"), ("vp", "circular"), ("vp", "reflect")],
)
def test_where_the_prior_knows_the_image_the_kernel_is_found(schedule, boundary):
    problem, x, k = pose(boundary, side=16, box=5, known=schedule)
    found = gibbsddrm(problem, steps=8, updates=1, iterations=30, lr=1e-11, gamma=0.0, sigma_h=SIGMA)
    assert (found.x - x).abs().max() < 1e-9
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


def test_it_starts_round_the_centre_of_kernels_as_blind_problems_turn_them():
    for n in (7, 8):
        k = module.exponential((n, n), 2.0, torch.zeros(1, 1, dtype=torch.float64))
        turned = kernels.gaussian(n, 1.0).flip(-2, -1)
        assert divmod(int(k.argmax()), n) == divmod(int(turned.argmax()), n)
        assert float(k.sum()) == pytest.approx(1)
