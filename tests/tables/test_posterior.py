"""`sipbench table posterior`: what it asks for, what it measures, and what it stores."""

import json

import pytest
import torch

from sipbench import configs
from sipbench.cli import main
from sipbench.errors import UserError
from sipbench.tables import posterior, posterior_run, posterior_sheets
from sipbench.tables.posterior_run import compute, draw, judged, measurement_row, obstacle, pose
from sipbench.testing.stand_ins import Shuffle

SOLVER = '''
import torch


def exact(problem, *, wider: float = 1.0, nan: bool = False):
    """Draws of N(mu, C) given y: of the prior, moved by the gain on what y says beyond their own noisy copies of it."""
    f, prior, rng, sigma = problem.f, problem.prior, problem.rng, problem.noise.sigma
    d = torch.Size(problem.shape[1:]).numel()
    unit = torch.eye(d).double().view(d, *problem.shape[1:])
    A = torch.stack([f(e.expand(problem.shape))[0].flatten() for e in unit], 1)
    mu, C = prior.mean_vector(), prior.covariance()
    gain = C @ A.T @ torch.linalg.inv(A @ C @ A.T + sigma**2 * torch.eye(len(A)).double())
    z = rng.normal(d, dtype=torch.float64) @ torch.linalg.cholesky(C).T
    noise = sigma * rng.normal(len(A), dtype=torch.float64)
    mean = mu + gain @ (problem.y[0].flatten() - A @ mu)
    x = mean + wider**0.5 * (z - (z @ A.T + noise) @ gain.T)
    return (x / (0 if nan else 1)).view(problem.shape)


def raises(problem):
    raise RuntimeError("no  luck")
'''


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Two problems, and methods of the test's own in a table of their own."""
    (tmp_path / "solver.py").write_text(SOLVER)
    table = configs.read("table", "posterior")
    methods = {
        "exact": {"does": "samples", "why": "It knows."},
        "wide": {"does": "other", "options": {"wider": 2.0}, "per_problem": {"blur": {"wider": 4.0}}},
        "raises": {"does": "optimises"},
        "nan": {"does": "other", "options": {"nan": True}},
        "tomorrow": {"does": "other", "title": "Tomorrow"},
        "blind": {"does": "other"},
    }
    table |= {"methods": methods, "problems": {k: table["problems"][k] for k in ("isotropic", "blur")}}
    nodes = {
        "exact": {"needs": ["linear", "noise.sigma", "prior.pixel"], "title": "Exact"},
        "wide": {"needs": ["linear", "noise.sigma", "prior.pixel"]},
        "raises": {"needs": ["prior"]},
        "nan": {"needs": ["noise.sigma", "prior"]},
        "blind": {"needs": ["blind"]},
    }
    for name, node in nodes.items():
        target = f"{tmp_path / 'solver.py'}:{'raises' if name == 'raises' else 'exact'}"
        nodes[name] = {"name": name, "solver": {"_target_": target}, **node}
    read, names = configs.read, configs.names
    groups = {"table": {"posterior": table}, "method": nodes}
    monkeypatch.setattr(configs, "read", lambda group, name: groups[group][name])
    monkeypatch.setattr(configs, "names", lambda group: [*nodes] if group == "method" else names(group))
    words = [f"results={tmp_path}", "measurements=2", "draws=128"]
    yield lambda *more: posterior.load("posterior", "demo", [*words, *more])
    monkeypatch.setattr(configs, "read", read)


def run(spec):
    reasons = {(t.method, t.name): obstacle(t) for t in spec.tasks}
    compute(spec, [(t, spec.missing(t)) for t in spec.tasks if reasons[t.method, t.name] is None and spec.missing(t)])
    return {(r["method"], r["problem"]): r for r in posterior_sheets.collect(spec, reasons)}


