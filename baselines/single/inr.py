"""Neural implicit representations: an image as a function of its coordinates, one small network an image.

V. Sitzmann, J. Martel, A. Bergman, D. Lindell, G. Wetzstein: Implicit Neural Representations with Periodic Activation
Functions (SIREN), NeurIPS 2020, https://arxiv.org/abs/2006.09661
M. Tancik et al.: Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains, NeurIPS 2020,
https://arxiv.org/abs/2006.10739
T. Mueller, A. Evans, C. Schied, A. Keller: Instant Neural Graphics Primitives with a Multiresolution Hash Encoding,
SIGGRAPH 2022, https://arxiv.org/abs/2201.05989

Each is fitted through the forward map: min_theta loss(y - f(x)) + lam R(x), x the function on the grid of pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.losses import data_loss, penalty
from baselines.common.stopping import make_stopper
from baselines.single.fit import fit
from sipbench.problem import Estimate, Problem, Rng

PRIME = 2_654_435_761  # of the spatial hash, ix xor iy PRIME


class Linear(nn.Module):
    """x W + b with W (B, n, m) and b (B, 1, m): one layer an image, x being (B, P, n)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.bias = None if bias is None else nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


def uniform(rng: Rng, n: int, m: int, bound: float, dtype: torch.dtype) -> Tensor:
    return bound * (2 * rng.uniform(n, m, dtype=dtype) - 1)


class Sine(nn.Module):
    """sin(omega x)."""

    def __init__(self, omega: float) -> None:
        super().__init__()
        self.omega = omega

    def forward(self, x: Tensor) -> Tensor:
        return (self.omega * x).sin()


def sine_network(rng: Rng, c_out: int, hidden: int, layers: int, omega: float, dtype: torch.dtype) -> nn.Sequential:
    """layers + 1 layers sin(omega (x W + b)) on two coordinates, and a linear one.

    W is uniform on +- 1/2 in the first layer and on +- sqrt(6 / n) / omega after it, so that the later arguments of
    the sines start nearly as standard normals; b has torch's default, +- 1 / sqrt(n).
    """
    widths = [2, *[hidden] * (layers + 1), c_out]
    modules: list[nn.Module] = []
    for i, (n, m) in enumerate(zip(widths, widths[1:], strict=False)):
        bound = 1 / n if i == 0 else (6 / n) ** 0.5 / omega
        modules += [Linear(uniform(rng, n, m, bound, dtype), uniform(rng, 1, m, n**-0.5, dtype)), Sine(omega)]
    return nn.Sequential(*modules[:-1])


