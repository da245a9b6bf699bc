"""The nearest training images against brute force in numpy and against scipy's tree, which is exact too."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from baselines.datarich.nearest_neighbour import Memory, alike, distances, nearest_neighbour
from sipbench import configs
from sipbench.degradation import Degradation, small
from sipbench.errors import UserError
from sipbench.operators.nonlinear import HighDynamicRange
from sipbench.problem import Rng
from tests import listed
from tests.baselines.reference import OPERATORS, gap, pose

SIDE, COUNT = 6, 50


def remembered(count=COUNT):
    memory = Memory(count, SIDE, 1)
    x = torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    memory.store(2 * x - 1)
    return memory


def posed(make, **options):
    return pose(make, shape=(1, SIDE, SIDE), sigma=0.1, **options)


def brute(problem, memory, k, by):
    """Each pair by itself, in numpy."""
    X = memory.images.numpy().astype(float) / 127.5 - 1
    rows = []
    for i, y in enumerate(problem.y):
        f = problem.f.select(slice(i, i + 1))
        if by == "image":
            pairs = [X[j] - f.pinv(y[None])[0].numpy() for j in range(len(X))]
        else:
            pairs = [(f(torch.from_numpy(X[j : j + 1])) - y).numpy() for j in range(len(X))]
        order = np.argsort([np.sum(d**2) for d in pairs], kind="stable")
        rows.append(X[order[:k]].mean(0))
    return torch.from_numpy(np.stack(rows))


def witness(solve, operator="inpainting"):
    problem, memory = posed(OPERATORS[operator], images=range(5)), remembered()
    for k in (1, 3):
        for by in ("measurement", "image"):
            for chunk in (7, 256):
                x = solve(problem, memory=memory, k=k, by=by, chunk=chunk, cutoff=0.0)
                assert gap(x, brute(problem, memory, k, by)) < 1e-12


@pytest.mark.parametrize("operator", OPERATORS)
def test_it_is_the_algorithm(operator):
    witness(nearest_neighbour, operator)


def test_a_tree_finds_the_same():
    """Measurements of one map for all, k of them as in regression by neighbours."""
    problem, memory = posed(OPERATORS["bicubic"], images=range(12)), remembered(400)
    X = memory.recall(slice(None), torch.float64)
    tree = cKDTree(problem.f.select(slice(0, 1))(X).flatten(1).numpy())
    _, found = tree.query(problem.y.flatten(1).numpy(), k=5)
    assert gap(nearest_neighbour(problem, memory=memory, k=5), X[torch.from_numpy(found)].mean(1)) < 1e-12


def test_a_nonlinear_map_will_do():
    problem, memory = posed(lambda shape, rng: HighDynamicRange(shape, rng)), remembered()
    x = memory.recall(torch.tensor([31, 4]), torch.float64)
    assert gap(nearest_neighbour(replace(problem, y=problem.f(x)), memory=memory), x) == 0


def test_what_is_stored_comes_back_in_eight_bits():
    memory = Memory(3, 4, 2)
    x = torch.linspace(-1.2, 1.2, 32).view(1, 2, 4, 4)
    memory.store(x, 2)
    assert gap(memory.recall(slice(2, 3), torch.float32), x.clamp(-1, 1)) <= 1 / 255 + 1e-6
    assert memory.images[:2].eq(0).all()
    assert memory.images.dtype == torch.uint8


def test_as_many_are_loaded_as_were_stored():
    memory = Memory(2, SIDE, 1)
    memory.load_state_dict(remembered().state_dict())
    assert torch.equal(memory.images, remembered().images)
    with pytest.raises(RuntimeError, match="images"):
        Memory(COUNT, SIDE + 1, 1).load_state_dict(remembered().state_dict())


def test_distances_do_not_cancel():
    """Images far from zero and near each other, in single precision."""
    a = 1000 + torch.rand(4, 30, generator=torch.Generator().manual_seed(0))
    b = a + 1e-3 * torch.rand(4, 30, generator=torch.Generator().manual_seed(1))
    exact = (a.double()[:, None] - b.double()[None]).square().sum(2)
    assert ((distances(a, b) - exact).abs() / exact).max() < 1e-3


def test_a_budget_leaves_the_nearest_of_those_seen():
    class Once:
        def step(self, k, n):
            return k == 0

        def show(self, x_hat, loss):
            pass

    problem, memory = posed(OPERATORS["bicubic"]), remembered()
    seen = nearest_neighbour(replace(problem, _watch=Once()), memory=memory, chunk=10)
    first = Memory(10, SIDE, 1)
    first.images.copy_(memory.images[:10])
    assert gap(seen, brute(problem, first, 1, "measurement")) < 1e-12


def test_more_neighbours_than_images():
    with pytest.raises(ValueError, match="k is 1 to 50"):
        nearest_neighbour(posed(OPERATORS["blur"]), memory=remembered(), k=51)


def test_which_maps_are_alike_for_all_images():
    maps = {name: posed(make).f for name, make in OPERATORS.items()}
    assert {name: alike(f) for name, f in maps.items()} == {
        "inpainting": False, "bicubic": True, "blur": True, "without SVD": True
    }  # fmt: skip


@pytest.mark.parametrize("name", listed.DEGRADATIONS)
def test_a_map_that_is_alike_for_all_takes_any_number_of_images(name):
    """What is measured many at a time is what it is two at a time, and the same for every image."""
    try:
        degradation, channels = Degradation.of(small(configs.read("degradation", name))), listed.channels(name)[-1]
        f = degradation.build((2, channels, 32, 32), Rng.of(0, "facts", [0, 1]))
    except UserError:  # its checkpoint is not here
        return
    if f.blind or not alike(f):
        return
    x = torch.rand(5, channels, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert gap(f(x)[:4], torch.cat([f(x[:2]), f(x[2:4])])) < 1e-5
    one, two = f(x[:1].expand(2, -1, -1, -1))
    assert gap(one, two) < 1e-5
