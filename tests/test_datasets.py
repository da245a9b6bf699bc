"""The contract of every dataset listed in conf/dataset; those that read a folder get a small one."""

import pytest
import torch
from PIL import Image

from sipbench import configs
from sipbench.datasets.faces import Faces
from sipbench.errors import UserError
from tests import listed

COUNT = 4
pytestmark = pytest.mark.usefixtures("drawn_anew")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Numbered pictures for every dataset; the numbers suit those that split by number too."""
    root = tmp_path_factory.mktemp("data")
    pictures = ((Faces("train", 48).load(range(COUNT)) + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
    for name in listed.DATASETS:
        (root / name).mkdir()
        for k, picture in enumerate(pictures):
            Image.fromarray(picture.numpy()).save(root / name / f"{60000 + k}.png")
    return root


PICTURES = [
    name
    for name in listed.DATASETS
    if name not in ("measured", "crystals", "kernels", "field_white", "field_smooth", "mixture", "ball")
    and name not in ("pairs", "levin", "koehler", "lai", "sidd", "ntire", "bragg")
]  # they have tests of their own


@pytest.fixture(params=PICTURES)
def make(request, data):
    """Builds the dataset anew, of some size and split."""

    def make(size=32, split="test"):
        words = [f"dataset={request.param}", f"data={data}", f"size={size}", f"split={split}", "prior=none"]
        dataset = configs.build(listed.cell(*words).source)
        assert getattr(dataset, "missing", lambda _: [])(range(COUNT)) == []
        return dataset

    try:
        make()
    except UserError as error:
        pytest.skip(str(error))
    return make


def test_images_are_float32_and_fill_their_range(make):
    dataset = make()
    x = dataset.load([0, 1, 2])
    assert x.shape == (3, *dataset.shape) == (3, 3, 32, 32)
    assert x.dtype == torch.float32
    assert -1 <= x.min() < -0.3 and 0.3 < x.max() <= 1


def test_the_same_images_whoever_asks(make):
    dataset = make()
    x = dataset.load([0, 1, 2, 3])
    assert torch.equal(x, make().load([0, 1, 2, 3]))
    assert torch.equal(x[[2, 0]], dataset.load([2, 0]))
    assert torch.equal(x[1:2], dataset.load([1]))
    assert not torch.equal(x[0], x[1])


def test_no_global_random_state(make):
    before = torch.get_rng_state()
    make().load([0, 1])
    assert torch.equal(before, torch.get_rng_state())


def test_fingerprints_name_the_images(make):
    dataset = make()
    prints = [dataset.fingerprint(i) for i in range(COUNT)]
    assert len(set(prints)) == COUNT
    assert prints == [make().fingerprint(i) for i in range(COUNT)]
    assert prints[0] == make(size=40).fingerprint(0)


def test_the_version_is_stable(make):
    assert make().version == make().version
    assert make().name in make().version


def test_no_image_beyond_the_end(make):
    dataset = make()
    assert len(dataset) >= COUNT
    for index in (len(dataset), -1):
        with pytest.raises((IndexError, UserError)):
            dataset.load([index])


def test_a_picture_made_with_the_size_halved_is_the_same_picture(make):
    """Not the same pixels, but the same scene."""
    large, small = make(size=48).load([1]), make(size=32).load([1])
    shrunk = torch.nn.functional.interpolate(large, size=(32, 32), mode="area")
    other = make(size=32).load([2])
    assert (shrunk - small).square().mean() < 0.3 * (shrunk - other).square().mean()


def test_faces_of_different_splits_differ():
    first = [Faces(split, 32).load([0]) for split in ("train", "validation", "test")]
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[1], first[2])
