"""Super-resolution and masks: the published protocols, every kind, and what other libraries make of the same."""

import math

import deepinv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sipbench.operators.sampling import (
    AveragePooling,
    BicubicDownsampling,
    BoxInpainting,
    FileInpainting,
    HalfInpainting,
    Inpainting,
    LineInpainting,
    TextInpainting,
    bicubic_matrix,
)
from sipbench.problem import Rng
from tests.operators.posing import close, draw, make

MASKS = [
    (Inpainting, {"removed": 0.92}),
    (BoxInpainting, {}),
    (HalfInpainting, {}),
    (LineInpainting, {}),
    (FileInpainting, {}),
    (TextInpainting, {}),
]


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bicubic_interior_is_that_of_torch_and_of_pillow(factor):
    """Both drop the taps outside the image where the published resizer mirrors: the outer two rows differ."""
    x = draw(1, 1, 128, 96)
    y = make(BicubicDownsampling, x.shape, factor=factor)(x)
    h, w = 128 // factor, 96 // factor
    torchs = F.interpolate(x, size=(h, w), mode="bicubic", antialias=True, align_corners=False)
    picture = Image.fromarray(x[0, 0].numpy().astype(np.float32))
    pillows = torch.from_numpy(np.array(picture.resize((w, h), Image.Resampling.BICUBIC))).double()[None, None]
    for theirs, tolerance in ((torchs, 1e-12), (pillows, 1e-6)):
        assert close(y[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], tolerance)
        assert not close(y, theirs, 1e-3)
    sharper = make(BicubicDownsampling, x.shape, factor=factor, a=-0.75)(x)
    assert not close(sharper[..., 2:-2, 2:-2], torchs[..., 2:-2, 2:-2], 1e-3)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_bicubic_interior_is_that_of_deepinv(factor):
    """Its samples sit factor / 2 - 1 pixels further to the top left, and its borders reflect without the edge row."""
    x, shift = draw(2, 3, 128, 96), factor // 2 - 1
    peer = deepinv.physics.Downsampling(img_size=(3, 128, 96), filter="bicubic", factor=factor, padding="reflect")
    theirs = peer.double().A(x)
    y = make(BicubicDownsampling, x.shape, factor=factor)(x.roll((shift, shift), (-2, -1)))
    assert close(y[..., 3:-3, 3:-3], theirs[..., 3:-3, 3:-3], 1e-6)
    assert not close(y, theirs, 1e-3)


@pytest.mark.parametrize(("h", "w", "factor"), [(16, 24, 4), (15, 9, 3), (8, 8, 8), (6, 10, 1)])
def test_average_pooling_is_that_of_torch(h, w, factor):
    f, x = make(AveragePooling, (3, 3, h, w), factor=factor), draw(3, 3, h, w)
    y = f(x)
    assert close(y, F.avg_pool2d(x, factor))
    assert close(f.pinv(y), F.interpolate(y, scale_factor=factor, mode="nearest"))


@pytest.mark.parametrize(("kind", "options"), MASKS)
def test_masks_are_zero_or_one_alike_in_all_channels_and_an_image_s_own(kind, options):
    shape = (4, 3, 24, 31)
    f, x = make(kind, shape, **options), draw(*shape)
    assert f.mask.shape == (4, 1, 24, 31)
    assert ((f.mask == 0) | (f.mask == 1)).all() and f.mask.any() and not f.mask.all()
    assert torch.equal(f(x), x * f.mask) and torch.equal(f.pinv(x), x * f.mask)
    assert f.valid is f.mask
    if kind is not FileInpainting:
        assert not torch.equal(make(kind, shape, seed=1, **options).mask, f.mask)
        assert len(f.mask.unique(dim=0)) > 1


@pytest.mark.parametrize(("kind", "options"), MASKS)
def test_masking_is_that_of_deepinv(kind, options):
    f, x = make(kind, (2, 3, 24, 32), **options), draw(2, 3, 24, 32)
    theirs = deepinv.physics.Inpainting(img_size=(3, 24, 32), mask=f.mask).double()
    assert torch.equal(f(x), theirs.A(x))
    assert torch.equal(f.T(x), theirs.A_adjoint(x))
    assert close(f.pinv(x), theirs.A_dagger(x))
    assert not torch.equal(f(x), theirs.A(x.flip(-1)))


def test_scattered_pixels_are_drawn_as_ever():
    """The first floor(removed H W) of a random order of the pixels, from the image's own stream."""
    rng = Rng.of(3, "t", [5, 9]).portable
    mask = Inpainting((2, 3, 16, 16), Rng.of(3, "t", [5, 9]).portable, removed=0.7).mask
    gone = rng.permutation(256)[:, : math.floor(0.7 * 256)]
    assert torch.equal(mask, torch.ones(2, 256).scatter_(1, gone, 0).view(2, 1, 16, 16))


def holes(mask):
    """Top, bottom, left and right of each mask's removed part, both ends included."""
    found = []
    for one in mask[:, 0] == 0:
        i, j = one.any(1).nonzero()[:, 0], one.any(0).nonzero()[:, 0]
        found.append([int(i.min()), int(i.max()), int(j.min()), int(j.max())])
        assert one[i.min() : i.max() + 1, j.min() : j.max() + 1].all()
    return torch.tensor(found)


