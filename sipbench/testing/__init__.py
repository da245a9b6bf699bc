"""The contract of a solver, as checks that anyone can run on a solver of their own."""

from sipbench.testing.contract import check
from sipbench.testing.findings import Finding, render

__all__ = ["Finding", "check", "render"]
