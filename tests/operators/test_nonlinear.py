"""Nonlinear image operators: an overexposed camera, blur through a camera's response, codecs, the blur network."""

import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision.io as tv
from PIL import Image
from scipy import ndimage

from sipbench import checkpoints
from sipbench.errors import UserError
from sipbench.operators import kernel_wizard
from sipbench.operators.jpeg import Jpeg, codec
from sipbench.operators.kernel_wizard import NonlinearBlur
from sipbench.operators.nonlinear import BlurResponse, HighDynamicRange
from sipbench.problem import Rng
from tests import listed


def stream(*images):
    return Rng.of(0, "t", images or [0]).portable


def pictures(b, c, h, w, smooth=2.0):
    """Smooth noise that spans [-1, 1] and is clipped there."""
    x = stream(*range(b)).normal(c, h, w, dtype=torch.float64).numpy()
    x = ndimage.gaussian_filter(x, (0, 0, smooth, smooth)) if smooth else x
    return torch.from_numpy(0.7 * x / x.std()).clamp(-1, 1)


def close(a, b, tolerance=1e-10):
    return float((a - b).detach().abs().max()) <= tolerance


class TestHighDynamicRange:
    def test_clips_twice_the_image(self):
        x = torch.tensor([-0.9, -0.5, -0.2, 0.0, 0.3, 0.5, 0.8]).view(1, 1, 1, 7)
        y = HighDynamicRange((1, 1, 1, 7), stream())(x)
        assert y.flatten().tolist() == pytest.approx([-1, -1, -0.4, 0, 0.6, 1, 1])


def response_by_numpy(x, kernel, gain, gamma):
    """R(s(g k * R^-1(x))) of one channel, with scipy's convolution and mirrored borders."""
    a = 0.055
    knee = a / (gamma - 1)
    toe = ((knee + a) / (1 + a)) ** gamma
    u = (x + 1) / 2
    light = np.where(u < knee, u * toe / knee, ((np.maximum(u, knee) + a) / (1 + a)) ** gamma)
    v = gain * ndimage.convolve(light, kernel, mode="mirror")
    v = v / np.sqrt(1 + v**2)
    return 2 * np.where(v < toe, v * knee / toe, (1 + a) * np.maximum(v, toe) ** (1 / gamma) - a) - 1


class TestBlurResponse:
    @pytest.mark.parametrize("gamma", [2.0, 2.4])
    def test_against_scipy_with_an_asymmetric_kernel(self, gamma):
        x = 1.2 * pictures(1, 3, 20, 17)
        kernel = torch.tensor([[0.5, 0.2, 0.0], [0.1, 0.1, 0.0], [0.1, 0.0, 0.0]], dtype=torch.float64)
        f = BlurResponse((1, 3, 20, 17), stream(), kernel=kernel[None, None], gain=1.7, gamma=gamma)
        expected = [response_by_numpy(c.numpy(), kernel.numpy(), 1.7, gamma) for c in x[0]]
        assert close(f(x)[0], torch.from_numpy(np.stack(expected)))
        turned = [response_by_numpy(c.numpy(), kernel.numpy()[::-1, ::-1], 1.7, gamma) for c in x[0]]
        assert not close(f(x)[0], torch.from_numpy(np.stack(turned)), 1e-2)
        straight = [ndimage.convolve(c.numpy(), kernel.numpy(), mode="mirror") for c in x[0]]
        assert not close(f(x)[0], torch.from_numpy(np.stack(straight)), 1e-2)

    @pytest.mark.parametrize("gamma", [1.8, 2.0, 2.2])
    def test_the_response_undoes_the_light_and_neither_has_a_kink(self, gamma):
        f = BlurResponse((1, 1, 8, 8), stream(), size=3, gamma=gamma)
        u = torch.linspace(-0.5, 1.5, 20001, dtype=torch.float64, requires_grad=True)
        assert close(f.response(f.light(u)), u)
        for curve in (f.light, f.response):
            (slope,) = torch.autograd.grad(curve(u).sum(), u)
            assert slope.isfinite().all() and (slope > 0).all()
        for curve, bend in ((f.light, f.knee), (f.response, f.knee / f.slope)):
            sides = torch.tensor([bend * (1 - 1e-9), bend * (1 + 1e-9)], dtype=torch.float64, requires_grad=True)
            (slope,) = torch.autograd.grad(curve(sides).sum(), sides)
            assert float(slope[0]) == pytest.approx(float(slope[1]), rel=1e-6)

    def test_white_saturates_and_black_keeps_a_gradient(self):
        f = BlurResponse((1, 1, 8, 8), stream(), size=3)

        def felt(value):
            x = torch.full((1, 1, 8, 8), value, dtype=torch.float64, requires_grad=True)
            y = f(x)
            return float(y.detach().max()), float(torch.autograd.grad(y.sum(), x)[0].mean())

        assert felt(-1.0)[0] == pytest.approx(-1)
        assert felt(1.0)[0] < felt(1.5)[0] < 1
        assert 0.05 < felt(1.0)[1] < 0.3 * felt(-0.5)[1]
        assert 1 < felt(-1.0)[1] < 10

    def test_gradient_where_the_formula_bends(self):
        x = 1.3 * pictures(2, 1, 8, 8, smooth=1.0)
        x[0, 0, 0] = -1.0  # zero light
        f = BlurResponse((2, 1, 8, 8), stream(0, 1), size=3, gamma=2.2)
        assert torch.autograd.gradcheck(f, (x.requires_grad_(),), eps=1e-6, atol=1e-5)

    def test_valid_borders_take_from_the_size(self):
        f = BlurResponse((1, 1, 24, 20), stream(), size=5, boundary="valid")
        y = f(pictures(1, 1, 24, 20))
        assert y.shape[-2:] == (20, 16)
        assert BlurResponse.unknown_shape(tuple(y.shape), size=5, boundary="valid", kernel="motion") == (1, 1, 24, 20)


