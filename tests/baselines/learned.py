"""What the tests of trained solvers share: their networks with random weights, and problems as matrices."""

import numpy as np
import torch

from tests.baselines.reference import OPERATORS, dense, gap, pose

OPERATORS = {name: OPERATORS[name] for name in ("inpainting", "bicubic", "blur")}


def own(solve, name):
    """A class of the solver's own module: of the broken one, where that is on trial."""
    return solve.__globals__[name]


def ready(solve, net, problem, std=0.1, **options):
    """The network in double precision, sized by one run, with every parameter away from where it began."""
    with torch.no_grad():
        solve(problem, net=net, **options)
    source = torch.Generator().manual_seed(1)
    net = net.double().requires_grad_(False)
    for parameter in net.parameters():
        parameter += std * torch.randn(parameter.shape, generator=source, dtype=torch.float64)
    return net


def solved(problem, one):
    """one(i, A, y) of each image in numpy, put together as images."""
    rows = []
    for i in range(len(problem.y)):
        A = dense(problem.f.select(slice(i, i + 1)), problem.shape[1:])
        rows.append(one(A, problem.y[i].flatten().numpy()))
    return torch.from_numpy(np.stack(rows)).view(problem.shape)


def applied(network, shape, *rows):
    """A network of images on vectors, as numpy has them."""
    images = [torch.from_numpy(np.asarray(row)).view(1, *shape) for row in rows]
    return network(*images).flatten().numpy()


__all__ = ["OPERATORS", "applied", "dense", "gap", "own", "pose", "ready", "solved"]
