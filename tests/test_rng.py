"""One random stream an image: the same draws whatever the batch, the order and the rest of the process."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sipbench.problem import Rng

few = settings(max_examples=15, derandomize=True, deadline=None)
DRAWS = {
    "normal": lambda r: r.normal(3, 4),
    "uniform": lambda r: r.uniform(5),
    "permutation": lambda r: r.permutation(11),
    "portable normal": lambda r: r.portable.normal(3, 4),
    "child": lambda r: r.child("noise").uniform(5),
}
images = st.lists(st.integers(0, 10**6), min_size=1, max_size=5, unique=True)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@few
@given(indices=images, data=st.data())
def test_any_batch_any_order(draw, indices, data):
    order = data.draw(st.permutations(range(len(indices))))
    together = draw(Rng.of(0, "faces", indices))
    shuffled = draw(Rng.of(0, "faces", [indices[k] for k in order]))
    assert torch.equal(together[torch.tensor(order)], shuffled)
    for k, index in enumerate(indices):
        assert torch.equal(together[k : k + 1], draw(Rng.of(0, "faces", [index])))


def test_select_is_the_part_from_its_start():
    rng = Rng.of(0, "faces", range(4))
    part = rng.select(slice(1, 3))
    rng.normal(7)
    assert torch.equal(part.normal(2), Rng.of(0, "faces", [1, 2]).normal(2))
    assert rng.portable.select(slice(0, 1)).normal(2).dtype == torch.float32


@pytest.mark.parametrize("other", [Rng.of(1, "faces", [0]), Rng.of(0, "ffhq", [0]), Rng.of(0, "faces", [1])])
def test_seed_dataset_and_index_each_change_the_draws(other):
    assert not torch.equal(Rng.of(0, "faces", [0]).normal(8), other.normal(8))


def test_streams_of_different_purposes_are_unrelated():
    rng = Rng.of(0, "faces", [0])
    n = 40_000
    a, b, c, d = rng.child("a").normal(n)[0], rng.child("b").normal(n)[0], rng.normal(n)[0], rng.portable.normal(n)[0]
    correlation = torch.corrcoef(torch.stack([a, b, c, d])) - torch.eye(4)
    assert correlation.abs().max() < 5 / n**0.5
    assert set(rng.child("a").keys).isdisjoint(rng.keys)


def test_children_do_not_depend_on_what_was_drawn():
    fresh, used = Rng.of(0, "faces", [0]), Rng.of(0, "faces", [0])
    used.normal(100)
    assert torch.equal(fresh.child("a").normal(5), used.child("a").normal(5))


def test_portable_draws_are_doubles_rounded():
    """Whoever asks, and in whatever precision, gets the same numbers: bytes fixed for good."""
    rng = Rng.of(0, "faces", [0])
    exact = rng.portable.normal(5, dtype=torch.float64)
    assert torch.equal(rng.portable.normal(5), exact.float())
    assert torch.equal(
        rng.portable.child("x").normal(3), rng.portable.child("x").normal(3, dtype=torch.float64).float()
    )


def test_draws_have_their_distribution():
    z, u = Rng.of(0, "faces", [0]).normal(100_000), Rng.of(0, "faces", [0]).uniform(100_000)
    assert abs(z.mean()) < 5 / 100_000**0.5
    assert abs(z.var() - 1) < 5 * (2 / 100_000) ** 0.5
    assert 0 <= u.min() and u.max() < 1 and abs(u.mean() - 0.5) < 5 * (1 / 12 / 100_000) ** 0.5
    assert sorted(Rng.of(0, "faces", [0]).permutation(9)[0].tolist()) == list(range(9))


def test_no_global_state():
    def states():
        return torch.get_rng_state().numpy().tobytes(), random.getstate(), np.random.get_state()[1].tobytes()

    before = states()
    first = [draw(Rng.of(0, "faces", [0, 1])) for draw in DRAWS.values()]
    assert states() == before
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        again = [draw(Rng.of(0, "faces", [0, 1])) for draw in DRAWS.values()]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_stream_is_lent_to_code_that_draws_globally_and_all_is_put_back():
    import numpy as np

    def drawn(rng):
        with rng.lent() as seed:
            return seed, torch.randn(3), np.random.rand()

    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()
    one, same, other = (drawn(Rng.of(0, "lent", [image])) for image in (4, 4, 5))
    assert one[0] == same[0] != other[0] and one[1].equal(same[1]) and one[2] == same[2]
    assert not one[1].equal(other[1]) and one[2] != other[2]
    assert drawn(Rng.of(0, "lent", [4, 5]))[1].equal(one[1])
    with pytest.raises(RuntimeError), Rng.of(0, "lent", [4]).lent():
        raise RuntimeError
    assert torch.random.get_rng_state().equal(before[0]) and np.random.get_state()[1].tolist() == before[1]
    assert Rng.lending == 0
