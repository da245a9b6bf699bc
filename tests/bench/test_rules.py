"""Every rule looks on one run. The figures are those of the code that this took the place of, which had no cells."""

import pytest
import torch

from sipbench import configs
from sipbench.bench.rules import Rules
from sipbench.bench.run import Bench, run
from tests.bench.solved import rows_of

NOISY = {
    "gaussian_medium": ["noise=gaussian", "noise.level=medium", "noise.clip=true"],
    "impulse_low": ["noise=impulse", "noise.level=low"],
}
SMALL = ["channels=[8,8]", "skip=[0,4]", "input_channels=4", "iterations=60", "stop.rule=fixed", "ema=0.0"]
SMALL += ["lr=0.01", "sigma_z=0.03"]
DIP = ["profile=demo", "degradation=denoise", "method=dip", "images=2", *(f"method.solver.{word}" for word in SMALL)]
SHORT = [
    *("wmv.window=10", "wmv.patience=15", "+emv.burn_in=5", "emv.patience=12"),
    *("self_validation.window=32", "self_validation.patience=10", "self_validation.side=8"),
]
RULES = ["probe=early_stopping", *(("+" * ("+" in w)) + f"probe.rules.{w.lstrip('+')}" for w in SHORT)]
GOLDEN = {  # by precision, problem and image: of each rule PSNR, SSIM, the iterate returned and until where it ran
    ("float64", "gaussian_medium", 0): {
        "wmv": (24.35844903213724, 0.6498240502991741, 59, 60),
        "emv": (16.51989311080598, 0.35821384490296054, 6, 18),
        "fixed": (24.35844903213724, 0.6498240502991741, 59, 60),
        "best": (24.702517045634963, 0.6402818354526472, 47),
    },
    ("float64", "gaussian_medium", 1): {
        "wmv": (20.123024024514162, 0.4200251724968617, 30, 45),
        "emv": (15.798055578709896, 0.15691893794700884, 6, 18),
        "fixed": (21.619725838446108, 0.5918411710359398, 59, 60),
        "best": (21.920776406276023, 0.6111668994486922, 55),
    },
    ("float64", "impulse_low", 0): {
        "wmv": (20.80391821590735, 0.5014853027138473, 50, 60),
        "emv": (15.865687264877845, 0.2626010474407537, 6, 18),
        "fixed": (20.00817951836604, 0.4632017084819988, 59, 60),
        "best": (21.106364281538163, 0.4986890648066867, 53),
    },
    ("float64", "impulse_low", 1): {
        "wmv": (18.77032354941025, 0.42912076009327954, 41, 56),
        "emv": (15.56593667581791, 0.16164102354476767, 6, 18),
        "fixed": (19.488897922989015, 0.46108518922082836, 59, 60),
        "best": (19.692293464207516, 0.4826011922066815, 52),
    },
    ("float32", "gaussian_medium", 0): {
        "wmv": (21.274392914036753, 0.5492044544151304, 16, 31),
        "emv": (16.572698428060683, 0.3684604868027726, 6, 18),
        "self_validation": (23.849126816332916, 0.6549580604124602, 42, 52),
        "fixed": (24.27424848619219, 0.642443654541225, 59, 60),
        "best": (24.87993728061441, 0.6834938316105643, 57),
    },
    ("float32", "gaussian_medium", 1): {
        "wmv": (22.092293180529442, 0.6169159649267875, 56, 60),
        "emv": (16.27060437094614, 0.2583760959135146, 6, 18),
        "self_validation": (21.86346420374473, 0.617115366574211, 53, 60),
        "fixed": (22.234485188909353, 0.6340250302843405, 59, 60),
        "best": (22.23456353067908, 0.6340326404142873, 59),
    },
}
HASHES = {
    "gaussian_medium": ["7755ace8c6a8a599", "dba4aab5addc0aca"],
    "impulse_low": ["aa445327fb8503f4", "a67e5e99de8c47e5"],
}