def by_pillow(x, quality, subsampling):
    """Written and read with PIL, image by image."""
    out = []
    for image in ((x + 1) * 127.5).round().byte():
        file = io.BytesIO()
        array = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
        Image.fromarray(array).save(file, "JPEG", quality=quality, subsampling=subsampling)
        found = np.asarray(Image.open(file), dtype=np.float64)
        out.append(torch.from_numpy(found[None] if found.ndim == 2 else found.transpose(2, 0, 1)))
    return torch.stack(out) / 127.5 - 1


def levels_apart(a, b):
    """Mean absolute difference in 8-bit levels."""
    return float((a.double() - b.double()).abs().mean()) * 127.5


class TestJpeg:
    @pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
    @pytest.mark.parametrize("quality", [3, 10, 30, 50, 75, 95, 100])
    @pytest.mark.parametrize("size", [(64, 64), (33, 47), (40, 24), (17, 15), (9, 4), (8, 1)])
    def test_the_differentiable_codec_is_the_true_one(self, quality, subsampling, size):
        """In double precision within 0.01 of an 8-bit level on average (none was seen), in single within 0.02."""
        for c in (1, 3):
            for smooth in (0, 2.0):
                x = pictures(2, c, *size, smooth=smooth)
                f = Jpeg(x.shape, stream(0, 1), quality=quality, subsampling=subsampling)
                expected = by_pillow(x, quality, subsampling)
                assert close(f.measure(x), expected, 1e-12)
                assert levels_apart(f(x), expected) < 0.01
                assert levels_apart(f(x.float()), by_pillow(x.float(), quality, subsampling)) < 0.02

    def test_other_tables_or_sampling_are_seen(self):
        x = pictures(2, 3, 48, 48)
        expected = by_pillow(x, 30, "4:2:0")
        assert levels_apart(Jpeg(x.shape, stream(0, 1), quality=31)(x), expected) > 0.2
        assert levels_apart(Jpeg(x.shape, stream(0, 1), quality=30, subsampling="4:4:4")(x), expected) > 0.2
        nearest = Jpeg(x.shape, stream(0, 1), quality=30)
        nearest.tables[1] += 1
        assert levels_apart(nearest(x), expected) > 0.2

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.parametrize("quality", [10, 75])
    def test_torchvision_writes_the_same_file(self, quality):
        x = pictures(1, 3, 48, 64)
        pixels = ((x[0] + 1) * 127.5).round().byte()
        theirs = tv.decode_jpeg(tv.encode_jpeg(pixels, quality)).double() / 127.5 - 1
        assert levels_apart(codec(x, quality)[0], theirs) < 0.01

    @pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
    def test_the_gradient_goes_straight_through(self, subsampling):
        """The rounding left out, the codec keeps luma as it is; so does the gradient."""
        x = (0.3 * pictures(1, 3, 32, 32)).requires_grad_()
        f = Jpeg((1, 3, 32, 32), stream(), quality=20, subsampling=subsampling)
        toward = torch.from_numpy(ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(32, 32)), 1))
        weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
        luma = (f(x)[0] * weights[:, None, None]).sum(0)
        (gradient,) = torch.autograd.grad((luma * toward).sum(), x)
        assert close(gradient[0], weights[:, None, None] * toward, 1e-3)

    def test_what_is_clipped_is_not_felt(self):
        x = torch.full((1, 1, 8, 8), 0.2, dtype=torch.float64)
        x[..., :4] = 1.5
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(Jpeg((1, 1, 8, 8), stream(), quality=95)(x).sum(), x)
        assert not gradient[..., :4].any() and gradient[..., 4:].any()


