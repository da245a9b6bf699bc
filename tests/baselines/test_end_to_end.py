"""What an end-to-end network is given, for each kind of forward map, and its one evaluation."""

import numpy as np
import pytest
import torch
from deepinv.models import DnCNN as Public

from baselines.datarich.dncnn import DnCNN
from baselines.datarich.end_to_end import as_image, end_to_end
from baselines.datarich.nafnet import NAFNet
from baselines.datarich.unet import UNet
from sipbench.operators.nonlinear import HighDynamicRange
from sipbench.operators.phase import FourierMagnitude
from sipbench.problem import Problem, Rng
from tests import listed
from tests.baselines.learned import OPERATORS, dense, gap, pose, solved
from tests.baselines.reference import pose_blind

NETWORKS = {"unet": UNet, "dncnn": DnCNN, "nafnet": NAFNet}


class Affine(torch.nn.Module):
    """3 v - 1, so that what went in is known."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(3.0, dtype=torch.float64), requires_grad=False)

    def forward(self, v):
        return self.weight * v - 1


def given(solve, problem, **options):
    return (solve(problem, net=Affine(), **options) + 1) / 3


def witness(solve):
    for name in OPERATORS:
        problem = pose(OPERATORS[name])
        inverse = solved(problem, lambda A, y: np.linalg.pinv(A, rcond=1e-6) @ y)
        assert gap(given(solve, problem, cutoff=0.0), inverse) < 1e-6
        assert gap(given(solve, problem, given="adjoint"), solved(problem, lambda A, y: A.T @ y)) < 1e-10
    problem = pose(OPERATORS["blur"])
    assert gap(given(solve, problem, given="y"), problem.y) < 1e-12
    problem = pose(OPERATORS["bicubic"])
    enlarged = torch.from_numpy(np.kron(problem.y.numpy(), np.ones((2, 2))))
    assert gap(given(solve, problem, given="y"), enlarged) < 1e-12
    nonlinear(solve)


def nonlinear(solve):
    problem = pose(HighDynamicRange)
    assert all(gap(given(solve, problem, given=g), problem.y) < 1e-12 for g in ("pinv", "adjoint", "y"))
    far, shape = pose(FourierMagnitude, shape=(1, 8, 8), sigma=0.0), (1, 8, 8)
    A = dense(far.f.lift, shape)
    field = A[:, 4 * 8 + 4]
    v = torch.from_numpy(np.real((far.y.flatten(1).numpy() * field / np.abs(field)) @ A.conj())).view(far.shape)
    assert gap(given(solve, far), v / v.abs().amax((1, 2, 3), keepdim=True)) < 1e-6
    blind, _, _ = pose_blind(side=8)
    assert gap(given(solve, blind), blind.y) < 1e-12


def test_what_it_is_given():
    witness(end_to_end)


@pytest.mark.parametrize("domain", ["signed", "unit"])
def test_of_intensities_in_the_far_field_it_is_given_the_autocorrelation(domain):
    options = {"sigma": 0.0, "measure": "intensity", "oversample": 8.0, "domain": domain}
    problem = pose(FourierMagnitude, shape=(1, 9, 9), **options)
    spectrum = np.fft.ifftshift(problem.y.numpy(), axes=(-2, -1))
    correlation = np.fft.fftshift(np.fft.ifft2(spectrum).real, axes=(-2, -1))
    middle = correlation.shape[-1] // 2
    wanted = torch.from_numpy(correlation[..., middle - 4 : middle + 5, middle - 4 : middle + 5])
    v = given(end_to_end, problem)
    assert (v.flatten(1).argmax(1) == 9 * 4 + 4).all()
    assert gap(v, wanted / wanted.abs().amax((1, 2, 3), keepdim=True)) < 1e-6


def test_a_blind_map_that_loses_its_border_is_continued():
    problem, _, _ = pose_blind(side=8, boundary="valid")
    v = given(end_to_end, problem)
    assert problem.y.shape[-2:] == (6, 6) and v.shape == problem.shape
    assert gap(v[..., 1:7, 1:7], problem.y) < 1e-12 and gap(v[..., 0, 1:7], problem.y[..., 0, :]) < 1e-12


def test_one_channel_stands_for_all():
    y = torch.rand(2, 1, 4, 4)
    assert gap(as_image(y, (2, 3, 4, 4)), y.expand(-1, 3, -1, -1)) == 0


@pytest.mark.parametrize("shape", [(2, 1, 60, 47), (2, 2, 8, 8), (2, 3, 64)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="is no image of shape.*fully_learned"):
        as_image(torch.zeros(shape), (2, 3, 8, 8))


@pytest.mark.parametrize("degradation", listed.DEGRADATIONS)
def test_there_is_something_to_give_for_every_degradation(degradation):
    shape = (1, listed.channels(degradation)[-1], 32, 32)
    f = listed.build(degradation, shape, Rng.of(0, "f", [0]))
    if f is None:
        pytest.skip("its checkpoint is not here")
    x, rng = Rng.of(0, "x", [0]).uniform(*shape[1:]), Rng.of(0, "theta", [0])
    y = f(x, f.draw(rng)) if f.blind else f(x)
    v = end_to_end(Problem(y, f, None, shape, None, rng), net=Affine().float())
    assert v.shape == shape and v.dtype == y.dtype and v.isfinite().all() and v.abs().max() > 0


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_network_starts_as_the_identity(network, channels):
    v = torch.rand(2, channels, 13, 11)
    with torch.no_grad():
        assert gap(network(channels, width=8)(v), v) < 1e-6


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_network_takes_odd_sides_and_no_image_feels_another(network):
    torch.manual_seed(0)
    net, v = network(3, width=8).double().requires_grad_(False), torch.rand(2, 3, 13, 11, dtype=torch.float64)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    assert net(v).shape == v.shape
    assert gap(net(v)[:1], net(v[:1])) < 1e-10
    assert gap(net(torch.stack([v[0], 10 * v[1]]))[:1], net(v[:1])) < 1e-10
    assert gap(net(v), v) > 1e-3
    whole = net(torch.nn.functional.pad(v, (0, 5, 0, 3), mode="replicate"))[..., :13, :11]
    assert network is DnCNN or gap(net(v), whole) < 1e-10


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_the_width_is_an_option_that_a_study_can_search(network):
    count = [sum(p.numel() for p in network(3, width=w).parameters()) for w in (8, 16, 32)]
    assert 2 < count[1] / count[0] < 5 and 2 < count[2] / count[1] < 5


def test_the_denoiser_of_deepinv_is_the_same_network():
    ours = DnCNN(3, width=6, depth=4).requires_grad_(False)
    torch.manual_seed(0)
    theirs = Public(3, 3, depth=4, nf=6, pretrained=None).requires_grad_(False)
    layers = [theirs.in_conv, *theirs.conv_list, theirs.out_conv]
    for layer, own in zip(layers, ours.model[::2], strict=True):
        own.load_state_dict(layer.state_dict())
    x = torch.rand(2, 3, 9, 7) * 2 - 1
    noise = theirs((x + 1) / 2) - (x + 1) / 2  # deepinv adds what the network returns
    assert gap(ours(x), x - 2 * noise) < 1e-6