def test_it_measures_stores_and_does_only_what_is_missing(tiny, monkeypatch):
    spec = tiny()
    records = run(spec)
    exact, wide = records["exact", "isotropic"], records["wide", "isotropic"]
    assert exact["status"] == "ok" and exact["n"] == 2 and exact["ratio"] < 1.15 < wide["ratio"]
    assert wide["inside90"] < 0.6 and wide["coverage50"] > 0.58
    assert records["wide", "blur"]["ratio"] > 1.3 * wide["ratio"]
    assert exact["ratio_ci95"] > 0 and exact["seconds"] > 0 and exact["evaluations"] == 0

    failed = records["raises", "blur"]
    assert (failed["status"], failed["failed"], failed["reason"]) == ("failed", 2, "RuntimeError: no luck")
    assert records["nan", "blur"]["reason"] == "128 of 128 draws are not finite"
    assert records["tomorrow", "blur"]["status"] == "not yet"
    assert records["blind", "blur"]["status"] == "n/a" and "leave a part open" in records["blind", "blur"]["reason"]

    monkeypatch.setattr(posterior_run, "measurement_row", lambda *_: pytest.fail("done already"))
    again = run(tiny())
    assert {k: r["ratio"] for k, r in again.items() if r["n"]} == {k: r["ratio"] for k, r in records.items() if r["n"]}
    assert [tiny("retry_failed=true").missing(t) for t in spec.tasks if t.method == "raises"] == [[0, 1], [0, 1]]
    assert [tiny("measurements=3").missing(t) for t in spec.tasks if t.method == "exact"] == [[], []]


def test_what_can_change_a_row_names_another_folder(tiny):
    """Options, problem and draws do; what theory says does not."""
    spec = tiny("method=wide", "problem=blur")
    (task,) = spec.tasks
    assert task.cell.options == {"wider": 4.0}
    folders = {task.folder}
    for key, value in (("sigma", 0.1), ("title", "another")):
        folders.add(posterior.replace(task, problem={**task.problem, key: value}).folder)
    folders.add(posterior.replace(task, n=64).folder)
    folders.add(posterior.replace(task, entry={**task.entry, "why": "because", "exact_on": ["blur"]}).folder)
    folders.add(posterior.replace(task, entry={"does": "other", "options": {"wider": 3.0}}).folder)
    assert len(folders) == 4
    told = posterior.replace(task, entry={"does": "other", "options": {"wider": "${sigma}"}})
    assert told.cell.options == {"wider": 0.05}


def test_it_is_written_as_markdown_and_csv(tiny):
    spec = tiny("method=exact,tomorrow,blind,raises")
    records = list(run(spec).values())
    text = posterior_sheets.render(spec, records)
    md, csv = posterior_sheets.write(spec, records)
    assert md.read_text() == text and md.parent.name == "demo"
    assert len(csv.read_text().splitlines()) == 1 + len(records)
    glance = next(line for line in text.splitlines() if line.startswith("| Exact"))
    assert glance.count("**") == 4 and "±" in glance
    assert "Exact: samples the posterior. It knows." in text
    assert "not yet: its solver is not part of sipbench yet: Tomorrow" in text
    assert "failed: RuntimeError: no luck: raises (isotropic, 2 of 2), raises (blur, 2 of 2)" in text


def test_a_measurement_is_one_and_the_same_for_all(tiny):
    (task,) = tiny("method=exact", "problem=blur").tasks
    problem = pose(task, 1)
    assert problem.y.dtype == torch.float64 and problem.shape == (128, 1, 8, 8)
    assert torch.equal(problem.y[:1].expand_as(problem.y), problem.y)
    assert (pose(task, 1, copies=1).y - problem.y[:1]).abs().max() < 1e-14
    assert (pose(task, 0).y - problem.y).abs().max() > 0.01
    z = problem.rng.normal(3)
    assert len(z.unique()) == 3 * 128
    assert (problem.f(problem.y) - pose(task, 1, copies=1).f(problem.y[:1])).abs().max() < 1e-14


