"""Blur with an unknown kernel, and turbulence: the published conventions, the boxes, the draws."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage, signal

from sipbench.operators import blind, turbulence
from sipbench.operators.blind import BlindBlur, half_of_measurement
from sipbench.operators.blur import Blur
from sipbench.operators.turbulence import Turbulence
from sipbench.problem import Rng
from tests.operators.posing import error

SMALL = {"size": 8, "sigma": 1.0, "patches": 40, "patch": 8}


def streams(*indices, seed=0):
    return Rng.of(seed, "blind", indices).portable


def images(b, c, h, w, seed=0):
    return streams(*range(b), seed=seed).child("x").normal(c, h, w, dtype=torch.float64)


def published(x, w):
    """What the code of DMPlug computes with its kernels w (B, 1, k, k): torch's `same` convolution, a correlation."""
    return torch.cat([F.conv2d(a[:, None], k[None], padding="same") for a, k in zip(x, w, strict=True)]).view(x.shape)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("size", [64, 8, 7])
def test_published_measurements(size):
    f, x = BlindBlur((2, 3, 64, 70), streams(0, 1), size=size), images(2, 3, 64, 70)
    w = streams(0, 1).uniform(1, size, size, dtype=torch.float64)
    assert error(f(x, {"kernel": w.flip(-2, -1)}), published(x, w)) < 1e-13
    assert error(f(x, {"kernel": w}), published(x, w)) > 1e-2
    assert error(f(x, {"kernel": w.roll(1, -1).flip(-2, -1)}), published(x, w)) > 1e-2
    assert error(f(x.float(), {"kernel": w.flip(-2, -1)}), published(x, w)) < 1e-5


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_the_published_gaussian():
    delta = np.zeros((64, 64))
    delta[32, 32] = 1
    w = torch.from_numpy(ndimage.gaussian_filter(delta, 3.0))[None, None]
    f, x = BlindBlur((1, 3, 64, 64), streams(0), kernel="gaussian"), images(1, 3, 64, 64)
    k = f.draw(streams(0))["kernel"]
    assert error(f(x, {"kernel": k}), published(x, w)) < 1e-13
    assert error(f(x, {"kernel": k.flip(-2, -1)}), published(x, w)) > 1e-2  # one pixel off


def test_the_box_is_half_of_the_measurement():
    for n_x in range(8, 300):
        n_k = half_of_measurement(n_x)

        def far(k, n=n_x):
            return abs(k - (n - k + 1) / 2)

        assert n_k % 2 == 1 and far(n_k) == min(far(k) for k in range(1, n_x, 2))
    assert half_of_measurement(256) == 85  # n_y = 172
    assert BlindBlur((1, 3, 256, 128), streams(0), size=None, boundary="valid").theta_shapes == {"kernel": (1, 85, 43)}


