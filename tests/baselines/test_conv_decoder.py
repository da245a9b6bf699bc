"""ConvDecoder against deepinv's, its scaling and its data consistency."""

from dataclasses import replace

import pytest
import torch
from deepinv.models import ConvDecoder as Reference

from baselines.single import conv_decoder as module
from baselines.single.conv_decoder import conv_decoder
from sipbench.datasets.faces import Faces
from sipbench.noise import Gaussian
from sipbench.operators.mri import MRI
from sipbench.problem import Problem, Rng
from tests.baselines.untrained import gain, part, pose, streams
from tests.parity import difference

SMALL = {"channels": 12, "layers": 4, "in_size": (4, 4)}


def pose_mri(n=2, size=32):
    """Faces as magnitudes, with a phase that rises from left to right."""
    rng = Rng.of(0, "t", range(n))
    magnitude = (Faces("validation", size).load(range(n)).double().mean(1, keepdim=True) + 1) / 2
    phase = torch.linspace(-1, 1, size, dtype=torch.float64)
    x = torch.cat([magnitude * phase.cos(), magnitude * phase.sin()], 1)
    f, noise = MRI(x.shape, rng.child("operator").portable, acceleration=2, centre_fraction=0.16), Gaussian(0.01)
    y = f(x) + 0.01 * f(f.T(rng.child("noise").normal_like(x)))
    return Problem(y, f, noise, tuple(x.shape), None, rng.child("solver")), x


def assert_is_deepinvs_network(network, z, settings):
    ours = [*(m for pair in zip(network.conv, network.norm, strict=True) for m in pair), network.head]
    for i in range(2):
        plain = Reference((2, 20, 17), channels=6, **settings).double()
        theirs = [m for m in plain.net if list(m.parameters())]
        for a, b in zip(theirs, ours, strict=True):
            a.weight.data, a.bias.data = b.weight.data[i], b.bias.data[i]
        torch.testing.assert_close(network(z)[i : i + 1], plain(z[i : i + 1]), rtol=0, atol=1e-12)


def assert_has_the_norm_of_the_zero_filled_image(scale):
    problem, _ = pose_mri()
    out = Rng.of(0, "t", [5, 6]).normal(2, 32, 32, dtype=torch.float64)
    scaled = scale(problem.f, out, problem.y) * out
    assert (scaled.flatten(1).norm(dim=1) / problem.f.T(problem.y).flatten(1).norm(dim=1) - 1).abs().max() < 1e-9
    assert (scaled / out).std((1, 2, 3)).max() < 1e-9


def witness(solve):
    from tests.parity.single import conv_decoder_and_public

    rng, settings = streams(), {"in_size": (3, 4), "layers": 4}
    network = part(solve, "ConvDecoder")(rng, 6, 2, (20, 17), dtype=torch.float64, **settings)
    assert_is_deepinvs_network(network, rng.uniform(6, 3, 4, dtype=torch.float64), settings)
    assert_has_the_norm_of_the_zero_filled_image(part(solve, "scale"))
    assert difference(*conv_decoder_and_public(solve)) < 1e-8
    assert gain(solve, pose(), iterations=100, **SMALL) > 5


@pytest.mark.parametrize(("consistent", "low", "high"), [(True, 0, 1e-12), (False, 1e-3, 1e3)])
def test_data_consistency_keeps_what_was_measured(consistent, low, high):
    problem, _ = pose_mri()
    x = conv_decoder(problem, iterations=20, **SMALL, sigmoid=False, data_consistency=consistent).x
    assert low <= (problem.f(x) - problem.y).abs().max() < high


def test_mri_beats_the_zero_filled_image():
    problem, x = pose_mri()
    x_hat = conv_decoder(problem, iterations=150, sigmoid=False, data_consistency=True, **SMALL).x
    error = [(v - x).norm() for v in (problem.f.T(problem.y), x_hat)]
    assert error[1] < 0.8 * error[0]


@pytest.mark.parametrize(
    ("size", "expected"), [((640, 368), [8, 4]), ((640, 320), [8, 4]), ((320, 320), [8, 8]), ((32, 96), [2, 8])]
)
def test_the_input_has_the_shape_of_the_image(monkeypatch, size, expected):
    """8 x 4 is published for knees of 640 x 368; for a square image it would squeeze one direction by two."""
    built = []
    monkeypatch.setattr(module, "ConvDecoder", lambda *a, in_size, **k: built.append(list(in_size)) or 1 / 0)
    problem, _ = pose(1)
    with pytest.raises(ZeroDivisionError):
        conv_decoder(replace(problem, shape=(1, 3, *size)))
    assert built == [expected]