def test_the_box_is_that_of_the_published_code():
    """At 256: a side of 128, offsets uniform on the integers from 16 to 111."""
    box = holes(make(BoxInpainting, (300, 1, 256, 256)).mask)
    assert (box[:, 1] - box[:, 0] == 127).all() and (box[:, 3] - box[:, 2] == 127).all()
    offsets = torch.cat([box[:, 0], box[:, 2]]).double()
    assert offsets.min() == 16 and offsets.max() == 111
    spread = math.sqrt((96**2 - 1) / 12)
    assert abs(offsets.mean() - 63.5) < 4 * spread / math.sqrt(600)
    assert abs(offsets.std() - spread) < 0.1 * spread
    assert not torch.equal(box[:, 0], box[:, 2])


def test_the_box_scales_with_the_image():
    box = holes(make(BoxInpainting, (200, 1, 64, 96)).mask)
    assert (box[:, 1] - box[:, 0] == 31).all() and (box[:, 3] - box[:, 2] == 47).all()
    assert [int(v) for v in (box[:, 0].min(), box[:, 0].max())] == [4, 27]
    assert [int(v) for v in (box[:, 2].min(), box[:, 2].max())] == [6, 41]
    assert torch.equal(
        holes(make(BoxInpainting, (2, 1, 8, 8), side=0.5, margin=0.25).mask), torch.tensor([[2, 5, 2, 5]] * 2)
    )


def test_halves():
    removed = {
        side: make(HalfInpainting, (1, 3, 9, 7), side=side).mask[0, 0] == 0
        for side in ("left", "right", "top", "bottom")
    }
    rows, columns = torch.meshgrid(torch.arange(9), torch.arange(7), indexing="ij")
    assert torch.equal(removed["left"], columns < 3)
    assert torch.equal(removed["right"], columns > 3)
    assert torch.equal(removed["top"], rows < 4)
    assert torch.equal(removed["bottom"], rows > 4)
    drawn = make(HalfInpainting, (400, 1, 8, 8)).mask[:, 0] == 0
    left = drawn[:, 0, 0].double()
    assert torch.equal(drawn[:, 0, 0], ~drawn[:, 0, 7])
    assert abs(left.mean() - 0.5) < 4 * 0.5 / 20


def thickness(mask):
    """How far the removed pixels stray from a straight line through them, root mean square."""
    at = (mask == 0).nonzero().double()
    return float(torch.linalg.svdvals(at - at.mean(0))[-1] / math.sqrt(len(at)))


@pytest.mark.parametrize("removed", [0.1, 0.5, 0.9])
def test_lines_remove_exactly(removed):
    mask = make(LineInpainting, (3, 3, 40, 33), removed=removed, width=0.04).mask
    assert ((mask == 0).flatten(1).sum(1) == math.floor(removed * 40 * 33)).all()


def test_lines_are_straight_and_as_wide_as_said():
    """So little is removed that one line is enough, unless it only grazes a corner: then another follows."""
    scattered = make(Inpainting, (12, 1, 100, 100), removed=0.005).mask[:, 0]
    for width in (0.02, 0.1):
        lines = make(LineInpainting, (12, 1, 100, 100), removed=0.005, width=width).mask[:, 0]
        uniform = 100 * width / math.sqrt(12)
        assert sum(thickness(mask) < uniform + 0.3 for mask in lines) >= 8
        assert not any(thickness(mask) < uniform + 0.3 for mask in scattered)


def test_lines_run_in_every_direction():
    masks = make(LineInpainting, (200, 1, 32, 32), removed=0.5).mask
    mean = masks.mean((0, 1))
    assert ((mean - 0.5).abs() < 0.2).all()
    assert close(mean.sum(0) / 32, torch.full((32,), 0.5), 0.08) and close(
        mean.sum(1) / 32, torch.full((32,), 0.5), 0.08
    )


@pytest.fixture
def picture(tmp_path):
    """A grey wedge that grows brighter to the right, 8 x 12."""
    path = tmp_path / "mask.png"
    Image.fromarray((np.linspace(0, 255, 12)[None].repeat(8, 0)).astype(np.uint8)).save(path)
    return path


def test_a_mask_from_a_file_keeps_what_is_white(picture):
    f = make(FileInpainting, (3, 3, 8, 12), path=str(picture))
    assert torch.equal(f.mask, (torch.arange(12) >= 6).float().expand(3, 1, 8, 12))
    bright = make(FileInpainting, (1, 3, 8, 12), path=str(picture), threshold=0.9)
    assert torch.equal(bright.mask, (torch.arange(12) >= 10).float().expand(1, 1, 8, 12))


