"""Neural implicit representations: an image as a function of its coordinates, one small network an image.

V. Sitzmann, J. Martel, A. Bergman, D. Lindell, G. Wetzstein: Implicit Neural Representations with Periodic Activation
Functions (SIREN), NeurIPS 2020, https://arxiv.org/abs/2006.09661
M. Tancik et al.: Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains, NeurIPS 2020,
https://arxiv.org/abs/2006.10739
T. Mueller, A. Evans, C. Schied, A. Keller: Instant Neural Graphics Primitives with a Multiresolution Hash Encoding,
SIGGRAPH 2022, https://arxiv.org/abs/2201.05989

Each is fitted through the forward map: min_theta loss(y - f(x)) + lam R(x), x the function on the grid of pixels.
How they stand to the public code: docs/notes/inr.md.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.common.losses import DataLoss, Penalty
from baselines.common.stopping import Stop
from baselines.single.fields import FourierFeatures, HashGrid, relu_network, sine_network
from baselines.single.fit import fit, objective
from sipbench.problem import Estimate, Problem


def coordinates(problem: Problem, axis: Callable[[Tensor, int], Tensor], dtype: torch.dtype) -> Tensor:
    """The coordinates (H W, 2) of the pixels, down and right; axis(i, n) is that of pixel i of n along a side."""
    sides = [(torch.arange(n, dtype=torch.float64, device=problem.device), n) for n in problem.shape[2:]]
    down, right = (axis(i, n).to(dtype) for i, n in sides)
    return torch.stack(torch.meshgrid(down, right, indexing="ij"), -1).flatten(0, 1)


def pixels(problem: Problem, values: Tensor) -> Tensor:
    """Values at the pixels (B, H W, C) as images."""
    return values.transpose(1, 2).unflatten(2, problem.shape[2:])


def siren(
    problem: Problem,
    *,
    iterations: int = 10_000,
    lr: float = 1e-4,
    hidden: int = 256,
    layers: int = 3,
    omega: float = 30.0,
    loss: DataLoss = "mse",
    regulariser: Penalty = "none",
    lam: float = 0.0,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """x(v) = W_n sin(omega (.. sin(omega (W_0 v + b_0)) ..)) + b_n on v in [-1, 1]^2, by Adam.

    `layers` counts the hidden x hidden matrices, as the public code does. A smaller omega is smoother. An iteration
    costs 3 H W layers hidden^2 products.
    """
    rng, dtype = problem.rng, problem.y.dtype
    v = coordinates(problem, lambda i, n: 2 * i / max(1, n - 1) - 1, dtype).expand(len(rng), -1, -1)
    G = sine_network(rng.child("theta").portable, problem.shape[1], hidden, layers, omega, dtype)
    return fit(
        problem,
        lambda k: pixels(problem, G(v)),
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam),
        stop=stop,
    )


def fourier_features(
    problem: Problem,
    *,
    iterations: int = 2000,
    lr: float = 1e-4,
    hidden: int = 256,
    layers: int = 4,
    features: int = 256,
    scale: float = 10.0,
    loss: DataLoss = "mse",
    regulariser: Penalty = "none",
    lam: float = 0.0,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """A ReLU network of `layers` layers with a sigmoid on (cos 2 pi B v, sin 2 pi B v), v in [0, 1)^2, by Adam.

    B holds `features` normal frequencies of standard deviation `scale`, in cycles an image side; a smaller one is
    smoother. An iteration costs 3 H W hidden (2 features + (layers - 2) hidden) products.
    """
    rng, dtype = problem.rng, problem.y.dtype
    v = coordinates(problem, lambda i, n: i / n, dtype).expand(len(rng), -1, -1)
    encoded = FourierFeatures(rng.child("frequencies").portable, features, scale, dtype)(v)
    widths = [2 * features, *[hidden] * (layers - 1), problem.shape[1]]
    G = relu_network(rng.child("theta").portable, widths, 0.01, dtype)
    return fit(
        problem,
        lambda k: pixels(problem, 2 * G(encoded).sigmoid() - 1),
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam),
        stop=stop,
    )


def hash_grid(
    problem: Problem,
    *,
    iterations: int = 10_000,
    lr: float = 0.01,
    weight_decay: float = 1e-6,
    levels: int = 16,
    features: int = 2,
    log2_T: int | None = 15,
    n_min: int = 16,
    n_max: int | None = None,
    hidden: int = 64,
    layers: int = 2,
    loss: DataLoss = "mse",
    regulariser: Penalty = "none",
    lam: float = 0.0,
    stop: Stop = Stop("fixed"),
) -> Estimate:
    """A ReLU network with `layers` hidden layers and no biases on features interpolated from `levels` grids, by Adam.

    The grids have floor(n_min b^l) cells a side, up to n_max: half the image's longer side. log2_T None makes plain
    dense grids. `weight_decay` acts on the network alone. An iteration costs 3 H W (4 levels features + hidden (levels
    features + (layers - 1) hidden)) products.
    """
    rng, dtype = problem.rng, problem.y.dtype
    v = coordinates(problem, lambda i, n: (i + 0.5) / n, torch.float64)
    finest = max(2, max(problem.shape[2:]) // 2) if n_max is None else n_max
    grid = {"levels": levels, "features": features, "log2_T": log2_T, "n_min": min(n_min, finest), "n_max": finest}
    encode = HashGrid(rng.child("table").portable, v, **grid, dtype=dtype)
    widths = [levels * features, *[hidden] * layers, problem.shape[1]]
    G = relu_network(rng.child("theta").portable, widths, None, dtype)
    groups = [{"params": encode.parameters()}, {"params": G.parameters(), "weight_decay": weight_decay}]
    return fit(
        problem,
        lambda k: pixels(problem, G(encode())),
        torch.optim.Adam(groups, lr=lr, betas=(0.9, 0.99), eps=1e-15),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam),
        stop=stop,
    )
