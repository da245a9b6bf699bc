"""What is drawn, faces, crystals and kernels, is the same for everyone, and no split has what another has."""

import pytest
import torch

from sipbench import configs
from sipbench.datasets import crystals, faces, kernels
from sipbench.errors import UserError

pytestmark = pytest.mark.usefixtures("drawn_anew")


@pytest.fixture(
    params=[(faces, faces.Faces), (crystals, crystals.Crystals), (kernels, kernels.Kernels)],
    ids=lambda drawn: drawn[1].__name__,
)
def drawn(request):
    return request.param


def test_same_bits_whatever_the_batch_order_and_threads(drawn):
    data = drawn[1]("test", 64)
    batch, many = data.load([3, 1, 7]), data.load(range(12))
    for place, index in enumerate([3, 1, 7]):
        assert torch.equal(batch[place], data.load([index])[0])
        assert torch.equal(batch[place], many[index])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(many, drawn[1]("test", 64).load(range(12)))
    finally:
        torch.set_num_threads(before)
    assert data.load([]).shape == (0, *data.shape) and len({data.fingerprint(i) for i in range(12)}) == 12


def test_global_randomness_is_neither_read_nor_changed(drawn):
    torch.manual_seed(0)
    before, first = torch.get_rng_state(), drawn[1]("test", 32).load([4])
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(first, drawn[1]("test", 32).load([4]))


def test_splits_are_disjoint(drawn):
    splits, sets = drawn[0].SPLITS, {split: drawn[1](split, 32) for split in drawn[0].SPLITS}
    if drawn[0] is not kernels:  # whose splits are streams of their own
        assert splits["test"] + len(sets["test"]) <= splits["validation"]
        assert splits["validation"] + len(sets["validation"]) <= splits["train"]
    assert len(torch.unique(torch.cat([s.load(range(5)) for s in sets.values()]), dim=0)) == 5 * len(sets)


def test_errors_say_what_is_wrong(drawn):
    with pytest.raises(ValueError, match="unknown split"):
        configs.typed(drawn[1], {"split": "dev"})
    for size in (4, 512):
        with pytest.raises(ValueError, match=r"outside \d+..\d+"):
            drawn[1]("test", size)
    for index in (-1, 10_000_000):
        with pytest.raises(UserError, match="outside"):
            drawn[1]("test", 32).load([index])
