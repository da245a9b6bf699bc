"""DMPS against its formulas in numpy, and against the exact posterior where its assumption holds: a flat prior."""

import inspect

import numpy as np
import pytest
import torch

from baselines.diffusion import dmps as module
from baselines.diffusion.dmps import dmps
from sipbench.operators import BicubicDownsampling, Inpainting
from sipbench.problem import Rng
from tests.baselines.exact import Frozen, far, pose

MEAN, STD = 0.1, 0.5


def bicubic(shape, rng):
    return BicubicDownsampling(shape, rng, factor=2)


def inpainting(shape, rng):
    return Inpainting(shape, rng, removed=0.5)


def small(schedule="vp"):
    return pose(bicubic, n=2, mean=MEAN, std=STD, schedule=schedule)


def flat(schedule="vp"):
    return pose(inpainting, n=256, std=30.0, sigma=0.2, schedule=schedule)


def reference(problem, steps, scale, clip, point="code"):
    """The published update in P and a, for states of unit scale; A as a matrix."""
    prior, sigma_y, shape = problem.prior, problem.noise.sigma, problem.shape[1:]
    f = problem.f.select(slice(0, 1))
    A = torch.stack([f(e.view(1, *shape)).flatten() for e in torch.eye(np.prod(shape), dtype=torch.float64)], 1).numpy()
    U, d, Vt = np.linalg.svd(A, full_matrices=False)
    P = prior.scales(prior.times(steps))[0].numpy() ** 2
    rng, y = Rng(problem.rng.keys), problem.y.flatten(1).numpy()
    x = np.sqrt(1 - P[0]) * rng.portable.normal(*shape, dtype=torch.float64).flatten(1).numpy()
    for k in range(steps):
        t, s = P[k], P[k + 1]
        a = t / s
        x_hat = MEAN + np.sqrt(t) * STD**2 / (t * STD**2 + 1 - t) * (x - np.sqrt(t) * MEAN)
        x_hat = np.clip(x_hat, -1, 1) if clip else x_hat
        mean = np.sqrt(s) * (1 - a) / (1 - t) * x_hat + np.sqrt(a) * (1 - s) / (1 - t) * x
        z = rng.normal(*shape, dtype=torch.float64).flatten(1).numpy()
        new = mean + np.sqrt((1 - a) * (1 - s) / (1 - t)) * z
        x_0 = {"code": new / np.sqrt(t), "level": new / np.sqrt(s), "paper": x / np.sqrt(t)}[point]
        v = (y - x_0 @ A.T) @ U / (d**2 * (1 - t) / t + sigma_y**2)
        x = new + scale * (1 - a) / np.sqrt(a) / np.sqrt(t) * v * d @ Vt
    return torch.from_numpy(x).view(problem.shape)


@pytest.mark.parametrize("point", ["code", "level", "paper"])
@pytest.mark.parametrize("clip", [True, False])
def test_it_is_the_algorithm(clip, point):
    for steps in (1, 100):
        x = dmps(small(), steps=steps, clip=clip, point=point)
        expected = reference(small(), steps, 1.75, clip, point)
        assert (x - expected).abs().max() < 1e-7 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize("point", ["level", "paper"])
@pytest.mark.parametrize("schedule", ["vp", "ve", "flow"])
def test_with_the_whole_score_it_samples_the_posterior_of_a_flat_prior(schedule, point):
    problem = flat(schedule)
    assert max(far(problem, dmps(problem, steps=300, scale=1.0, point=point, clip=False))) < 4.5


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("max(noise.sigma, LEAST_SIGMA) ** 2", "2 * max(noise.sigma, LEAST_SIGMA) ** 2"),
        ("x_s + scale", "x_s + 2 * scale"),
        ("(S2_t - S2_s)", "S2_t"),
        ("x_hat, now, then,", "x_hat, then, now,"),
        ("    return x_t\n", "    return x_t + 0.3 * rng.normal_like(x_t)\n"),
    ],
    ids=["twice the noise", "twice the score", "level forgotten", "levels swapped", "noise at the end"],
)
def test_a_broken_variant_is_seen(right, wrong):
    source = inspect.getsource(module)
    assert right in source
    broken = {}
    exec(compile(source.replace(right, wrong, 1), "broken", "exec"), broken)
    problem = flat("ve")
    worst = max(far(problem, broken["dmps"](problem, steps=300, scale=1.0, point="level", clip=False)))
    assert not worst < 6


def test_the_published_weight_does_not_sample_it():
    problem = flat("ve")
    assert max(far(problem, dmps(problem, steps=300, clip=False))) > 6


def test_the_published_point_is_off_where_steps_are_few():
    problem = flat()
    assert max(far(problem, dmps(problem, steps=300, scale=1.0, point="code", clip=False))) > 6


def test_one_evaluation_a_step_and_no_graph():
    problem = small()
    object.__setattr__(problem, "prior", Frozen(problem.prior))
    dmps(problem, steps=13)
    assert problem.prior.evaluations == 13 * 2


def test_images_do_not_feel_each_other():
    together = dmps(small(), steps=50)
    alone = [dmps(small().select(slice(i, i + 1)), steps=50) for i in (0, 1)]
    assert (together - torch.cat(alone)).abs().max() < 1e-9


def test_an_unknown_point_is_named():
    with pytest.raises(ValueError, match="code, level, paper"):
        dmps(small(), point="x_t")
