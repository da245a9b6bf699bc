"""Folders of images: the treatment of every kind of file, and what is said of the bad ones."""

import hashlib
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from sipbench.datasets.folder import FFHQ, BadImage, CelebA, Folder
from sipbench.errors import UserError

SIZE = 16


def noise(*shape, seed=0, levels=256):
    return np.random.default_rng(seed).integers(0, levels, shape).astype(np.uint8 if levels == 256 else np.uint16)


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def flat(path, value=100, size=(SIZE, SIZE)):
    """A flat picture whose value tells which file it is."""
    return save(path, np.full((size[1], size[0], 3), value, np.uint8))


def as_array(batch):
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) in 0..255."""
    return ((batch + 1) * 127.5).permute(0, 2, 3, 1).numpy()


def png16(path, pixels):
    """A 16-bit PNG of one to four channels, which Pillow cannot write."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def only(tmp_path, **options):
    return Folder(root=str(tmp_path), **{"size": SIZE, **options})


def refusal(tmp_path, **options):
    data = only(tmp_path, **options)
    with pytest.raises(BadImage) as caught:
        data.load([0])
    text = str(caught.value)
    assert data._listing.names[0] in text and "\n" not in text
    return text


def test_pixels_of_the_asked_size_come_untouched(tmp_path):
    pixels = noise(SIZE, SIZE, 3)
    save(tmp_path / "a.png", pixels)
    batch = only(tmp_path).load([0, 0])
    assert batch.dtype == torch.float32 and batch.shape == (2, 3, SIZE, SIZE)
    np.testing.assert_allclose(as_array(batch)[1], pixels, atol=1e-4)
    assert only(tmp_path).shape == (3, SIZE, SIZE)
    assert only(tmp_path).load([]).shape == (0, 3, SIZE, SIZE)


def test_centre_square_and_crop(tmp_path):
    pixels = noise(20, 28, 3)
    save(tmp_path / "a.png", pixels)
    np.testing.assert_allclose(as_array(only(tmp_path, size=20).load([0]))[0], pixels[:, 4:24], atol=1e-4)
    cropped = only(tmp_path, size=12, crop=12).load([0])
    np.testing.assert_allclose(as_array(cropped)[0], pixels[4:16, 8:20], atol=1e-4)
    assert "too small for a crop of 21" in refusal(tmp_path, crop=21)


def test_resizing_is_lanczos_and_antialiased(tmp_path):
    pixels = noise(64, 64, 3)
    save(tmp_path / "a.png", pixels)
    small = as_array(only(tmp_path).load([0]))[0]
    expected = Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    np.testing.assert_allclose(small, np.asarray(expected), atol=1e-4)
    assert small.std() < 0.5 * pixels[::4, ::4].std()


def test_upsampling_only_on_demand(tmp_path):
    flat(tmp_path / "a.png", size=(12, 40))
    assert "smaller than 16" in refusal(tmp_path)
    assert only(tmp_path, upsample=True).load([0]).shape == (1, 3, SIZE, SIZE)
    assert only(tmp_path).version != only(tmp_path, upsample=True).version


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "PA"])
def test_safe_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(noise(SIZE, SIZE, 3)).convert(mode if mode != "PA" else "P")
    image.save(tmp_path / ("a.tif" if mode == "PA" else "a.png"))
    expected = np.asarray(image.convert("RGB"))
    np.testing.assert_allclose(as_array(only(tmp_path).load([0]))[0], expected, atol=1e-4)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "RGB"])
