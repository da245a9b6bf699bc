"""Classical solvers: no learning."""
