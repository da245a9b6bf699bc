"""Everything that conf/ lists, for the contract tests: a new YAML is picked up by itself."""

from functools import cache

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.degradation import Degradation, small
from sipbench.errors import UserError
from sipbench.operators.unknowns import CHANNELS

METHODS = configs.names("method")
DEGRADATIONS = configs.names("degradation")
DATASETS = configs.names("dataset")
PRIORS = configs.names("prior")


@cache
def cell(*words):
    return Cell.of(configs.compose(list(words)), list(words))


@cache
def degradation(name):
    """The degradation with what its `check` sets, for small images."""
    return Degradation.of(small(cell(f"degradation={name}", "prior=none").degradation))


def kind(name):
    """The class of its operator."""
    return configs.locate(configs.read("degradation", name)["operator"]["_target_"])


def channels(name):
    """The channels of x it is tried with."""
    wanted = CHANNELS[configs.read("degradation", name).get("unknown", "image")]
    return [wanted] if wanted else [1, 3]


def build(name, shape, rng):
    """The operator of a degradation for images of a shape; None where it does not take that shape."""
    try:
        return degradation(name).build(shape, rng)
    except UserError:
        return None


def check(name):
    """What its `check` sets, as words of the command line."""
    node = configs.read("degradation", name).get("check") or {}
    return [f"++degradation.operator.{key}={value}" for key, value in node.items()]