def test_a_mask_may_have_colours_and_bits(tmp_path, picture):
    for mode in ("RGB", "1", "P", "RGBA"):
        path = tmp_path / f"{mode}.png"
        Image.open(picture).point(lambda v: 255 * (v > 127)).convert(mode).save(path)
        mask = make(FileInpainting, (1, 3, 8, 12), path=str(path)).mask
        assert torch.equal(mask, (torch.arange(12) >= 6).float().expand(1, 1, 8, 12))


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_mask_of_16_bits_is_as_dark_as_it_looks(tmp_path, ending):
    """Pillow's own conversion takes all above 255 of 65535 for white."""
    path = tmp_path / f"mask.{ending}"
    Image.fromarray(np.linspace(0, 65535, 12)[None].repeat(8, 0).astype(np.uint16)).save(path)
    f = make(FileInpainting, (1, 3, 8, 12), path=str(path))
    assert torch.equal(f.mask, (torch.arange(12) >= 6).float().expand(1, 1, 8, 12))


def test_a_mask_lies_as_a_viewer_shows_it(tmp_path, picture):
    image = Image.open(picture)
    exif = image.getexif()
    exif[274] = 3  # turned by 180 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    f = make(FileInpainting, (1, 3, 8, 12), path=str(tmp_path / "turned.png"))
    assert torch.equal(f.mask, (torch.arange(12) < 6).float().expand(1, 1, 8, 12))


def test_a_mask_that_does_not_say_what_is_white_is_refused(tmp_path, picture):
    clear = Image.open(picture).convert("RGBA")
    clear.putpixel((11, 0), (255, 255, 255, 0))
    clear.save(tmp_path / "clear.png")
    Image.fromarray(np.eye(12, dtype=np.float32)[:8]).save(tmp_path / "numbers.tif")
    Image.new("L", (12, 8), 255).save(tmp_path / "two.tif", save_all=True, append_images=[Image.open(picture)])
    for name, why in (("clear.png", "transparent"), ("numbers.tif", "kind F"), ("two.tif", "holds 2 pictures")):
        with pytest.raises(ValueError, match=f"{name} cannot be read: .*{why}"):
            make(FileInpainting, (1, 3, 8, 12), path=str(tmp_path / name))


def test_a_mask_of_the_wrong_size_or_all_black_is_said_in_one_line(picture, tmp_path):
    with pytest.raises(ValueError, match="is 8 x 12, but the images are 12 x 8"):
        make(FileInpainting, (1, 3, 12, 8), path=str(picture))
    Image.new("L", (12, 8)).save(tmp_path / "black.png")
    with pytest.raises(ValueError, match="keeps no pixel"):
        make(FileInpainting, (1, 3, 8, 12), path=str(tmp_path / "black.png"))


few = settings(max_examples=10, derandomize=True, deadline=None)
sides = st.integers(2, 5).map(lambda n: 8 * n)


@few
@given(h=sides, w=sides, removed=st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.92]))
def test_inpainting_removes_exactly(h, w, removed):
    mask = Inpainting((3, 3, h, w), Rng.of(0, "t", range(3)).portable, removed=removed).mask
    assert mask.shape == (3, 1, h, w)  # the same in all channels
    assert ((mask == 0) | (mask == 1)).all()
    assert ((mask == 0).flatten(1).sum(1) == math.floor(removed * h * w)).all()


def test_every_pixel_is_as_likely_to_go():
    mask = Inpainting((400, 3, 8, 8), Rng.of(0, "t", range(400)).portable).mask
    kept = 64 - math.floor(0.7 * 64)
    p = kept / 64
    assert ((mask.mean(0) - p).abs() < 5 * math.sqrt(p * (1 - p) / 400)).all()


def by_loop(row, factor):
    """One line resized tap by tap: the cubic kernel with a = -1/2, stretched, normalised, the edge sample repeated."""

    def kernel(u):
        u = abs(u)
        if u <= 1:
            return 1.5 * u**3 - 2.5 * u**2 + 1
        return -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2 if u < 2 else 0.0

    out = []
    for i in range(len(row) // factor):
        u = factor * i + (factor - 1) / 2
        total = weight = 0.0
        for j in range(math.floor(u - 2 * factor), math.ceil(u + 2 * factor) + 1):
            k = kernel((j - u) / factor)
            mirror = -1 - j if j < 0 else 2 * len(row) - 1 - j if j >= len(row) else j
            total, weight = total + k * row[mirror], weight + k
        out.append(total / weight)
    return out


@pytest.mark.parametrize(("n", "factor"), [(16, 4), (32, 4), (24, 2)])
def test_bicubic_borders_by_brute_force(n, factor):
    row = Rng.of(0, "row", [0]).normal(n, dtype=torch.float64)[0]
    expected = torch.tensor(by_loop(row.tolist(), factor), dtype=torch.float64)
    assert close(bicubic_matrix(n, factor) @ row, expected, 1e-12)
    assert not close(bicubic_matrix(n, factor, a=-0.75) @ row, expected, 1e-3)


def test_bicubic_keeps_a_constant_and_divides_the_size():
    f = BicubicDownsampling((1, 3, 256, 256), Rng.of(0, "t", [0]))
    y = f(torch.full((1, 3, 256, 256), 0.3, dtype=torch.float64))
    assert y.shape == (1, 3, 64, 64)
    assert close(y, torch.full_like(y, 0.3), 1e-12)
