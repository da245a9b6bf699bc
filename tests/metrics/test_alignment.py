"""Alignment over declared symmetries: invariant under all of them, exact, and blind to nothing else."""

from itertools import combinations

import pytest
import torch

from sipbench.metrics import evaluate, psnr, psnr_aligned
from sipbench.metrics.alignment import align, point_error, relative_error, relative_error_db
from sipbench.metrics.shifts import inside
from sipbench.operators.symmetries import SYMMETRIES, phases
from sipbench.problem import Rng

NAMES = tuple(SYMMETRIES)
ALL = [c for n in range(1, len(NAMES) + 1) for c in combinations(NAMES, n)]
COMPLEX = {"phase", "conjugate_flip"}


def images(channels=2, h=12, w=9, b=3, seed=0):
    return Rng.of(seed, "alignment", range(b)).normal(channels, h, w, dtype=torch.float64)


def move(x, symmetries, seed=0):
    """Every symmetry in turn, and once more the other way round."""
    for k, name in enumerate([*symmetries, *reversed(symmetries)]):
        x = SYMMETRIES[name](x, Rng.of(seed, f"g{k}", range(len(x))))
    return x


def same(a, b, tolerance):
    return float((a - b).abs().max()) <= tolerance


@pytest.mark.parametrize("symmetries", ALL, ids="-".join)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_combination_is_undone(symmetries, dtype):
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for channels in (2,) if COMPLEX & set(symmetries) else (1, 2, 3):
        for h, w in ((12, 9), (8, 8), (1, 5)):
            x = images(channels, h, w).to(dtype)
            for seed in range(2):
                moved = move(x, symmetries, seed)
                aligned = align(moved, x, symmetries)
                assert aligned.dtype == dtype
                assert same(aligned, x, tolerance)
                assert relative_error(moved, x, symmetries).max() < tolerance


@pytest.mark.parametrize("symmetries", ALL, ids="-".join)
def test_the_error_of_an_estimate_does_not_depend_on_its_element(symmetries):
    """For estimates near and far, and for truths that are moved as well."""
    x = images()
    for noise in (0.1, 1.0, 3.0):
        x_hat = x + noise * images(seed=1)
        error = relative_error(x_hat, x, symmetries)
        assert same(relative_error(move(x_hat, symmetries), x, symmetries), error, 1e-12)
        assert same(relative_error(x_hat, move(x, symmetries, 5), symmetries), error, 1e-12)


@pytest.mark.parametrize("symmetries", [c for c in ALL if "phase" not in c], ids="-".join)
def test_nothing_in_the_group_is_nearer(symmetries):
    """By brute force over every shift, flip and sign."""
    x, x_hat = images(2, 4, 3), images(2, 4, 3, seed=1)
    shifts = [(i, j) for i in range(4) for j in range(3)] if "shift" in symmetries else [(0, 0)]
    conjugate = x.new_tensor([1, -1]).view(1, 2, 1, 1)
    forms = [x_hat]
    if "flip" in symmetries:
        forms += [v.flip(-2, -1) for v in forms]
    if "conjugate_flip" in symmetries:
        forms += [v.flip(-2, -1) * conjugate for v in forms]
    if "sign" in symmetries:
        forms += [-v for v in forms]
    errors = [(v.roll(s, (-2, -1)) - x).flatten(1).norm(dim=1) for v in forms for s in shifts]
    nearest = torch.stack(errors).amin(0) / x.flatten(1).norm(dim=1)
    assert same(relative_error(x_hat, x, symmetries), nearest, 1e-12)


def test_no_phase_is_nearer():
    x, x_hat = images(), images(seed=1)
    error = relative_error(x_hat, x, ("phase",))
    for theta in torch.linspace(0, 2 * torch.pi, 1000, dtype=torch.float64):
        turned = torch.stack([theta.cos() * x_hat[:, 0] - theta.sin() * x_hat[:, 1],
                              theta.sin() * x_hat[:, 0] + theta.cos() * x_hat[:, 1]], 1)  # fmt: skip
        assert (relative_error(turned, x) >= error - 1e-12).all()


@pytest.mark.parametrize("declared", NAMES)
@pytest.mark.parametrize("applied", NAMES)
def test_what_is_not_declared_is_an_error(declared, applied):
    x = images()
    error = relative_error(SYMMETRIES[applied](x, Rng.of(0, "g", range(3))), x, (declared,))
    inside = applied == declared or (applied, declared) == ("sign", "phase")
    assert (error.max() < 1e-12) if inside else (error.min() > 0.1)


def test_a_wrong_alignment_is_seen():
    """One pixel aside, a phase of a tenth, or another scale."""
    x = images()
    right = align(move(x, ("shift", "phase")), x, ("shift", "phase"))
    assert relative_error(right, x).max() < 1e-12
    assert relative_error(right.roll(1, -1), x).min() > 0.5
    assert relative_error(right.roll(1, -1), x, ("phase", "conjugate_flip")).min() > 0.5
    assert relative_error(1.1 * right, x, ("shift", "phase", "conjugate_flip")).min() > 0.0999


