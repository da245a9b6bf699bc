"""BlindDPS against its formulas written out in numpy, the gradients by hand, on priors whose means are known."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import blinddps as module
from baselines.diffusion.blinddps import blinddps
from sipbench.bench.watch import Counted
from sipbench.metrics.kernels import kernel_similarity
from sipbench.noise import Gaussian
from sipbench.operators.blind import BlindBlur
from sipbench.operators.turbulence import Turbulence
from sipbench.priors.base import Prior
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.schedules import named
from sipbench.problem import Problem, Rng

MEAN, STD, SIGMA, SIDE, BOX, STEPS = 0.2, 0.5, 0.02, 6, 3, 5


class Known(Prior):
    """A prior of a single state."""

    def __init__(self, x, schedule="vp"):
        super().__init__(named(schedule))
        self.x, self.shape = x, tuple(x.shape[1:])

    def denoise(self, x_t, t):
        return self.x.to(x_t) + 0 * x_t


def pose(*, images=(0, 1), side=SIDE, box=BOX, schedule="vp"):
    rng, shape = Rng.of(0, "blinddps", images), (len(images), 3, side, side)
    f = BlindBlur(shape, rng.portable, size=box)
    x = MEAN + STD * rng.child("x").portable.normal(*shape[1:], dtype=torch.float64)
    theta = f.draw(rng.child("theta").portable)
    y = Gaussian(SIGMA)(f(x, theta), rng.child("noise").portable)
    prior = Counted(IsotropicGaussian(shape[1:], MEAN, STD, schedule))
    return Problem(y, f.sealed(), Gaussian(SIGMA), shape, prior, rng.child("solver")), x, theta["kernel"]


def of_kernels(schedule="vp", box=BOX):
    return Counted(IsotropicGaussian((1, box, box), -0.4, 0.6, schedule))


def convolve(x, k):
    """k * x with the image zero outside, sample by sample: y(i) = sum_j k(j) x(i + c - j)."""
    n, c = x.shape[-1], BOX // 2
    wide, y = np.pad(x, ((0, 0), (BOX, BOX), (BOX, BOX))), np.zeros_like(x)
    for a in range(BOX):
        for b in range(BOX):
            y += k[a, b] * wide[:, BOX + c - a : BOX + c - a + n, BOX + c - b : BOX + c - b + n]
    return y


def slopes(x, k, y):
    """|y - k * x| and its gradients in x and k: a residual times the derivative of each sample of y."""
    r = y - convolve(x, k)
    by_x = np.stack([convolve(e.reshape(x.shape), k).ravel() for e in np.eye(x.size)]) @ r.ravel()
    by_k = np.stack([convolve(x, e.reshape(k.shape)).ravel() for e in np.eye(k.size)]) @ r.ravel()
    norm = np.linalg.norm(r)
    return norm, -by_x.reshape(x.shape) / norm, -by_k.reshape(k.shape) / norm


def reference(problem, scale, order, weight, clip):
    P = np.concatenate([[1.0], np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))])
    index = np.concatenate([np.round(np.linspace(1000, 1, STEPS)), [0]]).astype(int)
    known = {"x": (MEAN, STD, (3, SIDE, SIDE)), "kernel": (-0.4, 0.6, (1, BOX, BOX))}
    images, kernels = [], []
    for i in range(len(problem.y)):
        rng, y = Rng(problem.rng.keys[i : i + 1]), problem.y[i].numpy()
        v = {"kernel": rng.child("kernel").portable, "x": rng.portable}
        v = {n: (1 - P[1000]) ** 0.5 * r.normal(*known[n][2], dtype=torch.float64)[0].numpy() for n, r in v.items()}
        for now, then in zip(P[index[:-1]], P[index[1:]], strict=True):
            hat, inside, slope = {}, {}, {}
            for name, (mean, std, _) in known.items():
                slope[name] = np.sqrt(now) * std**2 / (now * std**2 + 1 - now)
                raw = mean + slope[name] * (v[name] - np.sqrt(now) * mean)
                hat[name] = np.clip(raw, -1, 1) if clip else raw
                inside[name] = np.abs(raw) <= 1 if clip else np.ones_like(raw)
            u = (hat["kernel"][0] + 1) / 2
            k = u / u.sum()
            _, by_x, by_k = slopes(hat["x"], k, y)
            length = (np.abs(k) ** order).sum() ** (1 / order)
            by_k = by_k + weight * np.sign(k) * (np.abs(k) / length) ** (order - 1)
            by_v = ((by_k - (by_k * k).sum()) / u.sum() / 2)[None]
            beta, zeta = 1 - now / then, np.sqrt(now) if scale is None else scale
            for name, by in (("kernel", by_v), ("x", by_x)):
                z = rng.normal(*known[name][2], dtype=torch.float64)[0].numpy()
                mean = np.sqrt(then) * beta * hat[name] + np.sqrt(1 - beta) * (1 - then) * v[name]
                v[name] = mean / (1 - now) + np.sqrt(beta * (1 - then) / (1 - now)) * z
                v[name] = v[name] - zeta * slope[name] * inside[name] * by
        images.append(v["x"])
        u = np.maximum(v["kernel"], -1) + 1
        kernels.append(u / u.sum())
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(kernels))


def distance(solver, scale=None, order=1.0, weight=1.0, clip=True):
    problem, *_ = pose()
    out = solver(problem, kernel_prior=of_kernels(), steps=STEPS, scale=scale, order=order, weight=weight, clip=clip)
    x, k = reference(problem, scale, order, weight, clip)
    return max(float((out.x - x).abs().max()), float((out.theta["kernel"] - k).abs().max()))


def broken(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    namespace = {}
    exec(compile(source.replace(right, wrong), "broken", "exec"), namespace)
    return namespace["blinddps"]


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(("scale", "order", "weight"), [(None, 1.0, 1.0), (0.3, 2.0, 0.7)])
def test_it_is_the_algorithm(scale, order, weight, clip):
    assert distance(blinddps, scale, order, weight, clip) < 1e-9


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (".flatten(1).norm(dim=1)", ".flatten(1).square().sum(1)"),
        ("now.alpha / size(now) if", "then.alpha / size(now) if"),
        ("k / k.sum((-2, -1), keepdim=True).clamp(min=torch.finfo(k.dtype).tiny)", "k"),
        ("[i : i + 2]", "[i : i + 2][::-1]"),
        ("rng.normal_like(v_t)", "2**0.5 * rng.normal_like(v_t)"),
        ("zeta * gradient[name]", "2 * zeta * gradient[name]"),
    ],
    ids=["norm squared", "index", "no sum", "levels swapped", "too much noise", "twice the step"],
)
def test_a_broken_variant_is_seen(right, wrong):
    assert not distance(broken(right, wrong)) < 1e-4


def test_the_published_norms_of_the_kernel_have_no_gradient():
    out = [
        blinddps(pose()[0], kernel_prior=of_kernels(), steps=STEPS, order=order, weight=weight).x
        for order, weight in ((1.0, 0.0), (1.0, 1.0), (0.0, 0.1))
    ]
    assert (out[1] - out[0]).abs().max() < 1e-12 and (out[2] - out[0]).abs().max() < 1e-12


class Grid(IsotropicGaussian):
    """A Gaussian whose sampler takes the same noise levels whatever its schedule."""

    def times(self, n):
        levels = torch.logspace(1.5, -1.5, n, dtype=torch.float64)
        return torch.cat([self.time_at(levels), torch.zeros(1, dtype=torch.float64)])


@pytest.mark.parametrize("schedule", ["ve", "flow"])
@pytest.mark.parametrize("solver", [blinddps, broken("zeta * size(now) * size(then)", "zeta")], ids=["", "broken"])
def test_other_schedules_are_the_same_process(schedule, solver):
    found = []
    for kind in ("vp", schedule):
        problem, *_ = pose()
        prior = Grid((3, SIDE, SIDE), MEAN, STD, kind)
        own = Problem(problem.y, problem.f, problem.noise, problem.shape, prior, problem.rng)
        found.append(solver(own, kernel_prior=of_kernels(kind), steps=9).x)
    same = float((found[0] - found[1]).abs().max())
    assert same < 1e-7 if solver is blinddps else same > 1e-3


def test_one_evaluation_a_step_of_each_prior():
    problem, *_ = pose()
    prior = of_kernels()
    blinddps(problem, kernel_prior=prior, steps=13)
    assert problem.prior.evaluations == prior.evaluations == 13 * 2


@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_where_one_is_known_the_other_is_found(schedule):
    problem, x, k = pose(side=16, box=5, schedule=schedule)
    own = Problem(problem.y, problem.f, problem.noise, problem.shape, Known(x, schedule), problem.rng)
    found = [
        kernel_similarity(blinddps(own, kernel_prior=of_kernels(box=5), steps=100, scale=scale).theta["kernel"], k)
        for scale in (0.0, 0.3)
    ]
    assert found[0].mean() < 0.65 and found[1].mean() > 0.85
    exact = Known(2 * k / k.amax((-2, -1), keepdim=True) - 1)
    free, led = (blinddps(problem, kernel_prior=exact, steps=100, scale=scale).x for scale in (0.0, 1.0))
    free, led = ((problem.y - problem.f(x, {"kernel": k})).norm() for x in (free, led))
    assert led < 0.7 * free


@pytest.mark.parametrize("with_prior", [True, False])
def test_turbulence_with_a_prior_of_the_tilt_and_without(with_prior):
    rng, shape = Rng.of(0, "air", [0, 1]), (2, 3, 16, 16)
    f = Turbulence(shape, rng.portable, size=5, sigma=1.0, patches=5)
    y = f(rng.child("x").portable.normal(3, 16, 16), f.draw(rng.child("theta").portable))
    problem = Problem(y, f.sealed(), Gaussian(SIGMA), shape, IsotropicGaussian(shape[1:]), rng.child("solver"))
    tilt = Counted(IsotropicGaussian((2, 16, 16)))
    found = blinddps(problem, kernel_prior=of_kernels(box=5), tilt_prior=tilt if with_prior else None, steps=4)
    assert {name: tuple(t.shape[1:]) for name, t in found.theta.items()} == f.theta_shapes
    assert found.theta["tilt"].any() and not found.x.requires_grad
    assert tilt.evaluations == (8 if with_prior else 0)
