"""Options of one cell: which value wins, and where it comes from."""

import pytest

from sipbench.bench.options import resolve, typed
from sipbench.errors import UserError

METHOD = {
    "solver": {
        "_target_": "baselines.single.dip.dip",
        "iterations": 9,
        "lr": 0.01,
        "stop": {"rule": "wmv", "window": 1},
    },
    "paper": {"sr4": {"lr": 1.0, "stop": {"rule": "fixed"}}},
    "demo": {"all": {"lr": 2.0, "ema": 0.5}, "sr4": {"delta": 4.0}},
    "chosen": [{"command": "sipbench tune", "tasks": ["sr4"], "options": ["lr"]}],
}


def origin(task="sr4", profile="demo", **more):
    return resolve(METHOD, task, profile, **more).origins


def test_the_later_wins():
    assert resolve(METHOD, "sr4", "demo").values["lr"] == 2.0
    assert resolve(METHOD, "sr4", "paper").values["lr"] == 1.0
    assert resolve(METHOD, "denoise", "paper").values["lr"] == 0.01
    assert resolve(METHOD, "sr4", "demo", typed={"lr": 3.0}).values["lr"] == 3.0
    assert resolve(METHOD, "sr4", "demo").values["delta"] == 4.0


def test_parts_of_a_node_are_merged():
    assert resolve(METHOD, "sr4").values["stop"] == {"rule": "fixed", "window": 1}
    assert resolve(METHOD, "sr4", typed={"stop": {"window": 5}}).values["stop"] == {"rule": "fixed", "window": 5}
    assert resolve(METHOD, "sr4", typed={"stop": {"window": 5}}).origins["stop"] == "hand"
    assert METHOD["solver"]["stop"] == {"rule": "wmv", "window": 1}


def test_where_each_comes_from():
    assert origin() == {
        "iterations": "config", "lr": "searched", "stop": "paper", "ema": "demo", "delta": "demo",
    }  # fmt: skip
    assert origin("denoise")["lr"] == "demo"
    assert origin(profile="paper")["lr"] == "paper"
    assert origin(typed={"ema": 0.0})["ema"] == "hand"
    assert resolve({"solver": METHOD["solver"]}, "sr4").origins["lr"] == "signature"


def test_untuned_is_the_paper_s_defaults_and_what_was_typed():
    """The demo's settings per task were merged even so."""
    plain = resolve(METHOD, "sr4", "demo", tuned=False)
    assert plain.values == {"iterations": 9, "lr": 0.01, "stop": {"rule": "wmv", "window": 1}} and not plain.tuned
    assert resolve(METHOD, "sr4", "demo", tuned=False, typed={"lr": 7.0}).values["lr"] == 7.0
    assert resolve(METHOD, "sr4", "demo").tuned


def test_precision_is_the_harness_s():
    assert resolve(METHOD, "sr4").precision == "float32"
    found = resolve(METHOD | {"demo": {"all": {"precision": "float64"}}}, "sr4", "demo")
    assert found.precision == "float64" and "precision" not in found.values
    with pytest.raises(UserError, match="precision is float32 or float64, not 'half'"):
        resolve(METHOD, "sr4", typed={"precision": "half"})


def test_typed_options_are_read_from_the_keys():
    solver = {"_target_": "a.b", "lr": 1.0, "stop": {"rule": "emv", "window": 9}}
    keys = ["method.solver.stop.rule", "method.solver.lr", "method.solver._target_", "method.solver.gone", "size"]
    assert typed(solver, keys) == {"lr": 1.0, "stop": {"rule": "emv"}}
    assert typed(solver, ["method.solver.stop"]) == {"stop": {"rule": "emv", "window": 9}}


def test_the_demo_s_options_say_which_were_searched(cell):
    found = cell("method=mcg", "degradation=inpaint70").origins
    assert found["zeta"] == "searched" and found["steps"] == "demo" and found["clip"] == "signature"
    assert cell("method=dps", "degradation=inpaint70", "profile=paper").origins["zeta"] == "paper"
    assert set(cell("method=dps", "tuned=false").origins.values()) == {"signature"}


@pytest.mark.parametrize(("name", "kind"), [("lr", float), ("ema", float), ("iterations", int)])
def test_a_whole_number_is_a_number_with_a_point_where_that_is_asked_for(name, kind):
    assert type(resolve(METHOD, "sr4", typed={name: 1}).values[name]) is kind


def test_a_function_put_in_the_place_of_the_method_s_own_gets_what_it_takes():
    method = METHOD | {"solver": METHOD["solver"] | {"_target_": "baselines.diffusion.dps.dps", "zeta": 2.0}}
    found = resolve(method, "sr4", "demo", typed={"steps": 3})
    assert found.values == {"zeta": 2.0, "steps": 3}
