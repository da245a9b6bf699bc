"""Posing, solving and scoring from Python, and problems that were built by hand."""

from dataclasses import replace

import pytest
import torch

import sipbench
from sipbench.bench.cell import NotApplicable
from sipbench.errors import UserError
from sipbench.noise import Gaussian
from sipbench.operators import Inpainting
from sipbench.operators.blind import BlindBlur
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng


def by_hand(sigma=0.05, size=16, channels=3):
    rng, shape = Rng.of(0, "by hand", [0, 1]), (2, channels, size, size)
    x = torch.linspace(-0.5, 0.5, size).expand(shape).clone()
    x[..., 4:9, 4:9] += 0.4
    f = Inpainting(shape, rng.child("operator").portable)
    y = Gaussian(sigma)(f(x), rng.child("noise").portable)
    return Problem(y, f, Gaussian(sigma), shape, None, rng.child("solver")), x


def test_a_network_for_a_problem_that_was_built_by_hand_is_named_by_its_degradation_and_size():
    """No command trains one for a degradation without a config."""
    with pytest.raises(UserError, match="name it and the size, as in degradation=sr4 size=64") as error:
        sipbench.solve(by_hand()[0], method="unet")
    assert "sipbench train" not in str(error.value)


def test_a_problem_that_was_built_by_hand_is_solved_and_scored():
    problem, x = by_hand()
    estimate = sipbench.solve(problem, method="tv", iterations=30, lam=0.02, c=None)
    rows = sipbench.score(estimate, x, problem)
    assert len(rows) == 2 and rows["psnr"].notna().all()
    assert rows["psnr"].mean() > sipbench.score(sipbench.solve(problem), x, problem)["psnr"].mean()
    assert rows["residual_ratio"].tolist() == pytest.approx((rows["residual"] / 0.05).tolist())


def test_what_it_lacks_is_said():
    problem, _ = by_hand()
    with pytest.raises(NotApplicable, match="dps needs a prior"):
        sipbench.solve(problem, method="dps")


@pytest.mark.parametrize("method", ["dps", "diffpir"])
def test_a_prior_of_other_images_is_refused(method):
    """Of one channel for three it made images of one channel, or spread it over the three."""
    problem, _ = by_hand()
    for own in ((1, 16, 16), (3, 32, 32)):
        with pytest.raises(NotApplicable, match=rf"for images \({own[0]}, {own[1]}, {own[1]}\), not \(3, 16, 16\)"):
            sipbench.solve(replace(problem, prior=IsotropicGaussian(own)), method=method, steps=3)
    fits = sipbench.solve(replace(problem, prior=IsotropicGaussian((3, 16, 16))), method=method, steps=3)
    assert fits.x.shape == problem.shape


@pytest.mark.parametrize("method", ["unet", "admm_drunet"])
def test_a_network_for_other_channels_is_said(method):
    """torch said that groups=1 and that a weight has a size."""
    problem, _ = by_hand(channels=1)
    words = ["degradation=inpaint70", "size=64"]
    with pytest.raises(NotApplicable, match=f"{method} .* net is for images of 3 channels, and these have 1"):
        sipbench.solve(problem, method=method, trained_on="faces", overrides=words)


def test_metrics_may_be_named():
    problem, x = by_hand()
    rows = sipbench.score(problem.y, x, problem, metrics=["relative_error"])
    assert "relative_error" in rows and "psnr" not in rows


def test_some_images_of_a_posed_problem_are_scored():
    problem, truth = sipbench.pose(
        degradation="blind_motion", images=3, size=64, overrides=["degradation.operator.size=8"]
    )
    one = problem.select(slice(1, 2))
    rows = sipbench.score(sipbench.Estimate(truth[1:2]), truth[1:2], one)
    assert len(rows) == 1 and rows["psnr"][0] == float("inf")


def test_nothing_is_invented_of_a_real_measurement(tmp_path):
    """Neither a kernel nor a noise level; one that was told, or that a saved measurement remembers, is used."""
    from PIL import Image

    pixels = (torch.rand(24, 24, 3, generator=torch.Generator().manual_seed(0)) * 255).byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    root = f"dataset.root={tmp_path}"
    problem, truth = sipbench.pose(
        "measured", "blind_motion", images=1, overrides=[root, "degradation.operator.size=8"]
    )
    assert truth is None and isinstance(problem.f, BlindBlur)
    kernel = torch.zeros(1, *problem.f.theta_shapes["kernel"])
    rows = sipbench.score(sipbench.Estimate(torch.zeros(problem.shape), theta={"kernel": kernel}), None, problem)
    assert "kernel_similarity" not in rows or rows["kernel_similarity"].isna().all()
    assert rows["residual"].notna().all() and rows["residual_ratio"].isna().all()
    told, _ = sipbench.pose("measured", "denoise", images=1, overrides=[root, "degradation.noise.sigma=0.2"])
    assert sipbench.score(sipbench.solve(told), None, told)["residual_ratio"].notna().all()
    assumed, _ = sipbench.pose("measured", "denoise", images=1, overrides=[root])
    assert sipbench.score(sipbench.solve(assumed), None, assumed)["residual_ratio"].isna().all()


def test_what_a_method_lacks_is_trained_before_it_solves(tmp_path):
    problem, truth = sipbench.pose(degradation="sr4", images=1, size=32, overrides=[f"results={tmp_path}"])
    short = ["recipe.images=2", "recipe.schedule.steps=1", "recipe.schedule.validate_every=0", "recipe.widths=[4]"]
    estimate = sipbench.solve(problem, method="unet", recipe="tradeoff", overrides=short)
    assert estimate.x.shape == truth.shape and len(list(tmp_path.glob("trained/unet-*"))) == 1
    with pytest.raises(UserError, match="recipe and prior are for one that was posed"):
        sipbench.solve(by_hand()[0], method="unet", recipe="tradeoff")


def test_words_of_a_cell_are_arguments_here():
    problem, _ = sipbench.pose(degradation="sr4", images=1, size=32)
    with pytest.raises(UserError, match="missing checkpoint 'unet-crystals-32-sr4'"):
        sipbench.solve(problem, method="unet", trained_on="crystals")
    with pytest.raises(UserError, match="tv takes no path"):
        sipbench.solve(problem, method="tv", path="net.pth")
    with pytest.raises(UserError, match="no file|waits for net.pth"):
        sipbench.solve(problem, method="external", path="net.pth")


def test_what_a_mistake_advises_can_be_typed_here():
    with pytest.raises(UserError, match=r"In Python: overrides=\['dataset.root=FOLDER'\]"):
        sipbench.pose(dataset="ffhq", images=1)
    with pytest.raises(UserError) as caught:
        sipbench.pose(images=999999999)
    assert "images=10000000" in str(caught.value) and "overrides" not in str(caught.value)
