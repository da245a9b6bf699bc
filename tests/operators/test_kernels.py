"""Blur kernels: what each kind is, beside scipy and beside brute force, and the files they may come from."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy import ndimage

from sipbench.operators import kernel_file, kernels
from sipbench.problem import Rng


def streams(*indices, seed=0):
    return Rng.of(seed, "kernels", indices).portable


def everything(size):
    yield kernels.gaussian(size, size / 9)
    yield kernels.defocus(size, size / 2 - 0.7)
    for intensity in (0.0, 0.5, 1.0):
        yield kernels.motion(streams(0, 1, 2), size, intensity)


@pytest.mark.parametrize("size", [3, 8, 31, 64])
def test_a_kernel_is_a_distribution(size):
    for k in everything(size):
        assert k.dtype == torch.float64 and k.shape[1:] == (1, size, size)
        assert (k >= 0).all()
        assert torch.allclose(k.sum((1, 2, 3)), torch.ones(len(k), dtype=torch.float64), atol=1e-12)


def centroid(k):
    at = torch.arange(k.shape[-1], dtype=torch.float64)
    return torch.stack([(k.sum(-1) * at).sum(-1), (k.sum(-2) * at).sum(-1)], -1)


def off_centre(k):
    return float((centroid(k) - k.shape[-1] // 2).abs().max())


@pytest.mark.parametrize("size", [8, 31, 64])
def test_the_centre_is_the_sample_half_way(size):
    for k in everything(size):
        assert off_centre(k) < 0.02
        assert off_centre(k.roll(1, -1)) > 0.1


def scipy_gaussian(size, sigma):
    delta = np.zeros((size, size))
    delta[size // 2, size // 2] = 1
    return torch.from_numpy(ndimage.gaussian_filter(delta, sigma))


@pytest.mark.parametrize(("size", "sigma"), [(61, 3.0), (64, 3.0), (31, 1.3), (8, 1.0), (7, 1.2)])
def test_gaussian_is_scipys(size, sigma):
    ours = kernels.gaussian(size, sigma)[0, 0]
    assert torch.allclose(ours, scipy_gaussian(size, sigma), rtol=0, atol=1e-16)
    assert not torch.allclose(ours, scipy_gaussian(size, 1.01 * sigma), rtol=0, atol=1e-6)


def test_the_published_gaussian_uses_25_of_61():
    used = kernels.gaussian()[0, 0].nonzero()
    assert used.min() == 18 and used.max() == 42


def disc(size, radius, fine=64):
    """The part of each pixel that a disc covers, by counting points."""
    at = (np.arange(size * fine) + 0.5) / fine - 0.5 - size // 2
    inside = (at[:, None] ** 2 + at**2 <= radius**2).astype(float)
    covered = inside.reshape(size, fine, size, fine).mean((1, 3))
    return torch.from_numpy(covered / covered.sum())


@pytest.mark.parametrize(("size", "radius"), [(13, 5.0), (9, 4.3), (12, 5.5), (5, 1.1)])
def test_defocus_is_the_area_of_a_disc(size, radius):
    k = kernels.defocus(size, radius)[0, 0]
    assert float((k - disc(size, radius)).abs().max()) < 1e-2 * float(k.max())
    assert float((k - disc(size, 1.05 * radius)).abs().max()) > 1e-2 * float(k.max())
    assert torch.equal(k, k.T)
    assert float(k.max()) == pytest.approx(1 / (math.pi * radius**2), rel=1e-3)


def test_every_image_has_a_path_of_its_own():
    together = kernels.motion(streams(3, 5, 8))
    assert torch.equal(together[1:2], kernels.motion(streams(5)))
    assert torch.equal(together, kernels.motion(streams(3, 5, 8)))
    assert not torch.allclose(together[0], together[1])
    assert not torch.allclose(together, kernels.motion(streams(3, 5, 8, seed=1)))


def spread(k):
    """The standard deviations (B, 2) of kernels along their short and long axes, in pixels."""
    at = torch.arange(k.shape[-1], dtype=torch.float64)
    y, x = (at - c[:, None] for c in centroid(k[:, 0]).T)
    k = k[:, 0]
    yy, xx = (k.sum(-1) * y**2).sum(-1), (k.sum(-2) * x**2).sum(-1)
    xy = torch.einsum("bij,bi,bj->b", k, y, x)
    return torch.linalg.eigvalsh(torch.stack([yy, xy, xy, xx], -1).view(-1, 2, 2)).sqrt()


def test_intensity_bends_the_path():
    straight, curved, scribble = (spread(kernels.motion(streams(*range(64)), 61, i)) for i in (0.0, 0.5, 1.0))
    spot = 0.01 * math.hypot(61, 61)
    assert torch.allclose(straight[:, 0], torch.full((64,), spot, dtype=torch.float64), atol=0.02)
    assert (curved[:, 0] > 1.5 * spot).float().mean() > 0.5

    def roundness(widths):
        return float((widths[:, 0] / widths[:, 1]).median())

    assert roundness(straight) < 0.2 and roundness(straight) < roundness(curved) < roundness(scribble)


@pytest.mark.parametrize("intensity", [0.0, 0.5, 1.0])
def test_a_path_is_as_long_as_it_says(intensity):
    """0.75 d (U + I^2 U'): the mean over many paths within 4 standard errors, and never more than the most."""
    n, diagonal = 400, math.hypot(61, 61)
    rng = streams(*range(n))
    turns = rng.normal(kernels.STEPS, dtype=torch.float64)
    uniform = rng.uniform(3 + 3 * kernels.STEPS, dtype=torch.float64)
    paths = [kernels._path(t, u, 61, intensity) for t, u in zip(turns, uniform, strict=True)]
    lengths = torch.stack([(p[:, 1:] - p[:, :-1]).norm(dim=0).sum() for p in paths]) / (0.75 * diagonal)
    assert (lengths <= 1 + intensity**2 + 1e-9).all()
    error = math.sqrt((1 + intensity**4) / 12 / n)
    assert abs(float(lengths.mean()) - (1 + intensity**2) / 2) < 4 * error
    if intensity == 1:  # paths of many steps: the last one, cut short, hardly counts
        steps = torch.cat([(p[:, 1:-1] - p[:, :-2]).norm(dim=0) for p in paths]) / (0.1 * diagonal)
        assert float(steps.mean()) == pytest.approx(1 / 31, rel=0.02)  # the mean of Beta(1, 30)


def test_paths_stay_inside():
    for size, intensity in ((61, 0.0), (61, 0.5), (16, 0.5), (9, 1.0)):
        k = kernels.motion(streams(*range(64)), size, intensity)
        assert float(k[..., 0, :].max()) < 1e-2 * float(k.max())
        assert float(k[..., -1].max()) < 1e-2 * float(k.max())


def wobble(k):
    """How far a straight line's centres, column by column or row by row, lie off a straight line, in pixels."""
    k = k if spread_x(k) else k.T
    at = torch.arange(len(k), dtype=torch.float64)
    mass = k.sum(0)
    used = mass > 0.5 * mass.max()
    middle = ((k * at[:, None]).sum(0) / mass.clamp(min=1e-300))[used][2:-2]
    x = at[used][2:-2]
    fit = torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], 1), middle[:, None]).solution
    return float((torch.stack([x, torch.ones_like(x)], 1) @ fit - middle[:, None]).abs().max())