@pytest.mark.parametrize("image", [(64, 64), (48, 66), (15, 32)])
def test_unknown_size(image):
    """y is the middle of the convolution: as many samples as the box leaves, whatever the size of the true kernel."""
    options = {"size": None, "boundary": "valid", "support": [0.2, 0.6]}
    f, x = BlindBlur((3, 2, *image), streams(0, 1, 2), **options), images(3, 2, *image)
    box = f.theta_shapes["kernel"][1:]
    theta = f.draw(streams(0, 1, 2))
    y = f(x, theta)
    assert y.shape[-2:] == tuple(n - k + 1 for n, k in zip(image, box, strict=True))
    for a, k, b in zip(x, theta["kernel"], y, strict=True):
        expected = np.array([signal.convolve2d(channel, k[0], mode="valid") for channel in a])
        assert error(b, torch.from_numpy(expected)) < 1e-13
    small = streams(0, 1, 2).uniform(1, 3, 2, dtype=torch.float64)
    full = Blur(tuple(x.shape), streams(), kernel=small, boundary="valid")(x)
    top, left = (k - n - (k // 2 - n // 2) for k, n in zip(box, (3, 2), strict=True))  # both centres at k // 2
    crop = full[..., top : top + y.shape[-2], left : left + y.shape[-1]]
    assert error(f(x, {"kernel": small}), crop) < 1e-13


def test_the_scene_of_a_photograph():
    for n_y in (172, 11, 12, 13):
        shape = BlindBlur.unknown_shape((1, 3, n_y, n_y), size=None, boundary="valid")
        n_k = shape[-1] - n_y + 1
        assert n_k % 2 == 1 and abs(n_k - n_y / 2) <= 1
    assert BlindBlur.unknown_shape((1, 3, 172, 86), size=None, boundary="valid") == (1, 3, 256, 128)
    assert BlindBlur.unknown_shape((1, 3, 60, 61), size=5, boundary="valid") == (1, 3, 64, 65)
    assert BlindBlur.unknown_shape((1, 3, 60, 61)) == (1, 3, 60, 61)


def test_a_bounded_shift_is_declared_where_y_cannot_tell():
    f = BlindBlur((2, 1, 33, 30), streams(0, 1), size=None, boundary="valid", support=[0.2, 0.6])
    n = tuple(33 - k + 1 if i == 0 else 30 - k + 1 for i, k in enumerate(f.box))
    assert f.symmetries == ("bounded_shift",)
    assert tuple(s - 2 * m for s, m in zip((33, 30), f.margin, strict=True)) == n  # what is compared is y's field
    for boundary in ("zero", "reflect", "circular"):
        other = BlindBlur((2, 1, 33, 30), streams(0, 1), size=8, boundary=boundary)
        assert (other.symmetries, other.margin) == ((), (0, 0))


def test_a_zero_boundary_tells_a_shift():
    f, x = BlindBlur((2, 1, 33, 30), streams(0, 1), size=8, support=[0.5, 0.5]), images(2, 1, 33, 30)
    theta = f.draw(streams(0, 1))
    moved = f(x.roll(1, -1), {"kernel": theta["kernel"].roll(-1, -1)})
    assert error(moved, f(x, theta)) > 1e-2
    assert error(moved[..., 8:-8, 8:-8], f(x, theta)[..., 8:-8, 8:-8]) < 1e-12


def side(k):
    """The longer side of the part of a kernel that is not zero."""
    at = k[0].nonzero()
    return int((at.max(0).values - at.min(0).values).max()) + 1


def test_true_kernels_hide_their_size():
    f = BlindBlur((40, 1, 64, 64), streams(*range(40)), size=None, boundary="valid", support=[0.2, 0.6])
    drawn = f.draw(streams(*range(40)))["kernel"]
    assert drawn.shape == (40, 1, 21, 21)
    assert torch.allclose(drawn.sum((1, 2, 3)), torch.ones(40, dtype=torch.float64))
    sides = {side(k) for k in drawn}
    assert min(sides) >= 4 and max(sides) <= 13 and len(sides) > 5
    assert len(drawn.flatten(1).unique(dim=0)) == 40
    assert torch.equal(f.draw(streams(7))["kernel"], drawn[7:8])


@pytest.mark.parametrize("options", [{"size": 8}, {"size": 9, "boundary": "valid"}, {"size": 8, "kernel": "gaussian"}])
def test_the_operator_tells_nothing_of_the_truth(options):
    f = BlindBlur((2, 1, 16, 16), streams(0, 1), **options)
    assert not list(f.buffers()) and not any(torch.is_tensor(v) for v in vars(f).values())
    before = dict(vars(f))
    f.draw(streams(0, 1))
    assert vars(f) == before


@pytest.mark.parametrize("options", [{"size": 8}, {"size": 9, "boundary": "valid"}, {"size": 64}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_left_when_the_kernel_is_known(options, dtype):
    f, x = BlindBlur((3, 3, 64, 64), streams(0, 1, 2), **options), images(3, 3, 64, 64).to(dtype)
    theta = f.draw(streams(0, 1, 2))
    A = f.given(theta)
    y = f(x, theta)
    assert isinstance(A, Blur) and error(A(x), y) < (1e-5 if dtype == torch.float32 else 1e-13)
    left, right = float((A(x) * y).double().sum()), float((x * A.T(y)).double().sum())
    assert left == pytest.approx(right, rel=1e-5)
    cropped = {"kernel": theta["kernel"][..., 1:-1, 1:-1]}
    assert error(f.given(cropped)(x), f(x, cropped)) < 1e-5


@pytest.mark.parametrize(
    ("size", "boundary", "own"), [((6), "zero", (6, 6)), (5, "valid", (3, 4)), (5, "reflect", (5, 5))]
)
def test_gradients(size, boundary, own):
    f, x = BlindBlur((2, 2, 9, 8), streams(0, 1), size=size, boundary=boundary), images(2, 2, 9, 8)
    k = streams(0, 1).uniform(1, *own, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x, k: f(x, {"kernel": k}), (x.requires_grad_(), k.requires_grad_()))
    single = [t.detach().float().repeat(2, 1, 1, 1).requires_grad_() for t in (x, k)]  # direct: enough channels
    double = [t.detach().double().requires_grad_() for t in single]
    gradients = [torch.autograd.grad(f(a, {"kernel": b}).square().sum(), (a, b)) for a, b in (single, double)]
    assert all(error(a, b) < 1e-5 for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("kernel", "said"), [((1, 1, 9, 3), "9 x 3 does not fit into the box of 8 x 8"), ((3, 8, 8), r"\(B, 1, kh, kw\)")]
)
def test_bad_kernels_are_explained(kernel, said):
    with pytest.raises(ValueError, match=said):
        BlindBlur((1, 3, 32, 32), streams(0), size=8)(images(1, 3, 32, 32), {"kernel": torch.ones(kernel)})


def point(n):
    """A kernel that leaves the image as it is."""
    k = torch.zeros(1, 1, n, n, dtype=torch.float64)
    k[..., n // 2, n // 2] = 1
    return k


def tilted(x, tilt, kernel=None):
    f = Turbulence(tuple(x.shape), streams(*range(len(x))), **SMALL)
    return f(x, {"tilt": tilt, "kernel": point(8) if kernel is None else kernel})


def test_a_warp_looks_where_the_tilt_points():
    x, tilt = images(2, 3, 20, 17), torch.zeros(2, 2, 20, 17, dtype=torch.float64)
    assert error(tilted(x, tilt), x) < 1e-12
    tilt[:, 0], tilt[:, 1] = 2, 1
    assert error(tilted(x, tilt)[..., :-1, :-2], x[..., 1:, 2:]) < 1e-12
    assert error(tilted(x, tilt)[..., :-2, :-1], x[..., 2:, 1:]) > 1e-2
    tilt[:, 0], tilt[:, 1] = 0.5, 0
    assert error(tilted(x, tilt)[..., :-1], (x[..., :-1] + x[..., 1:]) / 2) < 1e-12


def test_a_warp_is_the_bilinear_one_of_scipy():
    x, tilt = images(2, 3, 20, 17), 2 * images(2, 2, 20, 17, seed=1)
    rows, columns = np.mgrid[:20, :17]
    expected = np.array([
        [ndimage.map_coordinates(c, [rows + t[1], columns + t[0]], order=1, mode="grid-constant") for c in a]
        for a, t in zip(x.numpy(), tilt.numpy(), strict=True)
    ])  # fmt: skip
    assert error(tilted(x, tilt), torch.from_numpy(expected)) < 1e-12
    assert error(tilted(x, tilt.flip(1)), torch.from_numpy(expected)) > 1e-2


def test_the_tilt_comes_before_the_blur():
    f, x = Turbulence((2, 3, 20, 17), streams(0, 1), **SMALL), images(2, 3, 20, 17)
    theta = f.draw(streams(0, 1))
    y = f(x, theta)
    assert error(y, f.blur(tilted(x, theta["tilt"]), theta)) < 1e-12
    assert error(y, tilted(f.blur(x, theta), theta["tilt"])) > 1e-3
    assert error(y.float(), f(x.float(), {k: v.float() for k, v in theta.items()})) < 1e-5


def tilt_by_loops(h, w, patches, seed):
    """A tilt map as the published code makes it, one patch after the other."""
    rng = np.random.default_rng(seed)
    at = np.arange(-3, 4)
    g = np.exp(-(at[:, None] ** 2 + at**2) / 2)
    tilt = np.zeros((2, h, w))
    for _ in range(patches):
        y, x = rng.integers(32, h - 32), rng.integers(32, w - 32)
        strength = rng.uniform(0.1, 0.4)
        for u in tilt:
            noise = rng.normal(size=(64, 64))
            u[y - 32 : y + 32, x - 32 : x + 32] += strength * signal.convolve2d(noise, g / g.sum(), mode="same")
    return torch.from_numpy(tilt.clip(-2.5, 2.5))


def statistics(tilt):
    """Standard deviation in the middle and near the border, and the correlation of neighbours."""
    middle, border = tilt[..., 64:-64, 64:-64], torch.cat([tilt[..., :16, :], tilt[..., -16:, :]], -2)
    neighbours = (middle[..., 1:] * middle[..., :-1]).mean() / middle.square().mean()
    return torch.stack([middle.std(), border.std(), neighbours])


def test_tilt_maps_are_like_the_published_ones(monkeypatch):
    def ours():
        f = Turbulence((1, 3, 192, 192), streams(0))
        return f.draw(streams(0))["tilt"][0]

    published = statistics(tilt_by_loops(192, 192, 500, 0))
    assert torch.allclose(statistics(ours()), published, rtol=0.1)
    assert ours().abs().max() <= 2.5
    monkeypatch.setattr(turbulence, "smooth", lambda noise: 0.28 * noise)
    assert not torch.allclose(statistics(ours()), published, rtol=0.1)


def test_a_tilt_of_another_size_is_explained():
    with pytest.raises(ValueError, match=r"a tilt map is \(B, 2, 20, 17\), not \(1, 2, 17, 20\)"):
        tilted(images(1, 3, 20, 17), torch.zeros(1, 2, 17, 20))


def test_smoothing_is_scipys():
    noise = streams(0).normal(2, 5, 12, 12, dtype=torch.float64)[0]
    at = np.arange(-3, 4)
    g = np.exp(-(at[:, None] ** 2 + at**2) / 2)
    expected = np.array([[signal.convolve2d(n, g / g.sum(), mode="same") for n in pair] for pair in noise])
    assert error(turbulence.smooth(noise), torch.from_numpy(expected)) < 1e-13


def test_nearest_odd():
    assert [blind.nearest_odd(v) for v in (0.2, 1, 2, 2.1, 3, 3.9, 4, 4.1, 86)] == [1, 1, 1, 3, 3, 3, 3, 5, 85]
