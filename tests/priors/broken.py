"""A module with a mistake in it."""

from tests.mutants import Swap, execute


def broken(module, right, wrong):
    """The module once one piece of its code is another; matched on the syntax tree."""
    return execute(module.__name__, Swap(right, wrong).source(module.__name__))