def spread_x(k):
    at = torch.arange(len(k), dtype=torch.float64) - len(k) // 2
    return (k.sum(0) * at**2).sum() > (k.sum(1) * at**2).sum()


def test_paths_are_drawn_between_the_pixels(monkeypatch):
    def line():
        return kernels._draw(torch.tensor([[0.0, 11.0], [0.0, 41.0]], dtype=torch.float64), 61)

    assert wobble(line()) < 0.02
    dots = kernels._dots
    monkeypatch.setattr(kernels, "_dots", lambda path: ((found := dots(path))[0].round(), found[1]))
    assert wobble(line()) > 0.1


def test_a_path_leaves_as_much_light_as_it_is_long():
    corners = torch.tensor([[0.0, 0.0, 3.0], [0.0, 1.0, 1.0]], dtype=torch.float64)
    dots, weights = kernels._dots(corners)
    assert torch.allclose((dots * weights).sum(1), torch.tensor([4.5 / 4, 3.5 / 4], dtype=torch.float64))
    assert (dots[:, 1:] - dots[:, :-1]).norm(dim=0).max() <= 0.25 + 1e-6


def an_array():
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 200, (5, 8)))


def png(k, file, dtype=np.uint8):
    Image.fromarray(k.numpy().astype(dtype)).save(file)
    return k


def colours(k, file):
    png(torch.stack([k, k + 10, k + 20], 2), file)
    return k + 10


# Each writes an array to a file, and returns what the file can hold of it.
WRITTEN = {
    "npy": lambda k, file: (np.save(file, k.numpy()), k)[1],
    "pt": lambda k, file: (torch.save(k, file), k)[1],
    "pt-named": lambda k, file: (torch.save({"other": torch.zeros(2), "kernel": k[None, None]}, file), k)[1],
    "safetensors": lambda k, file: (save_file({"anything": k}, file), k)[1],
    "png": lambda k, file: png(k.round(), file),
    "png-16": lambda k, file: png((100 * k).round(), file, np.uint16),
    "png-colour": lambda k, file: colours(k.round(), file),
}


