"""What theory says samples the posterior is within 1.2 times the floor, and is seen when it is broken."""

from dataclasses import replace

import pytest

from sipbench import tables
from sipbench.bench.run import Bench
from sipbench.noise import Gaussian

CELLS = [
    ("ddrm", "blur"),
    ("ddnm", "isotropic"),
    ("pigdm", "isotropic"),
    ("mmps", "inpainting"),
    ("daps", "inpainting"),
]


def ratio(method, problem, *words, breakage=None):
    words = ["images=1", f"method={method}", f"degradation={problem}", *words]
    (entry,) = tables.load("posterior", "demo", words).planned
    assert entry.row.theory and problem in entry.row.theory.exact_on
    cell = entry.cell
    assert cell is not None
    if breakage is not None:
        cell.__dict__["solver"] = breakage(cell.solver)
    (row,) = Bench.of(cell).rows([0], None)
    assert row["status"] == "ok", row["reason"]
    return row["posterior_ratio"]


@pytest.mark.parametrize(("method", "problem"), CELLS)
def test_it_samples_the_posterior(method, problem):
    assert ratio(method, problem) < 1.2


class Late:
    """A prior that takes each noise level for the one a few steps before: a schedule's index off by a little."""

    def __init__(self, prior):
        self._prior = prior

    def denoise(self, x_t, t):
        return self._prior.denoise(x_t, (t + 0.02).clamp(max=1))

    def __getattr__(self, name):
        return getattr(self._prior, name)


def twice_the_noise(solver):
    """Told twice the variance of the noise."""
    return lambda problem, **options: solver(replace(problem, noise=Gaussian(2**0.5 * problem.noise.sigma)), **options)


def index_off(solver):
    return lambda problem, **options: solver(replace(problem, prior=Late(problem.prior)), **options)


def noise_at_the_end(solver):
    """Noise of twice the size of that of y added to what is returned."""

    def broken(problem, **options):
        x = solver(problem, **options)
        return x + 2 * problem.noise.sigma * problem.rng.child("end").normal_like(x)

    return broken


@pytest.mark.parametrize("breakage", [twice_the_noise, index_off, noise_at_the_end])
@pytest.mark.parametrize(("method", "problem"), [("pigdm", "isotropic"), ("ddrm", "blur")])
def test_a_broken_one_is_seen(method, problem, breakage):
    """By half of the draws, which show less."""
    assert ratio(method, problem, "draws=256", breakage=breakage) > 1.2
