"""CSGM against its formulas in numpy, and against the closed form of a generator that is a matrix."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines.datarich.csgm import csgm
from baselines.datarich.vae import VAE
from sipbench.operators.nonlinear import HighDynamicRange
from tests.baselines.generated import CODE, Known, Matrices, posed
from tests.baselines.reference import OPERATORS, Adam, gap, pose


def reference(problem, G, iterations, lr, lam, restarts):
    """Adam from each start; of each image the start that ends with the smallest loss."""
    known, rows = Known(problem, G), []
    z = problem.rng.portable.normal(restarts, CODE, dtype=torch.float64).numpy()
    for i in range(len(problem.y)):
        ends = []
        for start in z[i]:
            adam = Adam(lr)
            for _ in range(iterations):
                start = adam(start, known.loss(i, start, lam=lam)[1])
            ends.append(start)
        rows.append(known.image(min(ends, key=lambda end: known.loss(i, end, lam=lam)[0])))
    return known.images(rows)


def witness(solve, operator="inpainting"):
    problem, G = posed(OPERATORS[operator]), Matrices(5)
    for lam, restarts in ((0.001, 1), (0.3, 4)):
        options = {"iterations": 9, "lr": 0.2, "lam": lam, "restarts": restarts}
        assert gap(solve(problem, generator=G, **options), reference(problem, G, **options)) < 1e-9


def witness_everywhere(solve):
    """With masked entries and without."""
    witness(solve, "inpainting")
    witness(solve, "bicubic")


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator):
    witness(csgm, operator)


@pytest.mark.parametrize("lam", [0.001, 0.5])
@pytest.mark.parametrize("operator", ["inpainting", "bicubic"])
def test_with_a_matrix_it_is_ridge_regression(operator, lam):
    problem, G = posed(OPERATORS[operator]), Matrices()
    known = Known(problem, G)
    exact = known.images([known.image(known.ridge(i, lam)) for i in range(len(problem.y))])
    ours = csgm(problem, generator=G, iterations=400, lr=0.05, lam=lam, restarts=1)
    assert gap(ours, exact) < 1e-4
    assert gap(exact, exact.mean()) > 0.1


def test_a_nonlinear_map_is_inverted():
    """y is made from codes, which are found again."""
    G = Matrices()
    problem = posed(lambda shape, rng: HighDynamicRange(shape, rng))
    x = 0.3 * G(problem.rng.child("truth").normal(CODE, dtype=torch.float64))
    x = G(G.encode(x)[0])
    problem = replace(problem, y=problem.f(x))
    assert (problem.y.abs() == 1).any()
    assert gap(csgm(problem, generator=G, iterations=300, lr=0.05, lam=0.0), x) < 0.01


def test_more_starts_do_not_fit_worse():
    problem, G = posed(OPERATORS["inpainting"]), Matrices()
    assert not torch.equal(*(csgm(problem, generator=G, iterations=2, restarts=n) for n in (1, 5)))


def test_a_variational_autoencoder_in_single_precision():
    """A problem in double precision is solved with weights as they are."""
    problem, G = pose(shape=(3, 8, 8)), VAE(size=8, code=5, width=4, widest=8).requires_grad_(False)
    assert csgm(problem, generator=G, iterations=2).dtype == torch.float64
    half = csgm(replace(problem, y=problem.y.float()), generator=G, iterations=2)
    assert half.dtype == torch.float32
    assert half.shape == problem.shape


def test_a_generator_of_other_images_is_refused():
    with pytest.raises(ValueError, match=r"draws images of \(1, 6, 6\)"):
        csgm(pose(shape=(3, 8, 8)), generator=Matrices(), iterations=1)
    with pytest.raises(ValueError, match="restarts"):
        csgm(posed(OPERATORS["blur"]), generator=Matrices(), restarts=0)


def test_starts_are_each_image_s_own():
    both, one = (posed(OPERATORS["inpainting"], images=images) for images in ((0, 1), (1,)))
    alone = csgm(one, generator=Matrices(), iterations=5)
    assert np.allclose(csgm(both, generator=Matrices(), iterations=5)[1:], alone, atol=1e-12)