def test_transparent_pixels_are_refused(tmp_path, mode):
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[:4] = 255
    image = Image.fromarray(pixels)
    options = {}
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(255 - pixels[..., 0] // 2))
        image = image.convert(mode)
    elif mode == "P":
        image, options = image.quantize(2), {"transparency": 0}
    else:
        options = {"transparency": (255, 255, 255)}
    image.save(tmp_path / "a.png", **options)
    assert "% of it is transparent" in refusal(tmp_path)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_keep_their_precision(tmp_path, channels):
    pixels = noise(SIZE, SIZE, channels, levels=65536)
    if channels in (2, 4):
        pixels[..., -1] = 65535
    png16(tmp_path / "a.png", pixels)
    colours = pixels[..., :3] if channels > 2 else pixels[..., :1].repeat(3, axis=2)
    np.testing.assert_allclose(as_array(only(tmp_path).load([0]))[0], colours / 257, atol=1e-4)


def test_16_bits_are_resized_without_rounding(tmp_path):
    pixels = np.full((32, 32, 3), 1000, np.uint16)
    png16(tmp_path / "a.png", pixels)
    np.testing.assert_allclose(as_array(only(tmp_path).load([0]))[0], 1000 / 257, atol=1e-4)


def test_16_bit_grey_tiff_and_transparent_16_bits(tmp_path):
    pixels = noise(SIZE, SIZE, levels=65536)
    save(tmp_path / "a.tif", pixels)
    np.testing.assert_allclose(as_array(only(tmp_path).load([0]))[0, ..., 1], pixels / 257, atol=1e-4)
    (tmp_path / "a.tif").unlink()
    for channels in (2, 4):
        png16(tmp_path / "b.png", noise(SIZE, SIZE, channels, levels=65536))
        assert "transparent" in refusal(tmp_path)


def test_16_bits_of_which_0_is_white(tmp_path):
    """A TIFF may say so, as scans of films do."""
    pixels = noise(SIZE, SIZE, levels=65536)
    save(tmp_path / "a.tif", pixels)
    content = (tmp_path / "a.tif").read_bytes()
    black_is_zero, white_is_zero = (struct.pack("<HHIHH", 262, 3, 1, value, 0) for value in (1, 0))
    assert content.count(black_is_zero) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(black_is_zero, white_is_zero))
    found = as_array(only(tmp_path).load([0]))[0, ..., 1]
    np.testing.assert_allclose(found, (65535 - pixels.astype(float)) / 257, atol=1e-4)


@pytest.mark.parametrize("bits", [8, 16])
def test_exif_orientation_is_applied(tmp_path, bits):
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[: SIZE // 2] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    if bits == 8:
        save(tmp_path / "a.png", pixels, exif=exif)
    else:
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png", exif=exif)
    upright = np.rot90(pixels, -1)
    np.testing.assert_allclose(as_array(only(tmp_path).load([0]))[0], upright, atol=1e-4)


def _truncated(path):
    save(path, noise(64, 64, 3))
    path.write_bytes(path.read_bytes()[:-3000])


def _truncated_16(path):
    png16(path, noise(64, 64, 3, levels=65536))
    path.write_bytes(path.read_bytes()[:-3000])


def _animated(path):
    frames = [Image.fromarray(noise(SIZE, SIZE, 3, seed=s)) for s in (0, 1)]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:])


