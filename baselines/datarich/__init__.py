"""Data-rich solvers: networks trained on pairs, unrolled algorithms, plug-and-play denoisers."""
