"""Solvers that plug in a pretrained generative prior."""
