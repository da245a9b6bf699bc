"""The physics of deepinv here, and ours there, each beside the other library with equal draws."""

import deepinv
import pytest
import torch

import sipbench
from sipbench.errors import UserError
from sipbench.operators.deepinverse import LinearPhysics, Physics
from sipbench.operators.sampling import BicubicDownsampling
from sipbench.problem import Rng
from tests import dense

SHAPE = (2, 3, 16, 16)
GAUSSIAN = {"_target_": "deepinv.physics.functional.gaussian_blur", "sigma": [1.0, 1.0], "psf_size": [5, 5]}
MOTION = {"_target_": "deepinv.physics.generator.MotionBlurGenerator", "psf_size": [5, 5]}
LINEAR = [
    {"_target_": "deepinv.physics.Downsampling", "factor": 2, "filter": "bicubic"},
    {"_target_": "deepinv.physics.Inpainting", "mask": 0.4},
    {"_target_": "deepinv.physics.Blur", "filter": GAUSSIAN, "padding": "reflect"},
    {"_target_": "deepinv.physics.BlurFFT", "filter": GAUSSIAN},
    {"_target_": "deepinv.physics.CompressedSensing", "m": 20, "img_size": [3, 16, 16]},
    {"_target_": "deepinv.physics.Tomography", "angles": 5, "img_width": 16, "normalize": False},
    {"_target_": "deepinv.physics.Decolorize"},
]


def rng():
    return Rng.of(0, "deepinv", [0, 1])


def made(node, kind=LinearPhysics, shape=SHAPE, **options):
    return kind(shape, rng(), physics=node, **options)


def images(*shape, dtype=torch.float32):
    return 2 * rng().child("x").portable.uniform(*(shape or SHAPE[1:]), dtype=dtype) - 1


@pytest.mark.parametrize("node", LINEAR, ids=lambda node: node["_target_"].rpartition(".")[2])
def test_a_linear_physics_is_what_deepinv_measures_and_has_its_adjoint_and_pseudo_inverse(node):
    f, x = made(node), images()
    theirs = torch.cat([part.A(one) for part, one in zip(f._parts * 2, x.split(1), strict=False)])
    torch.testing.assert_close(f(x), theirs, rtol=0, atol=1e-6)
    y, x = torch.randn_like(theirs).double(), x.double()
    gap = (f(x) * y).sum() - (x * f.T(y)).sum()
    assert abs(gap) < 1e-6 * f(x).norm() * y.norm()
    for i in range(2):
        torch.testing.assert_close(f.select(slice(i, i + 1))(x[i : i + 1]), f(x)[i : i + 1], rtol=0, atol=1e-12)
    back = f.T(y)
    torch.testing.assert_close(f.pinv(f(back)) if node is LINEAR[0] else back, back, rtol=0, atol=1e-4)


