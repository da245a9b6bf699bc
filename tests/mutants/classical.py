"""Broken variants of the classical solvers."""

from tests.mutants import Mutant

MUTANTS: list[Mutant] = []
