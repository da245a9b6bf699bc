"""LISTA: before training it is ISTA in a dictionary of cosines; after it its layers, by the formula."""

import numpy as np
import pytest
import torch
from scipy.fft import idctn

from baselines.datarich.lista import Lista, lista, synthesis
from sipbench import configs
from sipbench.bench.applies import check
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.run import Bench
from sipbench.operators.blur import Blur
from sipbench.operators.tomography import Tomography
from tests.baselines.learned import OPERATORS, applied, dense, gap, own, pose, ready, solved


def defocus(shape, rng):
    """A kernel that every image of the batch has, kept for each."""
    return Blur(shape, rng, kernel="defocus", size=5, radius=1.5, boundary="reflect")


MAPS = {
    "defocus": defocus,
    "bicubic": OPERATORS["bicubic"],
    "blur": OPERATORS["blur"],
    "tomography": lambda shape, rng: Tomography(shape, rng, views=3),
}


def images(a, shape):
    return idctn(a.reshape(shape), axes=(-2, -1), norm="ortho").ravel()


def shrink(u, theta):
    return np.sign(u) * np.maximum(np.abs(u) - theta, 0)


def ista(problem, layers, lam):
    shape = problem.shape[1:]

    def one(A, y):
        D = np.stack([A @ images(e, shape) for e in np.eye(A.shape[1])], 1)
        L = np.linalg.norm(D, 2) ** 2
        a = np.zeros(A.shape[1])
        for _ in range(layers):
            a = shrink(a - D.T @ (D @ a - y) / L, lam)
        return images(a, shape)

    return solved(problem, one)


def witness(solve, operator="bicubic", shape=(3, 8, 8)):
    problem = pose(MAPS[operator], shape=shape)
    net = own(solve, "Lista")(layers=5, lam=0.02)
    with torch.no_grad():
        assert gap(solve(problem, net=net), ista(problem, 5, 0.02)) < 1e-5
    trained(solve, problem, net)


def trained(solve, problem, net):
    net = ready(solve, net, problem, std=0.01)
    W, S, theta = (v.numpy() for v in net.matrices(problem))

    def one(A, y):
        a = shrink(W @ y, theta)
        for _ in range(4):
            a = shrink(W @ y + S @ a, theta)
        return images(a, problem.shape[1:])

    assert gap(solve(problem, net=net), solved(problem, one)) < 1e-10


@pytest.mark.parametrize("operator", MAPS)
def test_it_is_the_algorithm(operator):
    witness(lista, operator, (1, 8, 8) if operator == "tomography" else (3, 8, 8))


def test_it_solves_the_sparse_problem():
    """Many layers end where no coefficient wants to move: the optimality of min |D a - y|^2 / 2 + lam |D|^2 |a|_1."""
    problem = pose(MAPS["blur"], shape=(1, 6, 6))
    net, A = Lista(layers=4000, lam=0.05), dense(problem.f, problem.shape[1:])
    with torch.no_grad():
        lista(problem, net=net)
        x = lista(problem, net=net.double())
    D, L = np.stack([A @ images(e, (6, 6)) for e in np.eye(36)], 1), np.linalg.norm(A, 2) ** 2
    for i, y in enumerate(problem.y.flatten(1).numpy()):
        a = np.linalg.solve(np.stack([images(e, (6, 6)) for e in np.eye(36)], 1), x[i].flatten().numpy())
        slope = D.T @ (y - D @ a) / L
        still = np.abs(a) > 1e-4
        assert 0 < still.sum() < 36
        assert np.allclose(slope[still], 0.05 * np.sign(a[still]), atol=2e-4) and np.abs(slope).max() < 0.0502


def test_what_it_cannot_learn_it_refuses():
    with pytest.raises(ValueError, match="one map"):
        lista(pose(OPERATORS["inpainting"]), net=Lista())
    with pytest.raises(ValueError, match="at most 3072 values"):
        lista(pose(OPERATORS["bicubic"], shape=(1, 64, 64)), net=Lista())


def test_whether_the_map_is_fixed_is_asked_of_two_images():
    words = ["method=lista", "recipe=tradeoff", "size=32", "images=1"]
    for degradation, fixed in {"deblur_defocus": True, "inpaint70": False}.items():
        own = [*words, f"degradation={degradation}", *(["degradation.operator.size=13"] if fixed else [])]
        bench = Bench.of(Cell.of(configs.compose(own), own), check=False)
        parts = (bench.cell, bench.degradation, bench.prior, bench.networks, bench.priors)
        if fixed:
            check(*parts)
        else:
            with pytest.raises(NotApplicable, match="draws one for each image"):
                check(*parts)


def test_its_cosines_are_those_of_scipy():
    a = np.random.default_rng(0).normal(size=(3, 6, 5))
    ours = applied(lambda v: synthesis(v.flatten(1), (1, 3, 6, 5)), (3, 6, 5), a.ravel())
    assert np.allclose(ours, images(a, (3, 6, 5)), atol=1e-12)