def official_shapes():
    """The tensors of the published checkpoint that make a blur, by the names that its own code gives them."""
    shapes = {}

    def conv(name, out, into, size, bias=True):
        shapes[f"{name}.weight"] = (out, into, size, size)
        if bias:
            shapes[f"{name}.bias"] = (out,)

    for i, into in ((0, 3), (2, 64), (4, 64)):
        conv(f"feature_extractor.{i}", 64, into, 3)
    for trunk, first, count in (("feature_extractor", 6, 10), ("recon_trunk", 0, 20)):
        for i in range(first, first + count):
            conv(f"{trunk}.{i}.conv1", 64, 64, 3)
            conv(f"{trunk}.{i}.conv2", 64, 64, 3)
    for i, out in ((20, 256), (23, 256), (26, 64), (28, 3)):
        conv(f"recon_trunk.{i}", out, 64, 3)
    level = "adapter.model"
    for depth, (outer, inner) in enumerate(((64, 64), (64, 128), (128, 256), (256, 512), (512, 512))):
        conv(f"{level}.down.{min(depth, 1)}", inner, outer, 4, bias=False)
        shapes[f"{level}.up.1.weight"] = (2 * inner, outer, 4, 4)
        if depth == 0:
            shapes[f"{level}.up.1.bias"] = (outer,)
        level += ".submodule"
    return shapes


def official_state():
    """Random weights that keep pixels in range, and a part that only the encoder of blurs needs."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, shape in official_shapes().items():
        gain = 0.1 if "recon_trunk.28" in name else 0.5 if "conv2" in name else 1.4
        scale = 0.02 if len(shape) == 1 else gain / math.sqrt(math.prod(shape[1:]))
        state[name] = scale * torch.randn(shape, generator=generator)
    state["kernel_extractor.model.1.weight"] = torch.zeros(64, 128, 7, 7)
    return state


def blurred_by_hand(state, x, code, leak=0.1):
    """G(x, c) for one image in [0, 1], written out over the checkpoint's tensors."""
    s = {k: v.to(x) for k, v in state.items()}

    def conv(name, z, stride=1, padding=1):
        return F.conv2d(z, s[f"{name}.weight"], s.get(f"{name}.bias"), stride=stride, padding=padding)

    def residual(name, z):
        return z + conv(f"{name}.conv2", conv(f"{name}.conv1", z).relu())

    def level(name, z, depth):
        inside = conv(f"{name}.down.{min(depth, 1)}", F.leaky_relu(z, 0.2) if depth else z, stride=2)
        inside = torch.cat([inside, code], 1) if depth == 4 else level(f"{name}.submodule", inside, depth + 1)
        up = s[f"{name}.up.1.weight"]
        out = F.conv_transpose2d(inside.relu(), up, s.get(f"{name}.up.1.bias"), stride=2, padding=1)
        return torch.cat([out, z], 1) if depth else out.tanh()

    z = x
    for i, stride in ((0, 1), (2, 2), (4, 2)):
        z = F.leaky_relu(conv(f"feature_extractor.{i}", z, stride), leak)
    for i in range(6, 16):
        z = residual(f"feature_extractor.{i}", z)
    z = level("adapter.model", z, 0)
    for i in range(20):
        z = residual(f"recon_trunk.{i}", z)
    for i in (20, 23):
        z = F.leaky_relu(F.pixel_shuffle(conv(f"recon_trunk.{i}", z), 2), leak)
    return x + conv("recon_trunk.28", F.leaky_relu(conv("recon_trunk.26", z), leak))


@pytest.fixture(scope="module")
def state():
    return official_state()


