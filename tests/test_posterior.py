"""The figures of posterior accuracy: right on exact draws, and off on draws that are not."""

import math

import pytest
import torch

from sipbench.metrics.posterior import Judge, coverage, directions, inside, mmse_gap, sliced_wasserstein
from sipbench.operators.sampling import AveragePooling, Inpainting
from sipbench.priors.field import GaussianField
from sipbench.priors.mixture import mixture
from sipbench.problem import Rng

N = 512


def posterior(prior, operator, sigma=0.1):
    rng = Rng.of(0, "posterior", [0])
    f = operator((1, *prior.shape), rng.child("operator"))
    y = f(prior.sample(rng.child("x")))
    return prior.posterior(f, y + sigma * rng.child("noise").normal_like(y), sigma)


POSTERIORS = {
    "field": lambda: posterior(GaussianField((1, 8, 8)), lambda shape, rng: Inpainting(shape, rng, removed=0.5)),
    "mixture": lambda: posterior(mixture("cloud", (1, 4, 4)), lambda shape, rng: AveragePooling(shape, rng, factor=2)),
}


@pytest.fixture(scope="module", params=POSTERIORS)
def judge(request):
    return Judge(POSTERIORS[request.param](), N)


def exact_draws(judge, seed=5):
    return judge.exact.sample(Rng.of(seed, "of a solver", range(N)))


def test_exact_draws_are_at_the_floor(judge):
    for seed in range(5, 8):
        scores = judge.scores(exact_draws(judge, seed))
        assert 0.85 < scores["ratio"] < 1.15
        assert scores["ratio"] == pytest.approx(scores["distance"] / scores["floor"])
        assert 0 <= scores["mmse_gap"] < 0.03
        for level in (50, 90):
            error = (level * (100 - level) / N) ** 0.5 / 100
            assert abs(scores[f"inside{level}"] - level / 100) < 4 * error
            assert abs(scores[f"coverage{level}"] - level / 100) < 0.03


def test_draws_that_are_off_are_seen(judge):
    x, mean = exact_draws(judge), judge.exact.mean.view(1, *judge.exact.shape)
    std = judge.exact.covariance.diagonal().sqrt().view_as(mean)
    right = judge.scores(x)
    wide, narrow = judge.scores(mean + 2**0.5 * (x - mean)), judge.scores(mean + 0.5**0.5 * (x - mean))
    moved, mode = judge.scores(x + 0.5 * std), judge.scores(mean + 1e-3 * (x - mean))
    for wrong in (wide, narrow, moved, mode):
        assert wrong["ratio"] > 1.2
    assert wide["inside90"] < right["inside90"] - 0.1 and wide["coverage50"] > right["coverage50"] + 0.05
    assert narrow["inside50"] > right["inside50"] + 0.1 and narrow["coverage50"] < right["coverage50"] - 0.05
    assert moved["mmse_gap"] == pytest.approx(10 * math.log10(1.25), abs=0.15)
    assert mode["mmse_gap"] < 0.01 and mode["coverage90"] < 0.05


def test_a_known_measured_direction_counts():
    """Twice the noise where y says much, nothing wrong elsewhere: the coordinates are the posterior's own."""
    prior = GaussianField((1, 8, 8), std=1.0, length=0.0)
    rng = Rng.of(0, "measured", [0])
    f = Inpainting((1, 1, 8, 8), rng.child("operator"), removed=0.5)
    judge = Judge(prior.posterior(f, f(prior.sample(rng)), 0.05), N)
    x, mean = exact_draws(judge), judge.exact.mean.view(1, 1, 8, 8)
    assert judge.scores(mean + torch.where(f.mask > 0, 2**0.5, 1.0) * (x - mean))["ratio"] > 1.2


def test_the_floor_of_a_gaussian_is_that_of_white_noise():
    judge = Judge(POSTERIORS["field"](), N)
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.randn(N, 64, dtype=torch.float64, generator=generator) for _ in range(2))
    assert judge.floor == pytest.approx(float(sliced_wasserstein(x, y, directions(64))), rel=0.1)


def test_sliced_wasserstein_of_what_is_known():
    u = directions(5, 4000, seed=1)
    assert torch.allclose(u.norm(dim=1), torch.ones(4000, dtype=torch.float64))
    x = torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shift = torch.tensor([3.0, 0, 0, 4.0, 0], dtype=torch.float64)
    assert sliced_wasserstein(x, x[torch.arange(50).flip(0)], u) < 1e-15
    assert float(sliced_wasserstein(x, x + shift, u)) == pytest.approx(5 / 5**0.5, rel=0.05)
    one = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[2.0], [6.0], [1.0]])
    assert float(sliced_wasserstein(*one, torch.ones(1, 1, dtype=torch.float64))) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="as many points"):
        sliced_wasserstein(x, x[:-1], u)


def test_what_a_finite_mean_misses_is_taken_off():
    """|m - m*|^2 of n exact draws is tr C / n on average: it does not count as a gap."""
    C = torch.eye(400, dtype=torch.float64)
    x = torch.randn(10, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert mmse_gap(x, torch.zeros(400), C) < 0.1 < 10 * math.log10(1.1)
    assert mmse_gap(x + 1, torch.zeros(400), C) == pytest.approx(10 * math.log10(2), abs=0.15)


def test_sets_and_intervals_of_what_is_known():
    exact = POSTERIORS["field"]()
    centre = exact.mean.view(1, 1, 8, 8).expand(10, -1, -1, -1)
    assert inside(centre, exact, 0.5) == 1 and inside(centre + 100, exact, 0.9) == 0
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    assert coverage(grid, grid, 0.5) == pytest.approx(0.5, abs=0.002)
    assert coverage(grid, 2 * grid, 0.9) == pytest.approx(0.45, abs=0.002)