def relu_network(rng: Rng, widths: Sequence[int], bias: float | None, dtype: torch.dtype) -> nn.Sequential:
    """Linear layers with ReLU in between, W normal of variance 2 / (n + m) (Glorot), b normal of std `bias` or none."""
    modules: list[nn.Module] = []
    for n, m in zip(widths, widths[1:], strict=False):
        W = (2 / (n + m)) ** 0.5 * rng.normal(n, m, dtype=dtype)
        modules += [Linear(W, None if bias is None else bias * rng.normal(1, m, dtype=dtype)), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


class FourierFeatures(nn.Module):
    """(cos 2 pi B v, sin 2 pi B v) of coordinates v (B, P, 2), B normal of standard deviation `scale`; fixed."""

    def __init__(self, rng: Rng, features: int, scale: float, dtype: torch.dtype) -> None:
        super().__init__()
        self.B = scale * rng.normal(2, features, dtype=dtype)

    def forward(self, v: Tensor) -> Tensor:
        phase = 2 * math.pi * (v @ self.B)
        return torch.cat([phase.cos(), phase.sin()], -1)


class HashGrid(nn.Module):
    """Features at the vertices of grids of growing resolution, interpolated at fixed coordinates v (P, 2) in [0, 1].

    A grid with more than 2^log2_T vertices shares 2^log2_T entries by a hash; with log2_T None every vertex has its
    own. -> (B, P, levels * features).
    """

    def __init__(
        self,
        rng: Rng,
        v: Tensor,
        *,
        levels: int,
        features: int,
        log2_T: int | None,
        n_min: int,
        n_max: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        growth = (n_max / n_min) ** (1 / max(1, levels - 1))
        self.resolutions = [int(n_min * growth**i + 1e-6) for i in range(levels)]
        indices, weights, entries = [], [], 0
        for n in self.resolutions:
            size = (n + 1) ** 2 if log2_T is None else min((n + 1) ** 2, 2**log2_T)
            corner = (v * n).floor().clamp(max=n - 1)
            a = v * n - corner
            i, j = corner.long().unbind(1)
            i, j = torch.stack([i, i, i + 1, i + 1], 1), torch.stack([j, j + 1, j, j + 1], 1)
            hashed = size < (n + 1) ** 2
            indices.append(entries + ((j ^ (i * PRIME)) % size if hashed else i * (n + 1) + j))
            rows, columns = torch.stack([1 - a[:, 0], a[:, 0]], 1), torch.stack([1 - a[:, 1], a[:, 1]], 1)
            weights.append((rows[:, :, None] * columns[:, None]).flatten(1))
            entries += size
        self.index, self.weight = torch.stack(indices, 1).flatten(0, 1), torch.stack(weights, 1).flatten(0, 1).to(dtype)
        self.table = nn.Parameter(uniform(rng, entries, features, 1e-4, dtype))

    def forward(self) -> Tensor:
        images, _, features = self.table.shape
        table = self.table.transpose(0, 1).flatten(1)
        mixed = F.embedding_bag(self.index, table, per_sample_weights=self.weight, mode="sum")
        return mixed.view(-1, len(self.resolutions), images, features).permute(2, 0, 1, 3).flatten(2)


def coordinates(problem: Problem, axis: Callable[[Tensor, int], Tensor], dtype: torch.dtype) -> Tensor:
    """The coordinates (H W, 2) of the pixels, down and right; axis(i, n) is that of pixel i of n along a side."""
    sides = [(torch.arange(n, dtype=torch.float64, device=problem.device), n) for n in problem.shape[2:]]
    down, right = (axis(i, n).to(dtype) for i, n in sides)
    return torch.stack(torch.meshgrid(down, right, indexing="ij"), -1).flatten(0, 1)


def field(
    problem: Problem,
    y: Tensor,
    image: Callable[[], Tensor],
    optimiser: torch.optim.Optimizer,
    *,
    iterations: int,
    loss: str,
    regulariser: str,
    lam: float,
    stopping: str,
    window: int | None,
    patience: int | None,
    alpha: float,
) -> Estimate:
    """Fit image() (B, H W, C) to y."""
    data, R = data_loss(loss), penalty(regulariser)
    like = torch.zeros(problem.shape, dtype=y.dtype, device=problem.device)
    return fit(
        problem,
        lambda k: image().transpose(1, 2).unflatten(2, problem.shape[2:]),
        optimiser,
        iterations=iterations,
        misfit=lambda x: data(problem.f(x) - y) + lam * R(x) if lam else data(problem.f(x) - y),
        stopper=make_stopper(stopping, like, window=window, patience=patience, alpha=alpha, rng=problem.rng),
    )


def siren(
    problem: Problem,
    *,
    iterations: int = 10_000,
    lr: float = 1e-4,
    hidden: int = 256,
    layers: int = 3,
    omega: float = 30.0,
    loss: str = "mse",
    regulariser: str = "none",
    lam: float = 0.0,
    stopping: str = "fixed",
    window: int | None = None,
    patience: int | None = None,
    alpha: float = 0.1,
    double: bool = False,
) -> Estimate:
    """x(v) = W_n sin(omega (.. sin(omega (W_0 v + b_0)) ..)) + b_n on v in [-1, 1]^2, by Adam.

    `layers` counts the hidden x hidden matrices, as the public code does. A smaller omega is smoother. An iteration
    costs 3 H W layers hidden^2 products.
    """
    rng, y = problem.rng, problem.y.double() if double else problem.y
    v = coordinates(problem, lambda i, n: 2 * i / (n - 1) - 1, y.dtype)
    v = v.expand(len(rng), -1, -1)
    G = sine_network(rng.child("theta").portable, problem.shape[1], hidden, layers, omega, y.dtype)
    return field(
        problem,
        y,
        lambda: G(v),
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        loss=loss,
        regulariser=regulariser,
        lam=lam,
        stopping=stopping,
        window=window,
        patience=patience,
        alpha=alpha,
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
    loss: str = "mse",
    regulariser: str = "none",
    lam: float = 0.0,
    stopping: str = "fixed",
    window: int | None = None,
    patience: int | None = None,
    alpha: float = 0.1,
    double: bool = False,
) -> Estimate:
    """A ReLU network of `layers` layers with a sigmoid on (cos 2 pi B v, sin 2 pi B v), v in [0, 1)^2, by Adam.

    B holds `features` normal frequencies of standard deviation `scale`, in cycles an image side; a smaller one is
    smoother. An iteration costs 3 H W hidden (2 features + (layers - 2) hidden) products.
    """
    rng, y = problem.rng, problem.y.double() if double else problem.y
    v = coordinates(problem, lambda i, n: i / n, y.dtype).expand(len(rng), -1, -1)
    encoded = FourierFeatures(rng.child("frequencies").portable, features, scale, y.dtype)(v)
    widths = [2 * features, *[hidden] * (layers - 1), problem.shape[1]]
    G = relu_network(rng.child("theta").portable, widths, 0.01, y.dtype)
    return field(
        problem,
        y,
        lambda: 2 * G(encoded).sigmoid() - 1,
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        loss=loss,
        regulariser=regulariser,
        lam=lam,
        stopping=stopping,
        window=window,
        patience=patience,
        alpha=alpha,
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
    loss: str = "mse",
    regulariser: str = "none",
    lam: float = 0.0,
    stopping: str = "fixed",
    window: int | None = None,
    patience: int | None = None,
    alpha: float = 0.1,
    double: bool = False,
) -> Estimate:
    """A ReLU network with `layers` hidden layers and no biases on features interpolated from `levels` grids, by Adam.

    The grids have floor(n_min b^l) cells a side, up to n_max: half the image's longer side as published for pictures.
    Above it the features of a pixel are its own, and what is not measured is not learnt. log2_T None makes plain dense
    grids. Here the output is x on [-1, 1] as it is, so that a fit starts from grey. `weight_decay` acts on the network
    alone. An iteration costs 3 H W (4 levels features + hidden (levels features + (layers - 1) hidden)) products.
    """
    rng, y = problem.rng, problem.y.double() if double else problem.y
    v = coordinates(problem, lambda i, n: (i + 0.5) / n, torch.float64)
    finest = max(2, max(problem.shape[2:]) // 2) if n_max is None else n_max
    grid = {"levels": levels, "features": features, "log2_T": log2_T, "n_min": min(n_min, finest), "n_max": finest}
    encode = HashGrid(rng.child("table").portable, v, **grid, dtype=y.dtype)
    widths = [levels * features, *[hidden] * layers, problem.shape[1]]
    G = relu_network(rng.child("theta").portable, widths, None, y.dtype)
    groups = [
        {"params": list(encode.parameters())},
        {"params": list(G.parameters()), "weight_decay": weight_decay},
    ]
    return field(
        problem,
        y,
        lambda: G(encode()),
        torch.optim.Adam(groups, lr=lr, betas=(0.9, 0.99), eps=1e-15),
        iterations=iterations,
        loss=loss,
        regulariser=regulariser,
        lam=lam,
        stopping=stopping,
        window=window,
        patience=patience,
        alpha=alpha,
    )
