"""A fundamental domain: every element of an orbit has one representative there, which is one of the orbit."""

import pytest
import torch

from sipbench.operators import breaking
from sipbench.operators.breaking import break_symmetry
from sipbench.operators.symmetries import SYMMETRIES, phases
from sipbench.problem import Rng
from tests.operators import variants
from tests.operators.test_phase import build

GROUPS = sorted(
    {build(kind)[0].symmetries for kind in variants.PHASE} | {("shift", "flip"), ("conjugate_flip", "shift")}
)
SIZES = [(8, 8), (9, 7), (6, 11)]


def pose(group, h=8, w=8, b=4):
    channels = 2 if {"phase", "conjugate_flip"} & set(group) else 3
    return Rng.of(0, "breaking", range(b)).normal(channels, h, w, dtype=torch.float64)


def moved(x, group, draw):
    """x under a random word of the group."""
    rng = Rng.of(draw, "element", range(len(x)))
    for k in range(2):
        for name in group:
            if float(rng.child(f"{k}/{name}").uniform(1)[0]) < 0.7:
                x = SYMMETRIES[name](x, rng.child(f"{k}/by/{name}"))
    return x


def one_representative(broken):
    """Raises where an orbit has two representatives."""
    for group in GROUPS:
        for h, w in SIZES:
            x = pose(group, h, w)
            first = broken(x, group)
            assert torch.allclose(broken(first, group), first, atol=1e-12), group
            for draw in range(4):
                assert torch.allclose(broken(moved(x, group, draw), group), first, atol=1e-12), (group, h, w)


def test_all_of_an_orbit_have_one_representative_which_is_its_own():
    one_representative(break_symmetry)


@pytest.mark.parametrize("kind", variants.PHASE)
def test_the_representative_is_measured_alike(kind):
    f, x = build(kind)
    broken = break_symmetry(x, f.symmetries)
    assert torch.allclose(f(broken), f(x), atol=1e-12) and not torch.equal(broken, x)


def test_an_image_does_not_feel_its_batch():
    for group in GROUPS:
        x = pose(group)
        alone = torch.cat([break_symmetry(one, group) for one in x.split(1)])
        assert torch.allclose(alone, break_symmetry(x, group), atol=1e-12)


def test_signs_go_by_the_last_coordinate_and_phases_by_the_first():
    x = torch.tensor([[1.0, -2.0, -3.0], [-1.0, 2.0, 3.0], [1.0, -2.0, 0.0]]).view(3, 1, 1, 3)
    assert break_symmetry(x, ("sign",)).flatten(1).tolist() == [[-1, 2, 3], [-1, 2, 3], [-1, 2, 0]]
    u = break_symmetry(pose(("phase",)), ("phase",))[:, :, 0, 0]
    assert (u[:, 0] > 0).all() and u[:, 1].abs().max() < 1e-12


def test_far_fields_go_by_the_sum_and_the_middle():
    x = torch.zeros(1, 2, 16, 16)
    x[0, 1, 3:6, 1:4] = -1.0
    broken = break_symmetry(x, ("phase", "shift", "conjugate_flip"))
    assert broken[0, 0, 7:10, 7:10].min() > 1 - 1e-6 and abs(float(broken.abs().sum()) - 9) < 1e-5


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("n", [8, 9])
def test_what_is_even_has_one_representative_too(n, size):
    """Its centre lies half way between two pixels, where rounding hangs on the last bits."""
    x = torch.zeros(1, 1, n, n)
    x[..., :size, :size] = 1
    orbit = torch.cat([x.roll((i, j), (-2, -1)) for i in range(n) for j in range(n)])
    assert len(break_symmetry(orbit, ("shift", "flip")).unique(dim=0)) == 1


def test_nothing_is_moved_where_there_is_nothing_to_break():
    x = pose(("sign",))
    assert torch.equal(break_symmetry(x, ()), x)
    assert torch.equal(break_symmetry(0 * x, ("sign", "flip", "shift")), 0 * x)
    with pytest.raises(ValueError, match="no fundamental domain is known of bounded_shift"):
        break_symmetry(x, ("bounded_shift",))


WRONG = {
    "the largest coordinate": ("_first", lambda u: u.gather(1, u.real.argmax(1, keepdim=True))[:, 0]),
    "a lean that forgets the phase": ("_lean", lambda u: u.real.sum((1, 2, 3))),
    "not centred": ("_centred", lambda x, symmetries: x),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_broken_breaking_is_seen(monkeypatch, wrong):
    monkeypatch.setattr(breaking, *WRONG[wrong])
    with pytest.raises(AssertionError):
        one_representative(break_symmetry)


def test_each_stacked_complex_image_has_a_representative_of_its_own():
    """Its first coordinate is real and positive; each channel is turned by itself."""
    x = Rng.of(0, "stacked", [0, 1]).normal(6, 2, 5, dtype=torch.float64)
    first = break_symmetry(x, ("phases",))
    for draw in range(3):
        turned = phases(x, Rng.of(draw, "g", [0, 1]))
        assert (turned - x).flatten(2).norm(dim=2).min() > 1e-3
        assert torch.allclose(break_symmetry(turned, ("phases",)), first, atol=1e-12)
    real, imaginary = first.unbind(2)
    assert (real[..., 0] > 0).all() and imaginary[..., 0].abs().max() < 1e-12
    f = variants.build(variants.STACKED, tuple(x.shape), Rng.of(0, "f", [0, 1]))
    assert torch.allclose(f(first), f(x), atol=1e-12)
