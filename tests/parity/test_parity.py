"""A method that calls itself equal to its public code is run beside it, and says so with the same number."""

from importlib import import_module
from pathlib import Path

import pytest

from sipbench import configs
from tests.parity import Peer, difference
from tests.parity.__main__ import PAGE, page

FAMILIES = ("single", "classical", "diffusion", "datarich")  # whose methods all have a badge
MODULES = sorted(p.stem for p in Path(__file__).parent.glob("*.py") if not p.stem.startswith(("test_", "_")))
PEERS: dict[str, Peer] = {}
for module in MODULES:
    PEERS |= import_module(f"tests.parity.{module}").PEERS

METHODS = {name: configs.read("method", name) for name in configs.names("method")}
BADGES = {name: node["parity"] for name, node in METHODS.items() if node.get("parity")}
EQUAL = [name for name, badge in BADGES.items() if badge["verdict"] == "equal"]


@pytest.mark.parametrize("name", PEERS)
def test_it_is_equal_to_its_public_code(name):
    ours, theirs = PEERS[name].run()
    assert theirs.norm() > 0
    assert difference(ours, theirs) < PEERS[name].within


@pytest.mark.parametrize("name", [name for name, node in METHODS.items() if node.get("family") in FAMILIES])
def test_it_has_a_badge(name):
    assert name in BADGES


@pytest.mark.parametrize("name", EQUAL)
def test_a_badge_that_says_equal_says_what_is_tested(name):
    peer, badge = PEERS[name], BADGES[name]
    assert (peer.code, peer.within) == (badge["code"], badge["within"])


def test_the_page_of_badges_is_current():
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.parity"
