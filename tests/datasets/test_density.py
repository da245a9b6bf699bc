"""Datasets that are densities: draws of a prior with a formula, measurements with an exact posterior."""

import pytest
import torch

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.rescore import lacking, score_stored
from sipbench.bench.run import Bench
from sipbench.datasets.density import Density
from sipbench.errors import UserError
from sipbench.metrics.posterior import Judge
from sipbench.priors.codes import Shuffle
from sipbench.problem import Rng
from tests.bench.solved import rows_of

NAMES = ("field_white", "field_smooth", "mixture")
FIGURES = ("ratio", "distance", "floor", "mmse_gap", "inside50", "inside90", "coverage50", "coverage90")
SOLVER = '''
import torch


def exact(problem, *, wider: float = 1.0):
    """Draws of N(mu, C) given y: of the prior, moved by the gain on what y says beyond their own noisy copies of it."""
    f, prior, rng, sigma = problem.f, problem.prior, problem.rng, problem.noise.sigma
    d = torch.Size(problem.shape[1:]).numel()
    unit = torch.eye(d).double().view(d, *problem.shape[1:])
    A = torch.stack([f(e.expand(problem.shape)).flatten(1) for e in unit], 2)
    mu, C = prior.mean_vector(), prior.covariance()
    gain = C @ A.mT @ torch.linalg.inv(A @ C @ A.mT + sigma**2 * torch.eye(A.shape[1]).double())
    z = rng.normal(d, 1, dtype=torch.float64)
    z = torch.linalg.cholesky(C) @ z
    noise = sigma * rng.normal(A.shape[1], 1, dtype=torch.float64)
    mean = mu[:, None] + gain @ (problem.y.flatten(1)[..., None] - A @ mu[:, None])
    return (mean + wider**0.5 * (z - gain @ (A @ z + noise))).view(problem.shape)
'''


@pytest.fixture
def exact(cell, tmp_path):
    """A cell of draws that are exact, unless they are made wider."""
    (tmp_path / "solver.py").write_text(SOLVER)
    names = ",".join(f"posterior_{name}" for name in FIGURES)
    fixed = ("size=8", "images=2", "draws=128", "batch_size=128", f"metrics=[{names}]", "degradation=inpaint70")
    return lambda *words: cell("dataset=field_smooth", *fixed, f"method={tmp_path / 'solver.py'}:exact", *words)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_drawn_from_the_density(name):
    dataset = Density(name, size=4)
    x = dataset.load(range(400))
    assert x.dtype == torch.float64 and x.shape == (400, *dataset.shape) == (400, 1, 4, 4)
    mean, std = dataset.prior.mean_vector(), dataset.prior.covariance().diagonal().sqrt()
    assert ((x.flatten(1).mean(0) - mean).abs() < 5 * std / 20).all()
    assert torch.allclose(x.flatten(1).std(0), std, rtol=0.2)
    assert torch.equal(x[[7, 3]], Density(name, size=4).load([7, 3]))
    assert not torch.equal(Density(name, "validation", 4).load([3])[0], x[3])
    assert not torch.equal(Density(name, size=4, series="another").load([3])[0], x[3])
    assert len({dataset.fingerprint(i) for i in range(5)} | {Density(name, "train", 4).fingerprint(0)}) == 6


def test_its_config_names_it():
    assert Density("field_smooth").version == Density("field_smooth").version
    assert len({Density(name, size=size).version for name in NAMES for size in (4, 8)}) == 5  # of one size: mixture


def test_what_it_cannot_do_is_said():
    with pytest.raises(UserError, match="outside"):
        Density("field_white").load([-1])
    with pytest.raises(UserError, match="set size=8"):
        Density("field_white", size=128).load([0])


def test_the_measurement_is_in_double_precision(cell):
    bench = Bench.of(cell("dataset=field_smooth", "size=8", "degradation=inpaint70", "method=dps"))
    problem = bench.pose([0, 1])
    assert problem.y.dtype == torch.float64 and problem.prior.image_shape == (1, 8, 8)