@pytest.fixture(scope="module")
def weights(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    torch.save(state, folder / "GOPRO_wVAE.pth")
    yield folder
    kernel_wizard.generator.cache_clear()


class TestNonlinearBlur:
    def test_against_the_network_written_out(self, state, weights):
        x = pictures(1, 3, 128, 256)
        f = NonlinearBlur((1, 3, 128, 256), stream(), weights=weights)
        assert f.code.shape == (1, 512, 1, 2)
        expected = (2 * blurred_by_hand(state, (x + 1) / 2, f.code) - 1).clamp(-1, 1)
        y = f(x)
        assert close(y, expected)
        assert close(f(x.float()).double(), expected, 1e-4)
        assert not close(y, x, 0.05)
        wrong = (2 * blurred_by_hand(state, (x + 1) / 2, f.code, leak=0.2) - 1).clamp(-1, 1)
        assert not close(y, wrong, 1e-3)

    def test_small_images_are_mirrored(self, state, weights):
        x = pictures(1, 3, 64, 50)
        f = NonlinearBlur((1, 3, 64, 50), stream(), weights=weights)
        padded = np.pad(x.numpy(), ((0, 0), (0, 0), (32, 32), (39, 39)), mode="symmetric")
        out = blurred_by_hand(state, (torch.from_numpy(padded) + 1) / 2, f.code)
        assert close(f(x), (2 * out[..., 32:96, 39:89] - 1).clamp(-1, 1))

    def test_each_image_has_its_own_code_drawn_once(self, weights):
        x = pictures(1, 3, 64, 64).repeat(2, 1, 1, 1)
        f = NonlinearBlur((2, 3, 64, 64), stream(3, 5), weights=weights)
        y = f(x)
        assert torch.equal(f(x), y)
        assert not close(y[:1], y[1:], 1e-3)
        alone = NonlinearBlur((1, 3, 64, 64), stream(5), weights=weights)
        assert torch.equal(f.select(slice(1, 2))(x[1:]), y[1:])
        assert torch.equal(alone(x[1:]), y[1:])
        code = NonlinearBlur((40, 3, 256, 256), stream(*range(40)), weights=weights).code
        assert code.shape == (40, 512, 2, 2)
        assert float(code.std()) == pytest.approx(1.2, rel=0.01)

    def test_differentiable_in_x_and_in_range(self, weights):
        x = (0.5 * pictures(1, 3, 64, 64)).requires_grad_()
        f = NonlinearBlur((1, 3, 64, 64), stream(), weights=weights)
        toward, weight = stream(7, 8).normal(3, 64, 64, dtype=torch.float64).chunk(2)
        y = f(x)
        weight = weight * (y.detach().abs() < 0.99)
        (gradient,) = torch.autograd.grad((y * weight).sum(), x)
        with torch.no_grad():
            slope = ((f(x + 1e-7 * toward) - y) * weight).sum() / 1e-7
        assert float((gradient * toward).sum()) == pytest.approx(float(slope), rel=1e-3)
        wide = f(3 * x.detach())
        assert wide.min() == -1 and wide.max() == 1

    def test_the_network_is_frozen_and_shared(self, weights):
        f = NonlinearBlur((1, 3, 64, 64), stream(), weights=weights)
        assert not list(f.parameters())
        x = pictures(1, 3, 64, 64)
        before = f(x)
        f.double()
        assert torch.equal(f(x), before)
        assert f(x.float()).dtype == torch.float32

    def test_a_missing_checkpoint_says_what_to_do(self, tmp_path):
        with pytest.raises(UserError, match=r"missing checkpoint 'GOPRO_wVAE.pth'.*Looked in.*To get it") as caught:
            NonlinearBlur((1, 3, 64, 64), stream(), weights=tmp_path)
        assert str(tmp_path / "GOPRO_wVAE.pth") in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_listed_as_not_available_here_without_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr(checkpoints, "places", lambda name, weights: [tmp_path / name])
        assert listed.build("deblur_nonlinear", (1, 3, 64, 64), Rng.of(0, "t", [0])) is None

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda s: s.pop("adapter.model.submodule.down.1.weight"), "adapter.model.submodule.down.1.weight"),
            (lambda s: s.update({"extra.weight": torch.zeros(1)}), "extra.weight"),
            (lambda s: s.update({"recon_trunk.28.bias": torch.zeros(4)}), "recon_trunk.28.bias"),
            (lambda s: s.update({"epoch": 3}), "something else than the tensors"),
        ],
    )
    def test_a_checkpoint_that_does_not_fit_is_refused_by_name(self, state, tmp_path, change, says):
        spoilt = {k: v for k, v in state.items()}
        change(spoilt)
        torch.save(spoilt, tmp_path / "GOPRO_wVAE.pth")
        with pytest.raises(UserError, match=says):
            NonlinearBlur((1, 3, 64, 64), stream(), weights=tmp_path)

    @pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
    def test_a_corrupt_file_is_named(self, tmp_path, content):
        (tmp_path / "GOPRO_wVAE.pth").write_bytes(content)
        with pytest.raises(UserError, match="corrupt checkpoint .*GOPRO_wVAE.pth"):
            NonlinearBlur((1, 3, 64, 64), stream(), weights=tmp_path)