@pytest.mark.parametrize(("precision", "problem"), dict.fromkeys((p, name) for p, name, _ in GOLDEN))
def test_the_figures_are_what_they_were(cell, precision, problem):
    """To the last digit where they were made; elsewhere Adam makes rounding grow, in single precision above all."""
    digits = 1e-6 if precision == "float64" else 0.05
    rows = rows_of(cell(*DIP, *NOISY[problem], *RULES, f"method.solver.precision={precision}"))
    assert rows["y_sha256"].tolist() == HASHES[problem]
    for row in rows.to_dict("records"):
        golden = GOLDEN[precision, problem, row["image"]]
        for name, (psnr, ssim, stopped, *until) in golden.items():
            assert (row[f"{name}_psnr"], row[f"{name}_ssim"]) == pytest.approx((psnr, ssim), abs=digits), name
            assert row[f"{name}_stopped"] == stopped and until in ([], [row.get(f"{name}_until")])
            if name != "best":
                gaps = (golden["best"][0] - psnr, golden["best"][1] - ssim)
                assert (row[f"{name}_gap"], row[f"{name}_ssim_gap"]) == pytest.approx(gaps, abs=2 * digits)


def test_a_batch_is_its_images_one_by_one(cell, tmp_path):
    words = [*DIP, *NOISY["gaussian_medium"], *RULES, "method.solver.iterations=30", "method.solver.precision=float64"]
    words += ["probe.rules.self_validation.window=16"]
    both = rows_of(cell(*words)).to_dict("records")[1]
    (alone,) = rows_of(cell(*words, "images=[1]", f"results={tmp_path / 'alone'}")).to_dict("records")
    torch.testing.assert_close(torch.tensor(both["along_psnr"]), torch.tensor(alone["along_psnr"]), rtol=0, atol=0.01)
    for name in ("wmv", "emv", "self_validation", "fixed"):
        assert both[f"{name}_stopped"] == alone[f"{name}_stopped"]
        assert both[f"{name}_psnr"] == pytest.approx(alone[f"{name}_psnr"], abs=1e-3)


def test_what_watches_holds_iterates_and_nothing_else(cell):
    """A solver can reach its watch: rules are made before the truth is loaded."""
    c, seen = cell("method=tv", "probe=early_stopping", "degradation=denoise", "images=1"), []

    def solver(problem, **options):
        seen.append(problem._watch)
        problem.show(torch.zeros(problem.shape))
        seen.append([v for v in vars(problem._watch.probe).values() if isinstance(v, torch.Tensor)])
        return torch.zeros(problem.shape)

    object.__setattr__(c, "__dict__", c.__dict__ | {"solver": solver})
    (row,) = next(run(c))
    assert row["status"] == "ok" and row["best_stopped"] == 0
    assert seen[1] == [] and len(seen[0].probe.frames) == 1 and not seen[0].probe.frames[0][1].any()


def test_a_rule_has_streams_of_its_own_of_the_images(cell):
    """What it draws is of the image and of its own name, whatever the batch."""
    drawn = {}

    class Draws:
        patience = 1

        def __init__(self, like, rng):
            self.best, self.stopped = like, torch.zeros(len(like), dtype=torch.long)
            drawn.setdefault(len(like), []).append(rng.normal(2))

        def update(self, k, x, *, loss=None): ...

    bench = Bench.of(cell("method=pinv", "degradation=denoise"))
    rule = {"_target_": "tests.bench.test_rules.RULE"}
    globals()["RULE"] = Draws
    for images in ([0, 1], [1]):
        Rules(bench.pose(images), rules={"a": rule, "b": rule})
    assert torch.equal(drawn[2][0][1:], drawn[1][0]) and not torch.equal(drawn[2][0], drawn[2][1])


def test_a_rule_that_is_called_solver_does_not_share_the_solvers_streams(cell):
    problem, drawn = Bench.of(cell("method=pinv", "probe=early_stopping")).told([0]), {}
    node = {"_target_": "tests.bench.test_rules.listening", "heard": drawn}
    for name in ("solver", "wmv"):
        Rules(problem, rules={name: node})
        own = problem.rng.child(name).normal(3)
        assert torch.equal(drawn["rng"].normal(3), own) == (name != "solver")


def listening(*, like, rng, heard):
    heard["rng"] = rng


def test_the_shipped_rules_are_those_of_the_paper_but_for_their_lengths():
    rules = configs.read("probe", "early_stopping")["rules"]
    assert [rule["rule"] for rule in rules.values()] == list(rules) == ["wmv", "emv", "self_validation", "fixed"]
