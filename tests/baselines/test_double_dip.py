"""Double DIP: the shift it removes, the kernels it makes, and a batch that is nothing but its images."""

import inspect

import pytest
import torch

from baselines.common import shifts
from baselines.common.losses import l1_l2
from baselines.single import double_dip as module
from baselines.single.double_dip import double_dip
from baselines.single.kernels import NETS, Kernel
from sipbench.metrics import kernel_similarity
from tests.baselines.blind import gain, pose

SMALL = {"input_channels": 4, "channels": (8, 8, 8), "skip": (0, 4, 4), "window": 5, "patience": 10}


def off(k, box=11):
    """A kernel of 3 x 3 in a box, some pixels off the middle."""
    out = torch.zeros(len(k), 1, box, box, dtype=k.dtype)
    for image, (down, right) in zip(out, ((2, -3), (-1, 4)), strict=True):
        top, left = box // 2 + down - 1, box // 2 + right - 1
        image[0, top : top + 3, left : left + 3] = k[0, 0]
    return out


def test_centring_leaves_what_is_measured(centred=shifts.centred):
    problem, x, _ = pose(40, size=11, dtype=torch.float64)
    k = off(torch.tensor([[1.0, 2, 1], [0, 3, 0], [1, 0, 2]], dtype=torch.float64).expand(2, 1, 3, 3) / 10)
    x_hat, k_hat = centred(x, k, 0.05)
    assert shifts.off_centre(k).tolist() == [[2, -3], [-1, 4]]
    assert shifts.off_centre(k_hat).tolist() == [[0, 0], [0, 0]]
    before, after = (problem.f(*pair) for pair in ((x, {"kernel": k}), (x_hat, {"kernel": k_hat})))
    assert (after - before).abs().max() < 1e-12
    assert (problem.f(x, {"kernel": k_hat}) - before).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("moved(x, by,", "moved(x, -by,"), ("moved(k, -by,", "moved(k, by,"), ("- by[:, axis,", "+ by[:, axis,")],
)
def test_a_broken_centring_is_seen(right, wrong):
    source = inspect.getsource(shifts)
    assert right in source
    broken = {"__name__": shifts.__name__}
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken)
    with pytest.raises(AssertionError):
        test_centring_leaves_what_is_measured(broken["centred"])


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


@pytest.mark.parametrize("options", [{"size": 9}, {"size": 8, "boundary": "zero"}])
@pytest.mark.parametrize("kernel", ["mlp", "free"])
def test_a_batch_is_its_images_one_by_one(kernel, options):
    problem, *_ = pose(33, n=3, dtype=torch.float64, **options)
    settings = SMALL | {"iterations": 6 if kernel == "mlp" else 20, "window": 3, "kernel": kernel}
    together = double_dip(problem, **settings)
    alone = [double_dip(problem.select(slice(i, i + 1)), **settings) for i in range(3)]
    assert (torch.cat([e.x for e in alone]) - together.x).abs().max() < 1e-8
    assert (torch.cat([e.theta["kernel"] for e in alone]) - together.theta["kernel"]).abs().max() < 1e-8


def test_what_comes_back_is_centred_and_explains_y():
    problem, *_ = pose(40, size=11, dtype=torch.float64)
    found = double_dip(problem, iterations=40, stopping="fixed", lr=0.01, **SMALL)
    k = found.theta["kernel"]
    assert shifts.off_centre(k).abs().max() <= 1  # once more a pixel where the kernel ends at its box
    assert ((k == 0) | (k >= 0.05 * k.amax((-2, -1), keepdim=True) - 1e-12)).all()
    assert (problem.f(found.x, found.theta) - problem.y).square().mean() < 0.1


def test_the_rule_sees_centred_iterates(monkeypatch):
    """Iterates that only drift along the symmetry do not vary."""
    seen = []
    make = module.make_stopper

    def watched(*args, **kwargs):
        stopper = make(*args, **kwargs)
        update = stopper.update

        def look(k, x, *more, **rest):
            seen.append((x, rest["theta"]["kernel"]))
            return update(k, x, *more, **rest)

        stopper.update = look
        return stopper

    monkeypatch.setattr(module, "make_stopper", watched)
    problem, *_ = pose(40, size=11)
    double_dip(problem, iterations=3, **SMALL)
    assert len(seen) == 3
    for x, k in seen:
        again, same = shifts.centred(x, k, 0.05)
        assert torch.equal(again, x) or shifts.off_centre(k).abs().max() == 1
        assert same.shape == k.shape


def test_the_regulariser_is_of_the_image():
    problem, *_ = pose(40, size=9)
    rough, smooth = (
        double_dip(problem, iterations=30, lam=lam, stopping="fixed", lr=0.01, **SMALL).x for lam in (0.0, 1.0)
    )
    assert (l1_l2(smooth) < l1_l2(rough)).all()


def quality(**settings):
    """The kernels of a straight motion in a box twice too large, found and true; and the gain in dB."""
    problem, x, theta = pose(40, of="blocks", size=13, support=[0.5, 0.5], kernel="motion", intensity=0.0)
    sizes = {"channels": (16, 16), "skip": (0, 8), "iterations": 150, "window": 20}
    found = double_dip(problem, **(sizes | settings))
    return kernel_similarity(found.theta["kernel"], theta["kernel"]).mean(), gain(problem, x, found.x).mean()


def test_kernels_are_found_in_a_box_twice_too_large():
    alike, better = quality()
    assert alike > 0.8 and better > -6


def test_a_kernel_that_is_not_learned_would_be_seen():
    alike, better = quality(lr_kernel=1e-6, iterations=40)
    assert alike < 0.65 and better < -10
