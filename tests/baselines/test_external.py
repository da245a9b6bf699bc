"""Networks made elsewhere: their frame is checked on networks whose answer is known."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from baselines.datarich.external import external
from sipbench.operators.colour import Denoise
from sipbench.operators.sampling import AveragePooling
from sipbench.problem import Problem
from tests.baselines.posed import blur, motion, pose

SIDE = 24


class Net(nn.Module):
    """A function as a network, which remembers what it was given."""

    def __init__(self, function=lambda v: v, **facts):
        super().__init__()
        self.function, self.seen = function, []
        self.__dict__.update(facts)

    def forward(self, v):
        self.seen.append(v)
        return self.function(v)


def problem(make=Denoise, channels=3, size=SIDE):
    """Within [-1, 1], so that clipping changes nothing."""
    posed = pose(make, channels=channels, size=size, sigma=0.02)
    return Problem(posed.y.clamp(-1, 1), *[getattr(posed, n) for n in ("f", "noise", "shape", "prior", "rng")])


def gains(v):
    """Another gain for each channel."""
    return v * torch.tensor([0.5, 0.25, 0.125], dtype=v.dtype).view(1, 3, 1, 1)


def near(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


def witness(solve):
    """The frame comes off as it was put on: range, order, padding and tiles."""
    posed = problem()
    y = posed.y
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 255.0)):
        net = Net()
        near(solve(posed, net=net, range=(low, high)), y)
        near(net.seen[0], (y + 1) / 2 * (high - low) + low)
    rgb, bgr = (solve(posed, net=Net(gains), range=(-1.0, 1.0), order=order) for order in ("rgb", "bgr"))
    near(rgb, gains(y))
    near(bgr, gains(y.flip(1)).flip(1))
    alone = Net()
    near(solve(posed, net=alone, order="grey"), y)
    assert alone.seen[0].shape == (6, 1, SIDE, SIDE)
    for padding, corner in (
        ("reflect", y[..., -9, -9]),
        ("edge", y[..., -1, -1]),
        ("zero", torch.zeros(2, 3).double()),
    ):
        net = Net()
        near(solve(posed, net=net, range=(-1.0, 1.0), multiple=32, padding=padding), y)
        near(net.seen[0][..., :SIDE, :SIDE], y)
        near(net.seen[0][..., -1, -1], corner)
        assert net.seen[0].shape[-2:] == (32, 32)
    whole = solve(posed, net=Net(box))
    for tile, overlap in ((16, 4), (10, 4), (13, 5), (24, 4)):
        net = Net(box)
        near(solve(posed, net=net, tile=tile, overlap=overlap), whole)
        assert max(v.shape[-1] for v in net.seen) <= tile
    assert (solve(posed, net=Net(box), tile=16, overlap=0) - whole).abs().max() > 1e-3
    inner = problem(motion)
    near(solve(inner, net=Net(), given="pinv", cutoff=0.0), inner.f.pinv(inner.y).clamp(-1, 1))
    for i in range(2):
        f = inner.f.select(slice(i, i + 1))
        expected = f.T(inner.y[i : i + 1]) / f.norm**2
        near(solve(inner, net=Net(), given="adjoint")[i : i + 1], expected.clamp(-1, 1))
    near(solve(posed, net=Net(lambda v: 9 * v), range=(-1.0, 1.0)), (9 * y).clamp(-1, 1))


def box(v):
    """A mean over 5 x 5 pixels, whose reach is 2."""
    return F.avg_pool2d(F.pad(v, (2, 2, 2, 2), "replicate"), 5, stride=1)


def test_the_frame_comes_off_as_it_was_put_on():
    witness(external)


def test_the_file_says_what_sides_it_takes_unless_the_config_does():
    posed = problem(size=20)
    for facts, options, sides in (
        ({"multiple": 16}, {}, (32, 32)),
        ({"multiple": 16}, {"multiple": 5}, (20, 20)),
        ({"minimum": 48}, {}, (48, 48)),
        ({"minimum": 48}, {"minimum": 30, "multiple": 4}, (32, 32)),
        ({"multiple": 8}, {"extra": True}, (24, 24)),
        ({"multiple": 4}, {"extra": True}, (24, 24)),
    ):
        net = Net(**facts)
        near(external(posed, net=net, **options), posed.y)
        assert net.seen[0].shape[-2:] == sides


def test_a_network_for_squares_sees_squares():
    posed = problem()
    tall = Problem(posed.y[..., :16], posed.f, None, (2, 3, SIDE, 16), posed.prior, posed.rng)
    net = Net(square=True)
    near(external(tall, net=net), tall.y)
    assert net.seen[0].shape[-2:] == (SIDE, SIDE)


def test_padding_far_beyond_the_image_reflects_and_then_keeps_the_edge():
    posed = problem(size=6)
    net = Net()
    near(external(posed, net=net, range=(-1.0, 1.0), multiple=16), posed.y)
    near(net.seen[0][..., 0, 6:11], posed.y[..., 0, :5].flip(-1))
    near(net.seen[0][..., 0, 11:], posed.y[..., 0, :1].expand(-1, -1, 5))


def test_channels():
    grey, colour = problem(channels=1), problem()
    net = Net(gains, channels=3)
    near(external(grey, net=net, range=(-1.0, 1.0)), grey.y * 0.875 / 3)
    one = Net(channels=1)
    near(external(colour, net=one), colour.y)
    assert one.seen[0].shape[:2] == (6, 1)
    with pytest.raises(ValueError, match="takes 4 channels, and the images have 3"):
        external(colour, net=Net(channels=4))
    with pytest.raises(ValueError, match=r"the network made \(1, 24, 24\) of \(3, 24, 24\)"):
        external(colour, net=Net(lambda v: v[:, :1]))


def test_a_network_that_enlarges_is_given_the_small_image():
    def make(shape, rng):
        return AveragePooling(shape, rng, factor=4)

    posed = problem(make)

    def enlarge(v):
        return F.interpolate(v, scale_factor=4, mode="nearest")

    expected = enlarge(posed.y)
    for options in ({"net": Net(enlarge, scale=4)}, {"net": Net(enlarge), "scale": 4}):
        near(external(posed, **options), expected)
    near(external(posed, net=Net(enlarge, scale=4, multiple=4), tile=4, overlap=2), expected)
    middle = external(posed, net=Net(lambda v: F.interpolate(v, scale_factor=2, mode="nearest"), scale=2))
    bicubic = F.interpolate(posed.y, (12, 12), mode="bicubic", antialias=True)
    near(middle, F.interpolate(bicubic, scale_factor=2, mode="nearest").clamp(-1, 1))


def test_a_tile_that_is_all_overlap_is_refused():
    with pytest.raises(ValueError, match="tiles of 8 cannot overlap by 8"):
        external(problem(), net=Net(), tile=8, overlap=8)


def test_images_of_a_batch_do_not_feel_each_other():
    posed = problem(blur())
    both = external(posed, net=Net(box), tile=16, overlap=4, given="adjoint")
    for i in range(2):
        near(
            external(posed.select(slice(i, i + 1)), net=Net(box), tile=16, overlap=4, given="adjoint"), both[i : i + 1]
        )
