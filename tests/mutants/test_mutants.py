"""Every mutant is seen by the witness of its solver, and the solver itself is not taken for one.

The witness of baselines/diffusion/dps.py is `witness(solve)` in tests/baselines/test_dps.py: it asserts what only the
right algorithm does. A file with several solvers has one for each, such as `witness_siren`; a mutant may also name the
one that must see it, such as `witness_posterior`.
"""

import importlib

import pytest

from tests.mutants import Mutant, classical, datarich, diffusion, generators, single

MUTANTS = [*classical.MUTANTS, *datarich.MUTANTS, *diffusion.MUTANTS, *generators.MUTANTS, *single.MUTANTS]
WITNESSES = sorted({(mutant.solver, mutant.witness) for mutant in MUTANTS})


def witness(solver: str, name: str = ""):
    module, _, function = solver.rpartition(".")
    tests = importlib.import_module(f"tests.baselines.test_{module.rpartition('.')[2]}")
    return getattr(tests, f"witness_{name}") if name else getattr(tests, f"witness_{function}", None) or tests.witness


@pytest.mark.parametrize(("solver", "name"), WITNESSES)
def test_the_solver_satisfies_its_witness(solver, name):
    module, _, function = solver.rpartition(".")
    witness(solver, name)(getattr(importlib.import_module(f"baselines.{module}"), function))


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_is_seen(mutant):
    solve = mutant.solve()
    with pytest.raises((AssertionError, ArithmeticError, RuntimeError, ValueError, IndexError, TypeError)):
        witness(mutant.solver, mutant.witness)(solve)


def test_a_mutant_that_no_longer_applies_says_so():
    with pytest.raises(AssertionError, match="no longer applies"):
        Mutant("gone", "diffusion.dps.dps", "there_is_no_such_name + 1", "0").solve()
