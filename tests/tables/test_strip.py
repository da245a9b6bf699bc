"""Pictures of a table: truth and estimates drawn alike."""

import torch

from sipbench.bench import packing
from sipbench.bench.run import Bench
from sipbench.problem import Estimate
from sipbench.tables.views import strip

from .fake import load, put, row


def test_grey_is_grey_and_the_phase_is_a_hue():
    grey = strip.pixels(torch.linspace(-1, 1, 16).view(1, 4, 4))
    assert grey.shape == (4, 4, 3) and (grey[..., 0] == grey[..., 2]).all() and grey.max() == 255
    z = torch.tensor([[1.0, 0.0, -1.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0, 0.5]])
    colours = strip.pixels(torch.stack(z)).reshape(4, 3).tolist()
    assert colours[:3] == [[255, 0, 0], [0, 0, 0], [0, 255, 255]] and max(colours[3]) in (127, 128)


def test_an_estimate_is_aligned_as_it_is_for_the_score(tmp_path):
    """Phase retrieval cannot tell an image from its mirror image: what is drawn is the truth."""
    spec = load(tmp_path, "images=1", "method=pinv,dip")
    cell = spec.planned[0].cell
    bench = Bench.of(cell, check=False)
    problem = bench.pose([0])
    x = bench.truth([0], problem).x
    put(cell, [row(0) | {"kept": True, "estimate": packing.packed(Estimate(x.flip(-1, -2)), 0)}])

    class Far:
        symmetries, margin = ("flip",), (0, 0)

    _, picture = strip._picture(spec.planned[0], 0, x, Far())
    assert (picture == strip.pixels(x[0])).all()
    _, plain = strip._picture(spec.planned[0], 0, x, problem.f)
    assert (plain != picture).any()
    assert strip._picture(spec.planned[1], 0, x, problem.f) is None


def test_the_mean_of_draws_is_a_part(tmp_path):
    spec = load(tmp_path, "images=1", "method=pinv")
    cell = spec.planned[0].cell
    samples = torch.randn(1, 4, 3, 32, 32)
    put(cell, [row(0) | {"kept": True, "estimate": packing.packed(Estimate(samples[:, 0], samples=samples), 0)}])
    assert torch.equal(strip.returned(cell, 0, "mean"), samples.mean(1))
    assert not torch.equal(strip.returned(cell, 0, ""), samples.mean(1))
