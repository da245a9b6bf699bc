"""The solvers: one file each, grouped by family."""
