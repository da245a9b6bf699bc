"""A method's priors of parts of theta: handed over by name, counted, hashed, checked, and asked for when missing."""

import copy
import json
import shutil
import textwrap
from dataclasses import replace

import pytest
import torch

from sipbench import checkpoints, configs, testing
from sipbench.bench.cell import NotApplicable
from sipbench.bench.lacks import _checkpoints
from sipbench.bench.run import Bench, run
from sipbench.errors import UserError
from sipbench.testing.trial import Trial

BLIND = ("degradation=blind_motion", "degradation.operator.size=8", "prior=gaussian")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained priors of kernels of 8 and of 16 pixels, in a weights folder."""
    from diffusers import UNet2DModel

    root = tmp_path_factory.mktemp("weights")
    schedule = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
    for size in (8, 16):
        with torch.random.fork_rng():
            torch.manual_seed(size)
            node = configs.read("network", "diffusion_kernel") | {"sample_size": size}
            network = UNet2DModel(**{k: v for k, v in node.items() if k != "_target_"})
        folder = root / f"kernels-{size}-prior"
        network.save_pretrained(folder)
        (folder / "scheduler_config.json").write_text(json.dumps(schedule))
    return root


@pytest.fixture
def blind(cell, tmp_path):
    """A cell of BlindDPS, or of a solver of these lines, with a prior of kernels."""

    def make(*words, body=None, weights="nowhere"):
        made = cell(*BLIND, "method=blinddps", "method.solver.steps=3", f"weights={weights}", *words)
        if body is None:
            return made
        path = tmp_path / "mine.py"
        path.write_text("def solve(problem, *, kernel_prior):\n" + textwrap.indent(textwrap.dedent(body), "    "))
        method = made.method | {"name": "mine", "solver": {"_target_": f"{path}:solve"}, "demo": {}}
        return replace(made, method=method, typed={})

    return make


@pytest.mark.parametrize(
    ("word", "said"),
    [(".path=7", "path names a checkpoint"), (".path=null", "not None"), ("=kernels", "not 'kernels'")],
)
def test_what_names_no_prior_is_refused(blind, word, said):
    with pytest.raises(UserError, match=said):
        Bench.of(blind(f"method.priors.kernel_prior{word}"))


def test_it_is_handed_over_and_its_evaluations_are_counted(blind, weights):
    made = blind(weights=weights)
    rows = [row for batch in run(made) for row in batch]
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert {row["evaluations"] for row in rows} == {6}
    assert all(0 <= row["kernel_similarity"] <= 1 for row in rows)


def test_a_solver_gets_it_by_its_name(blind, weights):
    body = """
        import torch
        assert kernel_prior.shape == (1, 8, 8)
        kernel_prior.denoise(torch.zeros(2, 1, 8, 8), torch.tensor(0.5))
        return problem.y
    """
    rows = [row for batch in run(blind(body=body, weights=weights)) for row in batch]
    assert [row["status"] for row in rows] == ["ok"] * 3
    assert rows[0]["evaluations"] == pytest.approx(2 / 3)


def test_a_missing_one_says_how_to_get_it(blind, weights):
    for made, side in ((blind(), 8), (blind("degradation.operator.size=14", weights=weights), 12)):
        with pytest.raises(UserError, match=f"kernels-{side}-prior.*sipbench train prior dataset=kernels.*size={side}"):
            Bench.of(made)
    other = replace(blind(), prior={"name": "lost", "_target_": "sipbench.priors.load.diffusers_prior", "path": "lost"})
    lines = list(_checkpoints(other))
    assert len(lines) == 2 and "'lost'" in lines[0] and "'kernels-8-prior'" in lines[1]


def test_it_is_part_of_the_name_of_a_cell(blind, weights):
    made = blind(weights=weights)
    assert {"kernel_prior"} == made.identity["weights"].keys() and "kernel_prior" in made.identity["priors"]
    other = blind("method.priors.kernel_prior.path=kernels-16-prior", "degradation.operator.size=16", weights=weights)
    assert other.identity["weights"] != made.identity["weights"]
    mixed = replace(made, method=copy.deepcopy(made.method))
    mixed.method["priors"]["kernel_prior"]["precision"] = "bfloat16"
    assert mixed.hash != made.hash


def test_methods_without_any_keep_their_names(cell):
    assert "priors" not in cell("method=pinv").identity


def test_a_part_that_is_not_open_needs_no_prior(cell, blind):
    told = cell("method=blinddps", "degradation=inpaint70", "prior=gaussian")
    assert told.priors == {} and told.weights == {}
    with pytest.raises(NotApplicable, match="BlindDPS|blinddps"):
        Bench.of(told)
    made = blind()
    made = replace(made, method=made.method | {"needs": []})
    assert made.priors == {}


def test_one_that_does_not_fit_the_box_is_refused(blind, weights):
    large = blind("method.priors.kernel_prior.path=kernels-16-prior", weights=weights)
    with pytest.raises(NotApplicable, match=r"kernel_prior is for \(1, 16, 16\).*\(1, 8, 8\)"):
        Bench.of(large)
    small = ("method.priors.kernel_prior.path=kernels-8-prior", "degradation.operator.size=16")
    rows = [row for batch in run(blind(*small, weights=weights)) for row in batch]
    assert [row["status"] for row in rows] == ["ok"] * 3


def test_a_formula_needs_no_weights(blind):
    made = blind()
    node = {"_target_": "sipbench.priors.gaussian.IsotropicGaussian", "shape": [1, 8, 8]}
    made = replace(made, method=made.method | {"priors": {"kernel_prior": node}})
    assert made.weights == {}
    assert next(iter(run(made)))[0]["evaluations"] == 6


def test_in_the_contract_trial_it_is_a_gaussian_of_the_parts_shape():
    trial = Trial.of("blinddps", "turbulence", 32, {})
    assert {n: tuple(p.shape) for n, p in trial.bench.priors.items()} == {"kernel_prior": (1, 8, 8)}
    assert trial.base.evaluations == 2 * 5


def test_without_it_the_contract_says_what_is_missing(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def solve(problem, *, kernel_prior):\n    return problem.y\n")
    finding = testing.check(f"{path}:solve", degradation="blind_motion")[0]
    assert finding.status == "SKIP" and "kernel_prior" in finding.seen


def test_a_file_that_changed_is_hashed_again(tmp_path):
    file = tmp_path / "w"
    file.write_bytes(b"one")
    before = checkpoints.sha256(file)
    file.write_bytes(b"other")
    assert checkpoints.sha256(file) != before


def test_a_prior_whose_settings_changed_is_loaded_anew(cell, tiny_prior, tmp_path):
    """In one process, such as a notebook's: the cell has another name, and so it has another prior."""
    folder = shutil.copytree(tiny_prior[1].partition("=")[2], tmp_path / "own")
    found = []
    for end in (0.02, 0.01):
        told = json.loads((folder / "scheduler_config.json").read_text())
        (folder / "scheduler_config.json").write_text(json.dumps(told | {"beta_end": end}))
        c = cell("method=dps", "prior=diffusers", f"prior.path={folder}")
        prior = Bench.of(c, check=False).prior
        found.append((c.hash, float(prior.scales(prior.times(4)[0])[0])))
    (one, before), (other, after) = found
    assert one != other and before != after
