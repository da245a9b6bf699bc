"""A method's config says what differs from the signature; the rest is filled in wherever it is read."""

import pytest
import yaml

from sipbench import configs
from sipbench.configs import signature
from sipbench.errors import UserError
from tests import listed


@pytest.mark.parametrize("name", listed.METHODS)
def test_a_config_states_only_what_differs_from_the_signature(name):
    own = yaml.safe_load(configs.find("method", name).read_text()).get("solver") or {}
    defaults = signature.options(configs.read("method", name)["solver"]["_target_"]).defaults
    same = [k for k, v in own.items() if k in defaults and defaults[k] == v]
    assert not same or "like" in configs.read("method", name)


@pytest.mark.parametrize("name", listed.METHODS)
def test_every_option_is_known_everywhere(name):
    """But for those that are networks of the method's. What has no default is in the YAML, or left open there."""
    node = configs.read("method", name)
    found = signature.options(node["solver"]["_target_"])
    needed = set(found.names) - set(found.defaults)
    assert (
        set(found.defaults) - set(node.get("networks") or {}) | {"_target_", "precision"}
        == set(node["solver"]) - needed
    )


@pytest.mark.parametrize("name", ["dip", "dmplug_lbfgs", "unet"])
def test_a_composed_config_says_the_same(name):
    assert configs.compose([f"method={name}"]).method.solver == configs.read("method", name)["solver"]


def test_an_option_that_the_yaml_does_not_name_can_be_typed():
    assert configs.compose(["method=dmplug", "method.solver.history=7"]).method.solver.history == 7


def test_a_variant_takes_over_what_it_does_not_say():
    base, other = (configs.read("method", name) for name in ("double_dip", "double_dip_tv"))
    assert other["solver"] == base["solver"] | {"regulariser": "tv", "lam": 4e-3}
    taken = ("needs", "check", "data", "knowledge", "citation")
    assert [other[key] for key in taken] == [base[key] for key in taken] and other["name"] == "double_dip_tv"
    assert other["demo"]["all"] == base["demo"]["all"]
    assert configs.read("method", "dmplug_lbfgs")["demo"] == {
        "all": {"iterations": 100, "lr": 1.0, "line_search": True}
    }


FILE = """\
COUNT = len("abc")

def solve(problem, lam=0.1, *, steps=3, count=COUNT, needed):
    return problem.f.pinv(problem.y)
"""


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("count", "the default of count in solve is the expression COUNT.*\\+method.solver.count=VALUE"),
        ("needed", "needed has no default in solve: set it as \\+method.solver.needed=VALUE"),
        ("lam", "lam is no option of solve: options are keyword-only"),
        ("stepz", "Did you mean method.solver.steps\\?"),
    ],
)
def test_why_a_parameter_is_no_option_is_said(tmp_path, option, says):
    (tmp_path / "mine.py").write_text(FILE)
    with pytest.raises(UserError, match=says):
        configs.compose([f"method={tmp_path}/mine.py:solve", f"method.solver.{option}=2"])


@pytest.mark.parametrize("name", listed.METHODS)
def test_what_is_said_to_be_chosen_was_chosen_by_a_command(name):
    """A search is data, or the YAML says that none is on record."""
    text = configs.find("method", name).read_text(encoding="utf-8")
    said = [line for line in text.splitlines() if "chosen" in line.partition("#")[2]]
    assert not [line for line in said if any(word in line for word in ("validation", "search", "tune", "trial"))]
    for search in yaml.safe_load(text).get("chosen") or []:
        assert search["command"].startswith("sipbench tune ") and search["images"].startswith("validation ")
        assert search["date"] and search["options"] and search["tasks"]
