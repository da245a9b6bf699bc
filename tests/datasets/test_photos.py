"""The photographs of scikit-image: which they are, in colour and in grey, and what is refused."""

import pytest
import torch
from PIL import Image

from sipbench.datasets.base import Dataset
from sipbench.datasets.photos import LUMA, PHOTOS, Photos
from sipbench.errors import UserError


@pytest.mark.parametrize(("split", "number"), [("test", 8), ("validation", 6)])
def test_all_are_there_and_fit(split, number):
    photos = Photos(split=split, size=300)
    assert isinstance(photos, Dataset) and len(photos) == number
    assert photos.missing() == [] and photos.unfit(range(number)) is None
    x = photos.load([0, number - 1])
    assert x.shape == (2, 3, 300, 300) and x.min() >= -1 and x.max() <= 1 and (x.flatten(1).std(1) > 0.1).all()


def test_no_photograph_is_in_two_splits():
    assert not set(PHOTOS["test"]) & set(PHOTOS["validation"])


def test_grey_is_the_luma_of_the_colours():
    colour, grey = Photos(size=64), Photos(size=64, grey=True)
    assert grey.shape == (1, 64, 64) and grey.version != colour.version
    expected = torch.einsum("bchw,c->bhw", colour.load([0, 3]), torch.tensor(LUMA))
    assert torch.allclose(grey.load([0, 3])[:, 0], expected, atol=1e-6)
    one = Photos(size=64).load([1])
    assert torch.equal(one[:, 0], one[:, 2])  # the cameraman is grey himself


def test_what_cannot_be_served_is_said(monkeypatch, tmp_path):
    with pytest.raises(UserError, match="no split 'train'"):
        Photos(split="train")
    assert "300" in (Photos(size=512).unfit([2]) or "")
    monkeypatch.setattr("sipbench.datasets.photos.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"sipbench\[photos\]"):
        Photos()
    Image.new("RGB", (300, 300)).save(tmp_path / "astronaut.png")
    assert len(Photos(root=str(tmp_path)).missing()) == 7
