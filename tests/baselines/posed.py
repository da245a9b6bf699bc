"""Linear problems for the classical solvers: squares on a slope, in double precision; and what their tests share."""

from dataclasses import replace

import deepinv
import torch

from sipbench.noise import Gaussian
from sipbench.operators.blur import Blur
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng
from tests import dense


def pose(make=Denoise, *, images=(0, 1), size=24, channels=1, sigma=0.2):
    """The problem of these images; make(shape, rng) is the forward map."""
    rng, shape = Rng.of(0, "posed", images), (len(images), channels, size, size)
    f = make(shape, rng.child("operator").portable)
    x = torch.linspace(-0.5, 0.5, size, dtype=torch.float64).expand(shape).clone()
    x[..., size // 4 : size // 2, size // 3 :] += 0.4 * torch.arange(1, channels + 1).view(-1, 1, 1) / channels
    y = Gaussian(sigma)(f(x), rng.child("noise").portable)
    return Problem(y, f, Gaussian(sigma), shape, None, rng.child("solver"))


def blur(boundary="reflect", size=5):
    """A Gaussian blur; with circular borders it has a singular value decomposition."""
    return lambda shape, rng: Blur(shape, rng, kernel="gaussian", size=size, sigma=1.0, boundary=boundary)


def motion(shape, rng):
    """A blur of another kernel, so of another norm, for each image."""
    return Blur(shape, rng, kernel="motion", size=5, boundary="reflect")


def matrix(f, shape):
    """The map of the first image as a matrix."""
    return dense.matrix(f.select(slice(0, 1)), shape[1:])


def far(a, b):
    """The relative distance of a from b."""
    return float((a - b).norm() / b.norm())


def physics(problem):
    """The forward map as deepinv takes it."""
    return deepinv.physics.LinearPhysics(A=problem.f, A_adjoint=problem.f.T)


def hidden(problem):
    """The same problem where the noise is not told."""
    return replace(problem, noise=None)
