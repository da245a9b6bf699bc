"""Broken variants of the diffusion solvers."""

from tests.mutants import Mutant

MUTANTS = [
    Mutant("norm squared", "diffusion.dps.dps", "ANY.flatten(1).norm(dim=1)", "ANY.flatten(1).square().sum(1)"),
]
