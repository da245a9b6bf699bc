"""Optimisers for many images at once: each has its own curvature, step size and stopping."""
