"""Double DIP: the shift it removes, the kernels it makes, and what it finds."""

import pytest
import torch

from baselines.common import shifts
from baselines.common.losses import l1_l2
from baselines.common.stopping import Stop
from baselines.single.double_dip import double_dip
from baselines.single.kernels import NETS, Kernel
from sipbench.metrics import kernel_similarity
from tests.baselines.blind import BOXED, gain, pose
from tests.baselines.untrained import part

SMALL = {"input_channels": 4, "channels": (8, 8, 8), "skip": (0, 4, 4)}
LAST = SMALL | {"lr": 0.01, "stop": Stop("fixed")}


def off(k, box=11):
    """A kernel of 3 x 3 in a box, some pixels off the middle."""
    out = torch.zeros(len(k), 1, box, box, dtype=k.dtype)
    for image, (down, right) in zip(out, ((2, -3), (-1, 4)), strict=True):
        top, left = box // 2 + down - 1, box // 2 + right - 1
        image[0, top : top + 3, left : left + 3] = k[0, 0]
    return out


def assert_centring_leaves_what_is_measured(centred):
    problem, x, _ = pose(40, size=11, dtype=torch.float64)
    k = off(torch.tensor([[1.0, 2, 1], [0, 3, 0], [1, 0, 2]], dtype=torch.float64).expand(2, 1, 3, 3) / 10)
    x_hat, k_hat = centred(x, k, 0.05)
    assert shifts.off_centre(k).tolist() == [[2, -3], [-1, 4]]
    assert shifts.off_centre(k_hat).tolist() == [[0, 0], [0, 0]]
    before, after = (problem.f(*pair) for pair in ((x, {"kernel": k}), (x_hat, {"kernel": k_hat})))
    assert (after - before).abs().max() < 1e-12
    assert (problem.f(x, {"kernel": k_hat}) - before).abs().max() > 1e-2


def witness(solve):
    """It finds the kernels of a straight motion in a box twice too large, and the image."""
    assert_centring_leaves_what_is_measured(part(solve, "centred"))
    problem, x, theta = pose(40, **BOXED)
    sizes = {"input_channels": 8, "channels": (16, 16), "skip": (0, 8), "stop": Stop("wmv", window=20)}
    found = solve(problem, iterations=80, **sizes)
    assert kernel_similarity(found.theta["kernel"], theta["kernel"]).mean() > 0.8
    assert gain(problem, x, found.x).mean() > -6


def test_the_floor_of_a_softmax_does_not_count():
    k = torch.full((1, 1, 9, 9), 0.001, dtype=torch.float64)
    k[..., 2, 3] = 1
    assert shifts.cut(k, 0.05)[..., 2, 3] == 1
    _, found = shifts.centred(torch.zeros(1, 1, 20, 20), k, 0.05)
    assert found[..., 4, 4] == 1 and found.sum() == 1


def test_the_middle_of_an_even_box_is_where_published_kernels_lie():
    problem, _, theta = pose(32, size=8, kernel="gaussian", boundary="zero")
    assert shifts.off_centre(theta["kernel"]).tolist() == [[0, 0]] * 2


@pytest.mark.parametrize("net", NETS)
def test_kernels_are_kernels(net):
    problem, *_ = pose(40, size=11)
    kernel = Kernel(problem, net, 7, torch.float32)
    k = kernel()
    assert k.shape == (2, 1, 11, 11) and (k >= 0).all()
    torch.testing.assert_close(k[..., 2:9, 2:9].sum((1, 2, 3)), torch.ones(2))
    assert not torch.equal(k[0], k[1]) or net == "siren"
    k[0].square().sum().backward()
    assert all(p.grad[0].any() and not p.grad[1].any() for p in kernel.parameters() if p.grad is not None)


def test_what_comes_back_is_centred_and_explains_y():
    problem, *_ = pose(40, size=11, dtype=torch.float64)
    found = double_dip(problem, iterations=40, **LAST)
    k = found.theta["kernel"]
    assert shifts.off_centre(k).abs().max() <= 1  # once more a pixel where the kernel ends at its box
    assert ((k == 0) | (k >= 0.05 * k.amax((-2, -1), keepdim=True) - 1e-12)).all()
    assert (problem.f(found.x, found.theta) - problem.y).square().mean() < 0.1


def test_the_rule_sees_centred_iterates():
    """Iterates that only drift along the symmetry do not vary."""
    seen = []

    def watched(like, rng):
        stopper = Stop("wmv", window=5, patience=10)(like, rng)
        update = stopper.update
        stopper.update = lambda k, x, *more, **rest: (
            seen.append((x, rest["theta"]["kernel"])),
            update(k, x, *more, **rest),
        )  # noqa: E501
        return stopper

    double_dip(pose(40, size=11)[0], iterations=3, stop=watched, **SMALL)
    assert len(seen) == 3
    for x, k in seen:
        again, same = shifts.centred(x, k, 0.05)
        assert torch.equal(again, x) or shifts.off_centre(k).abs().max() == 1
        assert same.shape == k.shape


def test_the_regulariser_is_of_the_image():
    problem, *_ = pose(40, size=9)
    rough, smooth = (double_dip(problem, iterations=30, lam=lam, **LAST).x for lam in (0.0, 1.0))
    assert (l1_l2(smooth) < l1_l2(rough)).all()


@pytest.mark.parametrize("net", NETS)
def test_an_image_in_a_batch_is_the_image_alone(net):
    """Rounding does not grow, as it does where a network's steps are as long as those of free logits."""
    problem, *_ = pose(40, size=11, dtype=torch.float64)
    settings = LAST | {"iterations": 20, "kernel": net}

    def apart(**rate):
        both, alone = (double_dip(p, **settings, **rate) for p in (problem, problem.select(slice(1))))
        return (both.x[:1] - alone.x).abs().max()

    assert apart() < 1e-10
    assert net != "siren" or apart(lr_kernel=0.1) > 1e-3
