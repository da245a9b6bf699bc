"""Spectral bias control: bounded convolutions, the network written out, and the stop by blur over sharpness."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import convolve2d

from baselines.common.stopping import Stopper
from baselines.single import ratio
from baselines.single.ratio import Ratio, blurriness, sharpness
from baselines.single.spectral_dip import Decoder, Lipschitz, spectral_dip
from sipbench.datasets.faces import Faces
from sipbench.problem import Rng
from tests.baselines.untrained import conv, gain, part, pose, streams

SMALL = {"input_channels": 8, "channels": (8, 8, 8)}


def weights():
    """A large and a small one."""
    W = Rng.of(0, "w", [0, 1]).normal(6, 4, 3, 3, dtype=torch.float64)
    return W * torch.tensor([1.0, 0.02]).view(2, 1, 1, 1, 1)


def norms(W):
    return torch.linalg.matrix_norm(W.flatten(2), ord=2)


def assert_bounds_large_norms_and_leaves_small_ones(bound, tolerance):
    for _ in range(20):
        W = bound(weights())
    large, small = norms(W)
    assert abs(large - 1.4) < tolerance
    assert abs(small - norms(weights())[1]) < 1e-12


def assert_is_the_plain_network(make, bound):
    rng = streams()
    network = make(rng, 4, 3, (16, 24), channels=(6, 6, 6), ln_lambda=bound, dtype=torch.float64)
    z = rng.normal(4, 2, 3, dtype=torch.float64)
    for i in range(2):
        x = z[i : i + 1]
        for j, scale in enumerate(network.scales):
            x = F.interpolate(x, scale_factor=2, mode="bilinear") if j else x
            for layer, centred in ((scale[0], scale[1]), (scale[3], scale[4])):
                raw = layer.parametrizations.weight.original[i]
                W = raw / max(1, torch.linalg.svdvals(raw.flatten(1))[0] / bound)
                x = F.conv2d(F.pad(x, [1] * 4, "reflect"), W, layer.bias[i])
                x = F.leaky_relu(x - x.flatten(2).mean(2)[..., None, None] + centred.bias[i], 0.01)
        torch.testing.assert_close(network(z)[i : i + 1], conv(network.head, x, i).sigmoid(), rtol=0, atol=1e-10)


def test_an_odd_number_of_inputs_is_refused():
    with pytest.raises(ValueError, match="input_channels is even, not 7"):
        spectral_dip(pose()[0], **SMALL | {"input_channels": 7})


def witness(solve):
    for power, tolerance in ((0, 1e-10), (3, 1e-3)):
        assert_bounds_large_norms_and_leaves_small_ones(part(solve, "Lipschitz")(1.4, power), tolerance)
    for bound in (0.3, 1.4):
        assert_is_the_plain_network(part(solve, "Decoder"), bound)
    assert gain(solve, pose(), iterations=120, lr=0.01, **SMALL) > 5


def test_the_norm_is_a_constant_in_the_gradient():
    W = weights().requires_grad_()
    Lipschitz(1.4)(W).sum().backward()
    expected = (1.4 / norms(W)).clamp(max=1).view(2, 1, 1, 1, 1).expand_as(W)
    torch.testing.assert_close(W.grad, expected, rtol=1e-9, atol=0)


def test_initial_weights_are_hes():
    raw = Decoder(streams(1), 32, 3, (8, 8), channels=(64,)).scales[1][0].parametrizations.weight.original
    assert abs(raw.std() / (2 / (64 * 9)) ** 0.5 - 1) < 0.02
    assert 0.99 < raw.abs().max() / (6 / (64 * 9)) ** 0.5 <= 1


def test_the_input_is_fourier_features(monkeypatch):
    fed, forward = [], Decoder.forward
    monkeypatch.setattr(Decoder, "forward", lambda self, z: fed.append(z) or forward(self, z))
    spectral_dip(pose()[0], iterations=1, **SMALL)
    sin, cos = fed[0].chunk(2, 1)
    assert fed[0].shape == (2, 8, 4, 4)
    torch.testing.assert_close(sin**2 + cos**2, torch.ones_like(sin))


@pytest.mark.parametrize("upsample", ["bilinear", "nearest", "gaussian"])
@pytest.mark.parametrize("size", [(16, 16), (21, 14)])
def test_any_size_and_upsampling_passes(size, upsample):
    network = Decoder(streams(1), 4, 1, size, channels=(4, 4), upsample=upsample)
    assert network(torch.ones(1, 4, *network.sizes[0])).shape == (1, 1, *size)


def test_gaussian_upsampling_spreads_a_point():
    network = Decoder(streams(1), 4, 1, (64, 64), channels=(4,) * 5, upsample="gaussian")
    point = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    point[..., 2, 2] = 1
    out = [network._up(point, i)[0, 0] for i in (1, 4)]
    assert out[0].argmax() == 4 * 8 + 4 and out[0].max() > 0.999
    t = np.exp(-((np.arange(5) - 2) ** 2) / 2)
    np.testing.assert_allclose(out[1][2:7, 2:7], np.outer(t, t) / t.sum() ** 2, atol=1e-12)


def numpy_blur(u):
    """Crete's measure, after its definition: the gradients that a box blur takes away."""
    m, n = u.shape
    ratios = []
    for axis in (1, 0):
        box, step = np.full((1, 9), 1 / 9), np.array([[1, -1]])
        box, step = (box, step) if axis else (box.T, step.T)
        soft = convolve2d(u, box, "same")[5 : m - 4, 5 : n - 4]
        F_, B = (abs(convolve2d(v, step, "same"))[1:-1, 1:-1] for v in (u[5 : m - 4, 5 : n - 4], soft))
        V = np.maximum(F_ - B, 0)
        ratios.append((F_.sum() - V.sum()) / F_.sum())
    return max(ratios)


def numpy_sharpness(u):
    c = u[2:-1, 2:-1]
    p = np.pad(c, 1, constant_values=-np.inf)
    m, n = c.shape
    around = [p[i : i + m, j : j + n] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    rises = np.sort((np.max(around, 0) - c).ravel())[::-1]
    weighted = [np.exp(-0.01 * rank) * rises[rank] for rank in range(2, 1000)]
    return np.sqrt(np.mean(np.square(weighted + [np.exp(-10) * rises[1000]])))


def test_blur_and_sharpness_are_their_definitions():
    x = Faces("validation", 48).load(range(2)).double()
    for i, u in enumerate((x + 1) / 2):
        u = (0.2989 * u[0] + 0.5870 * u[1] + 0.1140 * u[2]).numpy()
        assert abs(blurriness(x)[i] - numpy_blur(u)) < 1e-12
        assert abs(sharpness(x)[i] - numpy_sharpness(u)) < 1e-9
    soft = F.avg_pool2d(x, 5, 1, 2)
    assert (blurriness(soft) > blurriness(x)).all() and (sharpness(soft) < sharpness(x)).all()


def test_the_ratio_stops_each_image_by_itself(monkeypatch):
    """The ratio is read off the image: the first falls until k = 30, the second until k = 60."""
    monkeypatch.setattr(ratio, "blurriness", lambda x: x[:, 0, 0, 0])
    monkeypatch.setattr(ratio, "sharpness", lambda x: torch.ones(len(x)))
    stopper = Stopper(Ratio(5, 0.01), torch.zeros(2, 1, 1, 1), 1)
    for k in range(90):
        stopper.update(k, torch.tensor([max(0, 30 - k), max(0, 60 - k)]).view(2, 1, 1, 1) / 10)
    assert stopper.stopped.tolist() == [39, 69]
    assert stopper.done