def test_exact_draws_are_at_the_floor_and_others_are_not(exact):
    right, wide = rows_of(exact()), rows_of(exact("method.solver.wider=2.0"))
    assert (right["posterior_ratio"] < 1.15).all() and (wide["posterior_ratio"] > 1.3).all()
    assert (wide["posterior_inside90"] < 0.6).all() and (wide["posterior_coverage50"] > 0.58).all()
    assert right["posterior_floor"].tolist() == wide["posterior_floor"].tolist()
    assert (right["posterior_mmse_gap"] < 0.2).all()


def test_the_figures_are_those_of_the_judge(exact):
    c = exact("images=[1]")
    row, bench = rows_of(c).iloc[0], Bench.of(c)
    problem = bench.pose([1])
    posterior = c.dataset.posterior(problem.f, problem.y, c.degradation["noise"]["sigma"])
    scores = Judge(posterior, 128, seed=1).scores(store.estimate(c, 1).samples[0])
    assert {name: row[f"posterior_{name}"] for name in FIGURES} == pytest.approx(scores, rel=1e-5)


def test_a_figure_that_is_asked_for_later_comes_of_the_stored_draws(exact, monkeypatch):
    rows_of(exact("metrics=[posterior_floor]"))
    monkeypatch.setattr(Bench, "solve", lambda *_: pytest.fail("solved again"))
    later = exact()
    assert score_stored(later) == 2 and lacking(later) == {}
    monkeypatch.undo()
    whole = rows_of(exact(f"results={later.results}-other"))
    after = store.read(later.folder)
    for name in FIGURES:
        assert after[f"posterior_{name}"].tolist() == pytest.approx(whole[f"posterior_{name}"].tolist(), rel=1e-5)


def test_a_series_keeps_its_streams(cell):
    """Measurements and draws as the table of exact posteriors had them before it was made of cells."""
    words = ("dataset=field_white", "dataset.series=posterior/isotropic", "size=8", "degradation=inpaint70")
    words += ("degradation.operator.removed=0.5", "degradation.noise.sigma=0.1", "degradation.noise_on_invalid=true")
    bench = Bench.of(cell(*words, "method=pinv", "prior=none"))
    problem, old = bench.pose([2, 0]), Rng.of(0, "posterior/isotropic", [2, 0])
    x = bench.cell.dataset.prior.sample(old.child("x").portable)
    assert torch.equal(problem.y, problem.f(x) + 0.1 * old.child("noise").portable.normal(1, 8, 8, dtype=torch.float64))
    streams = bench.solver_streams([2, 0], range(3))
    assert streams.keys[2:4] == tuple(Rng.of(i, "posterior/isotropic/draws", [1]).keys[0] for i in (2, 0))


@pytest.mark.parametrize("name", NAMES)
def test_a_method_gets_the_prior_it_is_made_for(cell, name):
    size = 4 if name == "mixture" else 8
    words = (f"dataset={name}", f"size={size}", "degradation=inpaint70")
    pixels, flow, codes = (Bench.of(cell(*words, f"method={m}")).prior for m in ("dps", "flowdps", "psld"))
    assert float(flow.scales(torch.tensor(0.5))[0]) == 0.5
    assert (codes.kind, codes.shape, codes.image_shape) == ("latent", (4, size // 2, size // 2), (1, size, size))
    x, t, codec = torch.randn(2, 1, size, size).double(), pixels.times(5)[2], Shuffle((1, size, size))
    assert torch.equal(codes.decode(codes.encode(x)), x)
    assert (codes.decode(codes.denoise(codec.encode(x), t)) - pixels.denoise(x, t)).abs().max() < 1e-12


def test_codes_of_four_pixels_need_even_sides(cell):
    with pytest.raises(UserError, match="images with even sides, not of 9 x 9"):
        Bench.of(cell("dataset=field_smooth", "size=9", "degradation=inpaint70", "method=psld"))


def test_what_a_variant_may_be():
    with pytest.raises(UserError, match="Did you mean faces_flow"):
        configs.schema.check_file("prior", {"name": "a", "_target_": None, "variants": {"flow": "faces_flo"}}, "a.yaml")
