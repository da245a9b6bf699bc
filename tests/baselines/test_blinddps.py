"""BlindDPS against its formulas written out in numpy, the gradients by hand, on priors whose means are known."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from baselines.diffusion.blinddps import blinddps
from sipbench.bench.watch import Counted
from sipbench.metrics.kernels import kernel_similarity
from sipbench.noise import Gaussian
from sipbench.operators.turbulence import Turbulence
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng
from tests.baselines.reference import MEAN, SCHEDULES, STD, Known, ancestral, clipped, ddpm, denoise, gap, pose_blind

SIDE, BOX, STEPS = 6, 3, 5
KNOWN = {"x": (2 * MEAN, STD), "kernel": (-0.4, 0.6)}
SHAPES = {"x": (3, SIDE, SIDE), "kernel": (1, BOX, BOX)}


def of_kernels(schedule="vp", box=BOX):
    return Counted(IsotropicGaussian((1, box, box), *KNOWN["kernel"], schedule))


def convolve(x, k):
    """k * x with the image zero outside, sample by sample: y(i) = sum_j k(j) x(i + c - j)."""
    n, c = x.shape[-1], BOX // 2
    wide, y = np.pad(x, ((0, 0), (BOX, BOX), (BOX, BOX))), np.zeros_like(x)
    for a in range(BOX):
        for b in range(BOX):
            y += k[a, b] * wide[:, BOX + c - a : BOX + c - a + n, BOX + c - b : BOX + c - b + n]
    return y


def slopes(x, k, y):
    """The gradients of |y - k * x| in x and k: a residual times the derivative of each sample of y."""
    r = y - convolve(x, k)
    by_x = np.stack([convolve(e.reshape(x.shape), k).ravel() for e in np.eye(x.size)]) @ r.ravel()
    by_k = np.stack([convolve(x, e.reshape(k.shape)).ravel() for e in np.eye(k.size)]) @ r.ravel()
    return -by_x.reshape(x.shape) / np.linalg.norm(r), -by_k.reshape(k.shape) / np.linalg.norm(r)


def reference(problem, scale, order, weight, clip):
    """One image after another."""
    found, at = [], ddpm(STEPS)
    for i, y in enumerate(problem.y.numpy()):
        rng = Rng(problem.rng.keys[i : i + 1])

        def draw(name, source=rng):
            return source.normal(*SHAPES[name], dtype=torch.float64)[0].numpy()

        v = {"kernel": draw("kernel", rng.child("kernel").portable), "x": draw("x", rng.portable)}
        v = {name: at[0][1] * value for name, value in v.items()}
        for now, then in pairwise(at):
            raw, slope = zip(*(denoise(v[name], *now, *KNOWN[name]) for name in KNOWN), strict=True)
            (x_hat, x_inside), (v_hat, v_inside) = (clipped(r, clip) for r in raw)
            u = (v_hat[0] + 1) / 2
            k = u / u.sum()
            by_x, by_k = slopes(x_hat, k, y)
            length = (np.abs(k) ** order).sum() ** (1 / order)
            by_k = by_k + weight * np.sign(k) * (np.abs(k) / length) ** (order - 1)
            by_v, zeta = ((by_k - (by_k * k).sum()) / u.sum() / 2)[None], now[0] if scale is None else scale
            v["kernel"] = ancestral(v["kernel"], v_hat, now, then, draw("kernel")) - zeta * slope[1] * v_inside * by_v
            v["x"] = ancestral(v["x"], x_hat, now, then, draw("x")) - zeta * slope[0] * x_inside * by_x
        u = np.maximum(v["kernel"], -1) + 1
        found.append((v["x"], u / u.sum()))
    return [torch.from_numpy(np.stack(part)) for part in zip(*found, strict=True)]


def witness(solve, scale=None, order=1.0, weight=1.0, clip=True):
    problem, *_ = pose_blind()
    out = solve(problem, kernel_prior=of_kernels(), steps=STEPS, scale=scale, order=order, weight=weight, clip=clip)
    x, k = reference(problem, scale, order, weight, clip)
    assert max(gap(out.x, x), gap(out.theta["kernel"], k)) < 1e-9


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize(("scale", "order", "weight"), [(None, 1.0, 1.0), (0.3, 2.0, 0.7)])
def test_it_is_the_algorithm(scale, order, weight, clip):
    witness(blinddps, scale, order, weight, clip)


def test_the_published_norms_of_the_kernel_have_no_gradient():
    none, one, zero = (
        blinddps(pose_blind()[0], kernel_prior=of_kernels(), steps=STEPS, order=order, weight=weight).x
        for order, weight in ((1.0, 0.0), (1.0, 1.0), (0.0, 0.1))
    )
    assert max(gap(one, none), gap(zero, none)) < 1e-12


class Grid(IsotropicGaussian):
    """A Gaussian whose sampler takes the same noise levels whatever its schedule."""

    def times(self, n):
        levels = torch.logspace(1.5, -1.5, n, dtype=torch.float64)
        return torch.cat([self.time_at(levels), torch.zeros(1, dtype=torch.float64)])


def witness_schedules(solve, schedule="ve"):
    """Another schedule is the same process."""
    known, other = (
        solve(
            replace(pose_blind()[0], prior=Grid(SHAPES["x"], *KNOWN["x"], kind)), kernel_prior=of_kernels(kind), steps=9
        ).x
        for kind in ("vp", schedule)
    )
    assert gap(known, other) < 1e-7


@pytest.mark.parametrize("schedule", ["ve", "flow"])
def test_other_schedules_are_the_same_process(schedule):
    witness_schedules(blinddps, schedule)


def test_one_evaluation_a_step_of_each_prior():
    problem, *_ = pose_blind()
    prior = of_kernels()
    blinddps(problem, kernel_prior=prior, steps=13)
    assert problem.prior.evaluations == prior.evaluations == 13 * 2


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_where_one_is_known_the_other_is_found(schedule):
    problem, x, k = pose_blind(side=16, box=5, schedule=schedule)
    own = replace(problem, prior=Known(x, schedule))
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
    problem = Problem(y, f.sealed(), Gaussian(0.02), shape, IsotropicGaussian(shape[1:]), rng.child("solver"))
    tilt = Counted(IsotropicGaussian((2, 16, 16)))
    found = blinddps(problem, kernel_prior=of_kernels(box=5), tilt_prior=tilt if with_prior else None, steps=4)
    assert {name: tuple(t.shape[1:]) for name, t in found.theta.items()} == f.theta_shapes
    assert found.theta["tilt"].any() and not found.x.requires_grad
    assert tilt.evaluations == (8 if with_prior else 0)
