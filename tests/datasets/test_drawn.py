"""What is drawn, faces and crystals, is the same for everyone, and no split has what another has."""

import pytest
import torch

from sipbench import configs
from sipbench.datasets import crystals, faces
from sipbench.errors import UserError


@pytest.fixture(params=[(faces, faces.Faces), (crystals, crystals.Crystals)], ids=["faces", "crystals"])
def drawn(request):
    return request.param


def test_same_bits_whatever_the_batch_order_and_threads(drawn):
    draw = drawn[0].draw
    batch, many = draw([3, 1, 7], 64), draw(range(12), 64)
    for place, index in enumerate([3, 1, 7]):
        assert torch.equal(batch[place], draw([index], 64)[0])
        assert torch.equal(batch[place], many[index])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(many, draw(range(12), 64))
    finally:
        torch.set_num_threads(before)


def test_global_randomness_is_neither_read_nor_changed(drawn):
    torch.manual_seed(0)
    before, first = torch.get_rng_state(), drawn[0].draw([4], 32)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    assert torch.equal(first, drawn[0].draw([4], 32))


def test_splits_are_disjoint(drawn):
    splits, sets = drawn[0].SPLITS, {split: drawn[1](split, 32) for split in drawn[0].SPLITS}
    assert splits["test"] + len(sets["test"]) <= splits["validation"]
    assert splits["validation"] + len(sets["validation"]) <= splits["train"]
    assert len(torch.unique(torch.cat([s.load([0]) for s in sets.values()]), dim=0)) == len(sets)


def test_errors_say_what_is_wrong(drawn):
    with pytest.raises(ValueError, match="unknown split"):
        configs.typed(drawn[1], {"split": "dev"})
    for size in (16, 512):
        with pytest.raises(ValueError, match="outside 32..256"):
            drawn[1]("test", size)
    with pytest.raises(UserError, match="outside"):
        drawn[1]("test", 32).load([10_000_000])
