"""Measurements with their truth: every layout, which way round a kernel lies, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.io import savemat

from sipbench import configs
from sipbench.datasets.base import Dataset, Paired
from sipbench.datasets.measured import Measured
from sipbench.datasets.pairs import Pairs
from sipbench.datasets.reading import BadImage
from sipbench.errors import UserError
from tests import made_pairs as pairs


def make(name, tmp_path):
    maker, layout, *_ = pairs.MAKERS[name]
    tmp_path.mkdir(exist_ok=True)
    return Pairs(str(maker(tmp_path)), layout=layout)


@pytest.mark.parametrize("name", pairs.MAKERS)
def test_every_layout_gives_y_and_x(name, tmp_path):
    data, (_, layout, count, shape) = make(name, tmp_path), pairs.MAKERS[name]
    assert isinstance(data, Dataset) and isinstance(data, Paired) and data.measured
    assert len(data) == count and data.shape == shape
    y = data.load(range(count))
    assert y.shape == (count, *shape) and y.dtype == torch.float32
    for i in range(count):
        (x, *_) = data.references(i)
        assert x.dtype == torch.float32 and x.shape[-2:] == shape[-2:]
        assert layout == "bragg" or 1e-5 < (x - y[i]).square().mean() < 0.15  # another picture is farther
    prints = [data.fingerprint(i) for i in range(count)]
    assert len(set(prints)) == count or name in ("sidd", "ntire")
    assert data.version == make(name, tmp_path / "again").version and layout in data.version
    assert data.with_kernels == (layout in ("folder", "levin", "lai"))


@pytest.mark.parametrize("name", ["levin", "koehler", "lai", "sidd", "ntire", "bragg", "pairs"])
def test_its_config_builds_it(name, tmp_path):
    maker, *_ = pairs.MAKERS["folder" if name == "pairs" else name]
    words = [f"dataset={name}", f"dataset.root={maker(tmp_path)}", "prior=none"]
    cell = configs.compose(words)
    assert len(configs.build(configs.read("dataset", name) | {"root": str(tmp_path), "split": "test"}))
    assert cell["dataset"]["name"] == name and cell["images"] == "all"


@pytest.mark.parametrize("turned", [True, False])
def test_a_kernel_of_a_release_is_taken_as_y_says(turned, tmp_path):
    data = Pairs(str(pairs.levin(tmp_path, turned)), layout="levin")
    expected = torch.from_numpy(pairs.lean()).float()[None]
    for i in range(2):
        assert torch.allclose(data.kernel(i), expected, atol=1e-6)


def test_pictures_of_kernels_and_of_releases_too(tmp_path):
    expected = torch.from_numpy(pairs.lean()).float()[None]
    for name in ("levin_pictures", "lai"):
        assert torch.allclose(make(name, tmp_path / name).kernel(0), expected, atol=5e-3)


def test_a_kernel_of_ones_own_is_a_convolution_as_it_is(tmp_path):
    pairs.folder(tmp_path)
    np.save(tmp_path / "kernel" / "p0.npy", pairs.lean()[::-1, ::-1])
    data = Pairs(str(tmp_path))
    assert torch.allclose(data.kernel(0), torch.from_numpy(pairs.lean()[::-1, ::-1].copy()).float()[None])
    assert torch.allclose(data.kernel(1), torch.from_numpy(pairs.lean()).float()[None])


def test_koehlers_truth_is_every_frame(tmp_path):
    frames = make("koehler", tmp_path).references(0)
    assert len(frames) == 5 and len(list(frames)) == 5
    expected = pairs.tensor(pairs.colours(pairs.eight(np.roll(pairs.sharp(), 2, 0))))
    assert torch.allclose(frames[2], expected, atol=1e-6)


def test_blocks_are_in_order(tmp_path):
    data = make("sidd", tmp_path)
    assert [p.name for p in data.pairs] == [
        "0000_0000",
        "0000_0001",
        "0000_0002",
        "0001_0000",
        "0001_0001",
        "0001_0002",
    ]
    expected = pairs.tensor(pairs.colours(pairs.eight(pairs.sharp(1, 16))))
    assert torch.allclose(data.references(5)[0], expected, atol=1e-6)  # the sixth block is of the second picture again


def test_grey_and_the_middle(tmp_path):
    root = str(make("lai", tmp_path).root)
    whole, grey, crop = (Pairs(root, layout="lai", **o) for o in ({}, {"grey": True}, {"crop": 20}))
    assert grey.shape == (1, 72, 72) and torch.allclose(grey.load([0])[0], whole.load([0])[0, :1])
    assert torch.equal(crop.load([0]), whole.load([0])[..., 26:46, 26:46])
    assert torch.equal(crop.references(0)[0], whole.references(0)[0][..., 26:46, 26:46])
    assert len({data.version for data in (whole, grey, crop)}) == 3
    frames = Pairs(str(pairs.koehler(tmp_path / "k")), layout="koehler", crop=20, grey=True).references(0)
    assert frames[1].shape == (1, 20, 20)


def test_a_changed_file_is_another_dataset(tmp_path):
    data = Pairs(str(pairs.folder(tmp_path)))
    before, first = data.version, data.fingerprint(0)
    pairs.save(tmp_path / "y" / "p0.png", pairs.eight(pairs.sharp(3)))
    assert Pairs(str(tmp_path)).version != before and Pairs(str(tmp_path)).fingerprint(0) != first


def test_parts_of_a_folder(tmp_path):
    pairs.folder(tmp_path / "validation", 1)
    pairs.folder(tmp_path / "test", 2)
    assert len(Pairs(str(tmp_path))) == 2 and len(Pairs(str(tmp_path), split="validation")) == 1
    with pytest.raises(UserError, match="no split 'train'"):
        Pairs(str(tmp_path), split="train")
    with pytest.raises(UserError, match="there is test"):
        Pairs(str(pairs.folder(tmp_path / "flat")), split="validation")


def without(folder, name):
    def spoil(root):
        pairs.folder(root)
        (root / folder / name).unlink()

    return spoil


def twice(root):
    pairs.folder(root)
    pairs.save(root / "x" / "p0.jpg", pairs.eight(pairs.sharp()))


def no_frames(root):
    pairs.koehler(root)
    (root / "mats" / "GroundTruth1_1.mat").unlink()


def no_clean_blocks(root):
    pairs.sidd(root)
    (root / "ValidationGtBlocksSrgb.mat").unlink()


def other_blocks(root):
    pairs.ntire(root)
    savemat(root / "siddplus_valid_gt_srgb.mat", {"siddplus_valid_gt_srgb": np.zeros((3, 16, 16, 3), np.uint8)})


@pytest.mark.parametrize("kind", [Pairs, Measured])
def test_a_file_in_the_place_of_a_folder_is_called_a_file(tmp_path, kind):
    (tmp_path / "street.png").touch()
    with pytest.raises(UserError, match="street.png is a file, not a folder: name one with dataset.root=FOLDER"):
        kind(str(tmp_path / "street.png"))


BROKEN = [
    (without("x", "p1.png"), "folder", "y/p1.png has no partner in .*x"),
    (without("y", "p1.png"), "folder", "x/p1.png has no partner in .*y"),
    (without("kernel", "p1.npy"), "folder", "y/p1.png has no partner in .*kernel"),
    (twice, "folder", "p0.jpg and p0.png"),
    (lambda root: None, "folder", "nothing of layout 'folder'.*x/NAME.*dataset.root"),
    (pairs.folder, "levin", "nothing of layout 'levin'"),
    (pairs.folder, "lewin", "Did you mean levin"),
    (no_frames, "koehler", "no partner GroundTruth1_1.mat"),
    (no_clean_blocks, "sidd", "no partner ValidationGtBlocksSrgb.mat"),
    (other_blocks, "ntire", r"\(4, 16, 16, 3\) and \(3, 16, 16, 3\)"),
]


@pytest.mark.parametrize(("spoil", "layout", "said"), BROKEN)
def test_a_folder_that_cannot_serve_is_one_line(spoil, layout, said, tmp_path):
    spoil(tmp_path)
    with pytest.raises(UserError, match=said) as error:
        Pairs(str(tmp_path), layout=layout)
    assert "\n" not in str(error.value)


def test_no_folder_and_no_pair(tmp_path):
    with pytest.raises(UserError, match="dataset.root=FOLDER"):
        Pairs(str(tmp_path / "none"))
    data = Pairs(str(pairs.folder(tmp_path)))
    with pytest.raises(UserError, match="no kernel is known"):
        Pairs(str(pairs.folder(tmp_path / "bare", kernel=False))).kernel(0)
    for call in (lambda: data.load([2]), lambda: data.references(-1), lambda: data.kernel(9)):
        with pytest.raises(UserError, match="no pair"):
            call()
    with pytest.raises(BadImage, match="too few for dataset.crop=99"):
        Pairs(str(tmp_path), crop=99).load([0])
    with pytest.raises(UserError, match="crop is a whole number"):
        Pairs(str(tmp_path), crop=0)


def test_matlab_files_that_cannot_be_read_are_one_line(tmp_path):
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + b" " * 86 + b"\x00\x02IM"
    (tmp_path / "im05_flit01.mat").write_bytes(head + b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(BadImage, match="7.3.*save it in MATLAB with -v7"):
        Pairs(str(tmp_path), layout="levin").load([0])
    (tmp_path / "im05_flit01.mat").write_bytes(b"no MATLAB file at all" * 20)
    with pytest.raises(BadImage, match=r"im05_flit01.mat: cannot be read") as error:
        Pairs(str(tmp_path), layout="levin").load([0])
    assert "\n" not in str(error.value)
    savemat(tmp_path / "im05_flit01.mat", {"x": pairs.sharp()})
    with pytest.raises(BadImage, match="holds no array 'y'"):
        Pairs(str(tmp_path), layout="levin").load([0])


def test_a_kernel_that_is_none_is_one_line(tmp_path):
    pairs.folder(tmp_path)
    np.save(tmp_path / "kernel" / "p0.npy", np.zeros((5, 5)))
    with pytest.raises(BadImage, match="p0.npy is no kernel"):
        Pairs(str(tmp_path)).kernel(0)
    np.save(tmp_path / "kernel" / "p1.npy", np.ones((2, 5, 5)))
    with pytest.raises(BadImage, match="holds 2 kernels"):
        Pairs(str(tmp_path)).kernel(1)