def test_without_symmetries_it_is_the_estimate_itself():
    x, x_hat = images(3), images(3, seed=1)
    assert align(x_hat, x, ()) is x_hat
    assert same(relative_error(x_hat, x), (x_hat - x).flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1), 1e-15)
    assert same(relative_error_db(1.1 * x, x), torch.full((len(x),), -20.0), 1e-6)


def test_each_image_is_aligned_by_itself():
    x = images(b=4)
    x_hat = torch.cat([x[:1], move(x[1:2], ("shift",)), move(x[2:3], ("conjugate_flip",)), x[3:] * 0.5])
    names = ("shift", "conjugate_flip", "phase")
    together = align(x_hat, x, names)
    alone = torch.cat([align(x_hat[i : i + 1], x[i : i + 1], names) for i in range(4)])
    assert torch.equal(together, alone)
    assert same(relative_error(x_hat, x, names), torch.tensor([0, 0, 0, 0.5]), 1e-12)


def test_shifts_and_flips_are_exact():
    x = images().float()
    assert torch.equal(align(move(x, ("shift", "flip", "sign")), x, ("shift", "flip", "sign")), x)


@pytest.mark.parametrize("symmetries", [("phase",), NAMES])
def test_odd_estimates_crash_nothing(symmetries):
    x = images()
    assert relative_error(torch.zeros_like(x), x, symmetries).tolist() == [1, 1, 1]
    assert relative_error(torch.full_like(x, torch.nan), x, symmetries).isnan().all()
    assert relative_error(x, torch.zeros_like(x), symmetries).isinf().all()


def test_the_gradient_is_not_followed():
    x = images().requires_grad_()
    assert not align(2 * x, x, ("phase",)).requires_grad


def test_errors_say_what_is_wrong():
    x = images()
    with pytest.raises(ValueError, match="unknown symmetries mirror: choose from sign, phase"):
        align(x, x, ("mirror",))
    with pytest.raises(ValueError, match="phase is for complex images of 2 channels, not 3"):
        align(images(3), images(3), ("sign", "phase"))
    with pytest.raises(ValueError, match="of one shape"):
        align(x[:1], x, ("sign",))
    with pytest.raises(ValueError, match="by itself"):
        align(x, x, ("bounded_shift", "sign"), (1, 1))


def test_a_bounded_shift_ends_at_its_bound():
    x = images(1, 20, 20)
    for by, found in ((3, True), (-3, True), (4, False)):
        aligned = align(x.roll(by, -1), x, ("bounded_shift",), (3, 3))
        assert same(inside(aligned, (3, 3)), inside(x, (3, 3)), 1e-12) == found


@pytest.mark.parametrize("by", [(0, 0), (2, -1), (-2, 2)])
def test_the_aligned_psnr_forgives_a_small_shift(by):
    x = images(3, 32, 33).tanh()
    noisy = x + 0.05 * images(3, 32, 33, seed=1)
    expected = psnr(inside(noisy, (2, 2)), inside(x, (2, 2)))
    assert same(psnr_aligned(noisy.roll(by, (-2, -1)), x), expected, 1e-9)
    assert (psnr_aligned(noisy.roll(3, -1), x) < expected - 10).all()
    assert psnr_aligned(torch.full_like(x, torch.nan), x).shape == (3,)


def each_point_has_a_sign():
    x = Rng.of(0, "points", [0, 1]).normal(6, 1, 5)
    signs = torch.tensor([1.0, -1.0]).repeat(3).view(1, 6, 1, 1)
    assert (point_error(signs * x, x) == 0).all()
    assert torch.allclose(point_error(x + 0.1, x), torch.full((2,), 10.0, dtype=torch.float64), rtol=1e-4)
    off = (2 * x).double().square().mean((1, 2, 3))
    assert (point_error(3 * x, x) - 1000 * off).abs().max() < 1e-2  # -3 x would be twice as far


def test_each_point_has_a_sign_of_its_own():
    each_point_has_a_sign()


def test_one_sign_for_all_points_or_none_is_seen(monkeypatch):
    for wrong in (lambda a, b: a, lambda a, b: torch.where((a.sum(1) < b.sum(1))[:, None], a, b), torch.maximum):
        monkeypatch.setattr("sipbench.metrics.alignment.torch.minimum", wrong)
        with pytest.raises(AssertionError):
            each_point_has_a_sign()


def test_each_complex_point_has_a_phase_of_its_own():
    """e^{i theta} x is no error, a turn of a quarter is none either, and twice x is one."""
    x = Rng.of(0, "points", [0, 1]).normal(6, 2, 5, dtype=torch.float64)
    turned = phases(x, Rng.of(1, "g", [0, 1]))
    names = ["point_error", "relative_error_unaligned"]
    scores = evaluate(names, turned, x, ("phases",))
    assert scores["point_error"].max() < 1e-12 and scores["relative_error_unaligned"].min() > 0.3
    assert point_error(turned, x).min() > 1  # a sign alone is not enough
    twice, off = evaluate(names, 2 * turned, x, ("phases",))["point_error"], x.square().sum((2, 3)).mean(1) / 5
    assert same(twice, 1000 * off, 1e-9)
    assert same(align(turned, x, ("phases",)), x, 1e-12)
    with pytest.raises(ValueError, match="phases is aligned by itself"):
        align(x, x, ("phases", "sign"))