BAD = {
    "empty": (lambda p: p.write_bytes(b""), "not an image"),
    "text": (lambda p: p.write_text("hello"), "not an image"),
    "truncated": (_truncated, "truncated"),
    "truncated_16": (_truncated_16, "truncated"),
    "floats": (lambda p: Image.fromarray(np.ones((SIZE, SIZE), np.float32)).save(p, format="TIFF"), "kind F"),
    "ints": (lambda p: Image.fromarray(np.ones((SIZE, SIZE), np.int32)).save(p, format="TIFF"), "full depth"),
    "cmyk": (lambda p: Image.new("CMYK", (SIZE, SIZE)).save(p, format="JPEG"), "kind CMYK"),
    "animated": (_animated, "holds 2 pictures"),
    "dangling": (lambda p: p.symlink_to("nowhere.png"), "no such file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_and_the_others_go_on(tmp_path, kind):
    spoil, reason = BAD[kind]
    spoil(tmp_path / "a.png")
    flat(tmp_path / "b.png", 7)
    data = only(tmp_path)
    assert len(data) == 2 and data.version
    assert reason in refusal(tmp_path)
    assert as_array(data.load([1])).max() == pytest.approx(7, abs=1e-4)


def test_a_file_removed_meanwhile_is_a_bad_image(tmp_path):
    flat(tmp_path / "a.png")
    data = only(tmp_path)
    (tmp_path / "a.png").unlink()
    for call in (lambda: data.load([0]), lambda: data.fingerprint(0)):
        with pytest.raises(BadImage, match="[Nn]o such file"):
            call()


def test_fingerprint_is_the_sha256_of_the_bytes(tmp_path):
    path = flat(tmp_path / "a.png")
    assert only(tmp_path).fingerprint(0) == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("index", [-1, 1, 5])
def test_an_index_out_of_range_says_how_many_there_are(tmp_path, index):
    flat(tmp_path / "a.png")
    data = only(tmp_path)
    for call in (data.load, data.missing, lambda i: data.fingerprint(i[0])):
        with pytest.raises(UserError, match=rf"no image {index}: split 'test' has 1 image, 0 to 0"):
            call([index])


def test_the_version_tells_treatments_and_contents_apart(tmp_path):
    for name, value in (("one", 1), ("two", 2)):
        flat(tmp_path / name / "a.png", value)
    save(tmp_path / "two" / "a.png", noise(SIZE, SIZE, 3))
    options = [{}, {"size": 8}, {"crop": 8, "size": 8}]
    versions = {only(tmp_path / name, **o).version for name in ("one", "two") for o in options}
    assert len(versions) == 6
    assert only(tmp_path / "one").version == only(tmp_path / "one").version
    os.utime(tmp_path / "one" / "a.png", (0, 0))
    assert only(tmp_path / "one").version in versions


@pytest.mark.parametrize("kind", [Folder, CelebA, FFHQ])
def test_a_missing_empty_or_impossible_folder_is_said_in_one_line(tmp_path, kind):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    for name, reason in (("none", "no folder"), ("empty", "no images"), ("file", "is a file")):
        with pytest.raises(UserError, match=reason) as caught:
            kind(root=str(tmp_path / name))
        text = str(caught.value)
        assert text.startswith(kind.name) and str(tmp_path / name) in text and "\n" not in text
        assert "dataset.root=FOLDER" in text and " recursive=true" not in text


@pytest.mark.parametrize("options", [{"split": "tset"}, {"size": 0}, {"crop": -1}, {"size": "big"}, {"root": ""}])
def test_impossible_options_are_user_errors(tmp_path, options):
    flat(tmp_path / "a.png")
    with pytest.raises(UserError):
        Folder(**{"root": str(tmp_path), **options})


def test_celeba_keeps_the_width_and_is_enlarged_on_demand(tmp_path):
    save(tmp_path / "000004.jpg", noise(218, 178, 3), quality=95)
    decoded = np.asarray(Image.open(tmp_path / "000004.jpg"))
    square = CelebA(root=str(tmp_path), size=178).load([0])
    np.testing.assert_allclose(as_array(square)[0], decoded[20:198], atol=1e-4)
    face = CelebA(root=str(tmp_path), size=148, crop=148).load([0])
    np.testing.assert_allclose(as_array(face)[0], decoded[35:183, 15:163], atol=1e-4)
    assert CelebA(root=str(tmp_path), size=256, upsample=True).load([0]).shape == (1, 3, 256, 256)
    with pytest.raises(BadImage, match="178 pixels is smaller than 256: .* or dataset.upsample=true"):
        CelebA(root=str(tmp_path), size=256).load([0])


def test_12_images_that_are_too_small_are_told_by_their_headers(tmp_path):
    for i in range(10):
        flat(tmp_path / f"{i}.png", size=(70, 90))
    data = only(tmp_path, size=256)
    said = data.unfit(range(10)) or ""
    assert "10 of 10 images are too small for size=256" in said and "70 x 90" in said
    assert "size=64" in said and "upsample=true" in said
    assert "1 of 1 image is too small" in (data.unfit([3]) or "")
    assert only(tmp_path, size=64).unfit(range(10)) is None
    assert only(tmp_path, size=256, upsample=True).unfit(range(10)) is None
    assert "dataset.crop=64" in (only(tmp_path, size=256, crop=80, upsample=True).unfit([0]) or "")


def test_12_a_damaged_header_is_left_to_the_reading(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert only(tmp_path).unfit([0]) is None


def test_25_a_pipe_in_the_folder_is_passed_over(tmp_path):
    flat(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    data = only(tmp_path)
    assert len(data) == 1 and data.unfit([0]) is None
    assert data.load([0]).shape[0] == 1
