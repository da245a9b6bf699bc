"""Folders of images: which files, in which order, and what is said of a wrong layout."""

import numpy as np
import pytest
from PIL import Image

from sipbench.datasets.folder import FFHQ, BadImage, CelebA, Folder
from sipbench.datasets.layouts import natural
from sipbench.errors import UserError

SIZE = 16


def flat(path, value=100, size=(SIZE, SIZE)):
    """A flat picture whose value tells which file it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value,) * 3).save(path)


def values(data, indices):
    """The values of flat pictures, in 0..255."""
    return ((data.load(indices) + 1) * 127.5).mean((1, 2, 3)).numpy()


def only(tmp_path, **options):
    return Folder(root=str(tmp_path), size=SIZE, **options)


def test_natural_order_whatever_the_file_system(tmp_path):
    pictures = {"img10.png": 10, "img2.png": 2, "IMG1.PNG": 1, "b.jpg": 0}
    for name, value in pictures.items():
        flat(tmp_path / name, value)
    flat(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("not an image")
    data = only(tmp_path)
    assert [data.path(i).name for i in range(len(data))] == ["b.jpg", "IMG1.PNG", "img2.png", "img10.png"]
    names = ["a/2", "a/10", "a b/1", "a", "01", "1", "é", "A/3", ""]
    assert sorted(names, key=natural) == sorted(reversed(names), key=natural)
    assert sorted(["a b/1", "a/2"], key=natural) == ["a/2", "a b/1"]


def test_sub_folders_on_demand(tmp_path):
    flat(tmp_path / "b" / "1.png", 1)
    flat(tmp_path / "a.png", 0)
    assert len(only(tmp_path)) == 1
    data = only(tmp_path, recursive=True)
    assert [data.path(i).name for i in range(len(data))] == ["a.png", "1.png"]


def test_sub_folders_named_as_splits(tmp_path):
    flat(tmp_path / "train" / "1.png", 1)
    flat(tmp_path / "test" / "2.png", 2)
    assert values(only(tmp_path, split="train"), [0]) == pytest.approx(1, abs=1e-4)
    assert values(only(tmp_path), [0]) == pytest.approx(2, abs=1e-4)
    with pytest.raises(UserError, match="no folder .*validation.* there is test, train"):
        only(tmp_path, split="validation")


def test_a_plain_folder_is_all_test(tmp_path):
    flat(tmp_path / "a.png")
    with pytest.raises(UserError, match="all split 'test'.*train"):
        only(tmp_path, split="train")


def celeba(tmp_path, images="img_align_celeba", partition="list_eval_partition.txt"):
    for number in range(1, 7):
        flat(tmp_path / images / f"{number:06d}.jpg", 10 * number, size=(178, 218))
    lines = [f"{n:06d}.jpg {s}" for n, s in zip(range(1, 7), (0, 0, 1, 2, 2, 0), strict=True)]
    if partition.endswith("csv"):
        lines = ["image_id,partition", *(line.replace(" ", ",") for line in lines)]
    (tmp_path / partition).parent.mkdir(exist_ok=True)
    (tmp_path / partition).write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    "layout",
    [
        ("img_align_celeba", "list_eval_partition.txt"),
        ("Img/img_align_celeba", "Eval/list_eval_partition.txt"),
        ("img_align_celeba/img_align_celeba", "list_eval_partition.csv"),
    ],
)
def test_celeba_follows_its_partition(tmp_path, layout):
    root = celeba(tmp_path, *layout)
    for split, expected in (("train", [10, 20, 60]), ("validation", [30]), ("test", [40, 50])):
        data = CelebA(root=str(root), split=split, size=64)
        assert len(data) == len(expected) and data.missing() == []
        np.testing.assert_allclose(values(data, range(len(data))), expected, atol=2)


def test_celeba_root_may_be_the_image_folder_itself(tmp_path):
    celeba(tmp_path)
    assert len(CelebA(root=str(tmp_path / "img_align_celeba"), size=64)) == 2


def test_absent_files_keep_their_index(tmp_path):
    celeba(tmp_path)
    gone = tmp_path / "img_align_celeba" / "000004.jpg"
    version = CelebA(root=str(tmp_path), size=64).version
    gone.unlink()
    data = CelebA(root=str(tmp_path), size=64)
    assert data.version == version == "celeba-1/square/64/official"
    assert len(data) == 2 and data.missing() == data.missing([0]) == [str(gone)] and data.missing([1]) == []
    assert values(data, [1]) == pytest.approx(50, abs=2)
    with pytest.raises(BadImage, match="000004.jpg: no such file"):
        data.load([0])


def test_celeba_wrong_layouts(tmp_path):
    root = celeba(tmp_path)
    partition = root / "list_eval_partition.txt"
    partition.write_text("000001.jpg 7\n")
    with pytest.raises(UserError, match="line 1 of .* not a file name and 0, 1 or 2"):
        CelebA(root=str(root))
    partition.write_text("999999.jpg 2\n")
    with pytest.raises(UserError, match=r"no image of split 'test' \(999999.jpg"):
        CelebA(root=str(root))
    partition.unlink()
    with pytest.raises(UserError, match="no list_eval_partition.txt"):
        CelebA(root=str(root))
    partition.write_text("000001.jpg 2\n")
    (root / "img_align_celeba").rename(root / "other")
    with pytest.raises(UserError, match="no folder img_align_celeba"):
        CelebA(root=str(root))


def test_celeba_as_a_plain_folder(tmp_path):
    flat(tmp_path / "00001.png")
    assert len(CelebA(root=str(tmp_path), size=SIZE)) == 1


NUMBERS = (0, 999, 59_999, 60_000, 60_002, 61_000, 69_999)


def ffhq(tmp_path, layout):
    for value, number in enumerate(NUMBERS):
        flat(tmp_path / layout.format(thousand=number // 1000 * 1000, index=number // 1000, number=number), value)
    return tmp_path


@pytest.mark.parametrize(
    "layout",
    [
        "{number:05d}.png",
        "{thousand:05d}/{number:05d}.png",
        "images1024x1024/{thousand:05d}/{number:05d}.png",
        "{index:05d}/img{number:08d}.png",
        "ffhq_{number:05d}.png",
    ],
)
def test_ffhq_goes_by_its_numbers(tmp_path, layout):
    root = str(ffhq(tmp_path, layout))
    test, validation = FFHQ(root=root, size=SIZE), FFHQ(root=root, size=SIZE, split="validation")
    train = FFHQ(root=root, size=SIZE, split="train")
    assert (len(train), len(validation), len(test)) == (60_000, 9_000, 1_000)
    for data, indices, expected in (
        (test, [0, 2], [3, 4]),
        (validation, [0, 8999], [5, 6]),
        (train, [0, 59999], [0, 2]),
    ):
        np.testing.assert_allclose(values(data, indices), expected, atol=1e-3)
    assert len(test.missing()) == 998 and test.missing([1])[0].endswith("60001.png")


def test_ffhq_test_part_is_an_option_and_taken_out_of_the_others(tmp_path):
    root = str(ffhq(tmp_path, "{number:05d}.png"))
    first = {"root": root, "size": SIZE, "test_start": 0, "test_count": 1000}
    parts = {split: FFHQ(split=split, **first) for split in ("train", "validation", "test")}
    assert [len(p) for p in parts.values()] == [59_000, 10_000, 1_000]
    names = [set(p._listing.names) for p in parts.values()]
    assert len(set.union(*names)) == 70_000
    np.testing.assert_allclose(values(parts["test"], [0, 999]), [0, 1], atol=1e-3)
    assert parts["test"].version != FFHQ(root=root, size=SIZE).version
    with pytest.raises(UserError, match="test_start 69999"):
        FFHQ(root=root, test_start=69_999, test_count=2)


def test_ffhq_wrong_layouts(tmp_path):
    flat(tmp_path / "00000.png")
    with pytest.raises(UserError, match=r"no image of split 'test' \(60000.png to 60999.png\).*test_start"):
        FFHQ(root=str(tmp_path))
    flat(tmp_path / "0.png")
    with pytest.raises(UserError, match="same number"):
        FFHQ(root=str(tmp_path), test_start=0)
    for path in tmp_path.iterdir():
        path.rename(path.with_name(f"face{path.name}"))
    with pytest.raises(UserError, match="named by a number"):
        FFHQ(root=str(tmp_path))
