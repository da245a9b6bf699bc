"""Everything that conf/ lists, for the contract tests: a new YAML is picked up by itself."""

from functools import cache

from sipbench import configs
from sipbench.cell import Cell
from sipbench.degradation import Degradation
from sipbench.errors import UserError

METHODS = configs.names("method")
DEGRADATIONS = configs.names("degradation")
DATASETS = configs.names("dataset")
PRIORS = configs.names("prior")


@cache
def cell(*words):
    return Cell.of(configs.compose(list(words)), list(words))


@cache
def degradation(name):
    return Degradation.of(cell(f"degradation={name}", "prior=none").degradation)


def build(name, shape, rng):
    """The operator of a degradation for images of a shape; None where it does not take that shape."""
    try:
        return degradation(name).build(shape, rng)
    except UserError:
        return None