@pytest.mark.parametrize("kind", WRITTEN)
def test_kernels_from_files(tmp_path, kind):
    file = tmp_path / f"kernel.{kind.split('-')[0]}"
    k = WRITTEN[kind](an_array(), file)
    found = kernel_file.read(str(file))
    assert found.shape == (1, 1, 5, 8) and found.dtype == torch.float64
    assert torch.allclose(found[0, 0], k / k.sum(), rtol=1e-12)
    assert not torch.allclose(found[0, 0], k.flip(1) / k.sum(), rtol=1e-2)


def test_each_image_draws_one_of_several_kernels(tmp_path):
    several = np.random.default_rng(0).uniform(0, 1, (3, 4, 4))
    np.save(tmp_path / "k.npy", several)
    options = {"size": 0, "sigma": 0, "radius": 0, "intensity": 0, "path": str(tmp_path / "k.npy")}
    drawn = kernels.make("file", streams(*range(60)), **options)
    which = (drawn[:, None, 0] - kernels.make("file", streams(7), **options)[0, 0]).abs().amax((1, 2, 3)) == 0
    assert drawn.shape == (60, 1, 4, 4) and which[7]
    assert 8 < int(which.sum()) < 32
    assert len(drawn.flatten(1).unique(dim=0)) == 3


SPOILED = {
    **{
        kind: lambda file: file.write_bytes(b"not what the name says")
        for kind in ("png", "npy", "pt", "safetensors", "txt")
    },
    "pt-object": lambda file: torch.save(an_array, file),
    "pt-list": lambda file: torch.save([1, 2], file),
    "pt-nameless": lambda file: torch.save({"a": torch.ones(3, 3), "b": torch.ones(3, 3)}, file),
    "npy-zero": lambda file: np.save(file, np.zeros((3, 3))),
    "npy-nan": lambda file: np.save(file, np.full((3, 3), np.nan)),
    "npy-shape": lambda file: np.save(file, np.ones(9)),
    "npy-empty": lambda file: np.save(file, np.ones((0, 3))),
    "npy-complex": lambda file: np.save(file, np.ones((3, 3), complex)),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_spoiled_file_is_named_in_one_line(tmp_path, kind):
    file = tmp_path / f"spoiled.{kind.split('-')[0]}"
    SPOILED[kind](file)
    with pytest.raises(ValueError, match=f"{file.name}.* kernel") as seen:
        kernel_file.read(str(file))
    assert "\n" not in str(seen.value)


def test_a_picture_is_read_as_a_viewer_shows_it(tmp_path):
    """Upright; what is transparent, or several pictures, is nothing to go by."""
    samples = np.zeros((5, 5), np.uint8)
    samples[0, 2], samples[2, 2] = 100, 100
    image = Image.fromarray(samples)
    exif = image.getexif()
    exif[274] = 3  # turned by 180 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    found = kernel_file.read(str(tmp_path / "turned.png"))[0, 0]
    assert found[4, 2] == found[2, 2] == 0.5
    Image.merge("LA", (image, image)).save(tmp_path / "clear.png")
    image.save(tmp_path / "two.tif", save_all=True, append_images=[image])
    for name, why in (("clear.png", "transparent"), ("two.tif", "holds 2 pictures")):
        with pytest.raises(ValueError, match=f"{name} cannot be read as a kernel.*{why}"):
            kernel_file.read(str(tmp_path / name))


def test_an_array_of_the_other_byte_order_is_read(tmp_path):
    samples = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "k.npy", samples.astype(">f8"))
    np.testing.assert_allclose(kernel_file.read(str(tmp_path / "k.npy"))[0, 0], samples / 15)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match="no file .*nowhere.png"):
        kernel_file.read(str(tmp_path / "nowhere.png"))


@pytest.mark.parametrize(
    ("attempt", "said"),
    [
        (lambda: kernels.gaussian(0, 1.0), "size of a kernel"),
        (lambda: kernels.gaussian(5, -1.0), "positive sigma"),
        (lambda: kernels.defocus(5, 3.0), "does not fit"),
        (lambda: kernels.defocus(5, 0.0), "does not fit"),
        (lambda: kernels.motion(streams(0), 5, 1.5), "intensity"),
        (lambda: kernels.motion(streams(0), 2.5), "size of a kernel"),
    ],
)
def test_bad_options_are_explained(attempt, said):
    with pytest.raises(ValueError, match=said):
        attempt()