def test_codes_have_the_same_posterior():
    """A prior of codes is the image's with the pixels in another order, and denoises as the image's does."""
    entry = {"does": "other"}
    problem = {"name": "blur", **configs.read("table", "posterior")["problems"]["blur"]}
    task = posterior.Task("dps", problem, entry, 4, 1, posterior.Path("nowhere"))
    latent = posterior.Task("dps", problem, entry, 4, 1, posterior.Path("nowhere"))
    latent.__dict__["node"] = {**latent.node, "needs": ["prior.latent"]}
    pixels, codes = pose(task, 0).prior, pose(latent, 0).prior
    assert codes.kind == "latent" and codes.shape == (4, 4, 4) and codes.image_shape == (1, 8, 8)
    x, t, codec = torch.randn(2, 1, 8, 8).double(), pixels.times(5)[2], Shuffle((1, 8, 8))
    assert torch.equal(codes.decode(codes.encode(x)), x)
    assert (codes.decode(codes.denoise(codec.encode(x), t)) - pixels.denoise(x, t)).abs().max() < 1e-12


@pytest.mark.parametrize(("kind", "alpha"), [("flow", 0.5), ("ve", 1.0)])
def test_a_method_gets_the_schedule_it_is_made_for(kind, alpha):
    problem = {"name": "blur", **configs.read("table", "posterior")["problems"]["blur"]}
    task = posterior.Task("dps", problem, {"does": "other", "schedule": kind}, 4, 1, posterior.Path("nowhere"))
    assert float(pose(task, 0).prior.scales(torch.tensor(0.5))[0]) == alpha


def test_an_ensemble_is_the_draws(tmp_path, tiny):
    (tmp_path / "many.py").write_text(
        "import torch\nfrom sipbench.problem import Estimate\n"
        "def many(problem, *, n: int = 1):\n"
        "    problem.prior.denoise(torch.zeros(5, 1, 8, 8), torch.tensor(0.5))\n"
        "    x = problem.rng.normal(n, *problem.shape[1:], dtype=torch.float64)\n"
        "    return Estimate(x.mean(1), samples=x)\n"
    )
    (task,) = tiny("method=exact", "problem=blur").tasks
    task = posterior.replace(task, entry={"does": "other", "ensemble": True, "options": {"n": "${draws}"}})
    task.__dict__["node"] = {"name": "many", "solver": {"_target_": f"{tmp_path / 'many.py'}:many"}, "needs": ["prior"]}
    x, cost = draw(task, 0)
    assert x.shape == (128, 1, 8, 8) and cost["evaluations"] == 5 / 128
    assert measurement_row(task, 0, judged(task, 0))["status"] == "ok"


def test_the_table_of_the_project_is_sound():
    """Every method is a diffusion method whose options exist."""
    spec = posterior.load("posterior")
    diffusion = {n for n in configs.names("method") if configs.read("method", n)["family"] == "diffusion"}
    variants = {n for n in diffusion if n.rpartition("_")[0] in spec.methods}
    assert diffusion - variants <= set(spec.methods)
    for task in spec.tasks:
        obstacle(task)
        assert task.entry["why"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=dpss"], "Did you mean dps"),
        (["problem=blurr"], "Did you mean blur"),
        (["draws=1"], "draws is a whole number from 2 on"),
        (["measurements=few"], "measurements is a whole number from 1 on"),
        (["steps=3"], "unknown option of this table"),
        (["method="], "names nothing"),
        (["profile=papr"], "Did you mean paper"),
    ],
)
def test_a_mistake_is_said(words, said, capsys):
    assert main(["table", "posterior", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_config_is_checked(monkeypatch):
    node = configs.read("table", "posterior")
    for change, said in (
        ({"methods": {"dps": {"does": "sample"}}}, "samples"),
        ({"draws": None}, "has no draws"),
        ({"methods": {"dps": {"does": "other", True: {}}}}, "unknown key of method dps"),
    ):
        monkeypatch.setattr(configs, "read", lambda *_, change=change: node | change)
        with pytest.raises(UserError, match=said):
            posterior.load("posterior")


def test_the_command_runs(tmp_path, capsys):
    words = ["method=dps", "problem=isotropic,mixture", "draws=8", "measurements=2", f"results={tmp_path}"]
    assert main(["table", "posterior", *words]) == 0
    assert "## At a glance" in capsys.readouterr().out
    assert (tmp_path / "partial" / "demo" / "posterior.csv").is_file()
    rows = list(tmp_path.glob("runs/posterior/*/dps/*/measurement-*.json"))
    assert len(rows) == 4 and json.loads(rows[0].read_text())["evaluations"] == 200