def test_the_pseudo_inverse_is_that_of_the_dense_matrix():
    f = made(LINEAR[2], shape=(1, 1, 8, 8))
    A, y = dense.matrix(f, (1, 8, 8)).double(), images(1, 8, 8, dtype=torch.float64)[:1]
    torch.testing.assert_close(f.pinv(y).flatten(), torch.linalg.pinv(A) @ y.flatten(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("options", [{"physics": LINEAR[1]}, {"physics": LINEAR[3], "generator": MOTION}])
def test_what_is_drawn_is_drawn_for_each_image_whatever_its_batch(options):
    before = torch.random.get_rng_state()
    f, alone = (LinearPhysics((n, *SHAPE[1:]), rng().select(slice(2 - n, 2)), **options) for n in (2, 1))
    assert torch.random.get_rng_state().equal(before)
    x = images()
    assert f(x)[1:].equal(alone(x[1:])) and f.per_image == ("seeds",)
    assert not f(x[:1].expand(2, -1, -1, -1))[0].equal(f(x[:1].expand(2, -1, -1, -1))[1])
    shared = LinearPhysics(SHAPE, rng(), shared=True, **options)
    assert not shared.per_image and shared(x[:1].expand(2, -1, -1, -1))[0].equal(shared(x[:1].expand(2, -1, -1, -1))[1])


def test_a_complex_physics_has_two_channels():
    node = {
        "_target_": "deepinv.physics.RandomPhaseRetrieval",
        "m": 30,
        "img_size": [1, 4, 4],
        "dtype": torch.cfloat,
    }  # in a YAML a node of its own
    f, x = made(node, Physics, (2, 2, 4, 4), complex=True, range=(-1.0, 1.0)), images(2, 4, 4)
    u = torch.complex(x[:, :1], x[:, 1:])
    theirs = torch.cat([part.A(one) for part, one in zip(f._parts, u.split(1), strict=True)])
    assert f(x).equal(theirs) and not f(x).is_complex()
    linear = {**node, "_target_": "deepinv.physics.CompressedSensing"}
    A = made(linear, shape=(2, 2, 4, 4), complex=True)
    y = A(x)
    assert y.shape == (2, 2 * theirs.shape[1])
    z = torch.randn_like(y)
    torch.testing.assert_close((y * z).sum(), (x * A.T(z)).sum(), rtol=1e-4, atol=1e-4)


class Lying(deepinv.physics.LinearPhysics):
    """Its A_adjoint is none."""

    def A(self, x, **_):
        return 2 * x

    def A_adjoint(self, y, **_):
        return y


@pytest.mark.parametrize(
    "node, says",
    [
        ({"_target_": "deepinv.physics.SpatialUnwrapping"}, "is not linear: degradation=deepinv_nonlinear takes it"),
        ({"_target_": "deepinv.physics.Nothing"}, "has no 'Nothing'"),
        ({"_target_": "deepinv.models.TVDenoiser"}, "is no physics of deepinv"),
        ({"_target_": "deepinv.physics.Inpainting", "maks": 0.5}, "maks"),
        ({"_target_": "deepinv.physics.Denoising", "noise_model": None}, "noise is said by degradation.noise"),
        ({"_target_": f"{__name__}.Lying"}, "is not the adjoint of its A"),
        ({"factor": 2}, "names its class"),
    ],
)
def test_a_mistake_is_one_plain_line(node, says):
    with pytest.raises((UserError, ValueError), match=says) as caught:
        made(node)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("degradation", ["sr4", "inpaint70", "ct_sparse", "mri", "sr4_lanczos"])
def test_ours_is_a_linear_physics_there(degradation):
    problem, truth = sipbench.pose(degradation=degradation, images=2, size=32)
    physics = sipbench.to_deepinv(problem)
    assert isinstance(physics, deepinv.physics.LinearPhysics)
    assert abs(float(physics.adjointness_test(truth))) < 1e-2 * float(physics.A(truth).norm())
    torch.testing.assert_close(physics.A(truth), problem.f(truth), rtol=0, atol=1e-4)
    torch.testing.assert_close(physics.A_adjoint(problem.y), problem.f.T(problem.y), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(physics.A_dagger(problem.y), problem.f.pinv(problem.y), rtol=0, atol=1e-6)
    assert float(physics.noise_model.sigma) == pytest.approx(problem.sigma)


def test_its_noise_and_its_norm_come_along():
    problem, truth = sipbench.pose(degradation="denoise", images=2, size=32, overrides=["noise=shot", "noise.rate=20"])
    one, two = (sipbench.to_deepinv(problem)(truth) for _ in range(2))
    assert one.equal(two) and not one.equal(problem.f(truth))
    f = BicubicDownsampling((1, 3, 16, 16), rng(), factor=4)
    halved, x = sipbench.to_deepinv(f, norm=2.0), images()[:1]
    torch.testing.assert_close(halved.A(x), f(x) / 2, rtol=0, atol=1e-5)
    torch.testing.assert_close(halved.A_dagger(f(x) / 2), f.pinv(f(x)), rtol=0, atol=1e-5)
    nonlinear, _ = sipbench.pose(degradation="hdr", images=1, size=32)
    assert not isinstance(sipbench.to_deepinv(nonlinear), deepinv.physics.LinearPhysics)
    blind, _ = sipbench.pose(degradation="blind_motion", images=1, size=64)
    with pytest.raises(UserError, match="blind"):
        sipbench.to_deepinv(blind)
