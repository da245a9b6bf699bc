"""Broken variants of the single solvers."""

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []
