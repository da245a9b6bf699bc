"""Single-instance solvers: no training data at all."""
