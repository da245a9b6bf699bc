"""Deep Decoder: an untrained network with fewer parameters than pixels, and without convolutions.

R. Heckel, P. Hand: Deep Decoder: Concise Image Representations from Untrained Non-convolutional Networks, ICLR 2019,
https://arxiv.org/abs/1810.03982
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.common.losses import DataLoss, Penalty
from baselines.common.stopping import Stop
from baselines.single.fit import afresh, fit, objective, weights
from baselines.single.inputs import fixed_input
from baselines.single.layers import Norm
from sipbench.problem import Estimate, Problem, Rng


def pyramid(size: Sequence[int], scales: int) -> list[tuple[int, int]]:
    """The sizes from the coarsest to `size`, each half of the next, rounded up."""
    h, w = size
    return [(-(-h // 2**i), -(-w // 2**i)) for i in reversed(range(scales + 1))]


class Mix(nn.Module):
    """A 1 x 1 convolution without bias, one an image: linear combinations of the channels."""

    def __init__(self, rng: Rng, c_in: int, c_out: int, *, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(c_in**-0.5 * (2 * rng.uniform(c_out, c_in, dtype=dtype) - 1))

    def forward(self, x: Tensor) -> Tensor:
        return (self.weight @ x.flatten(2)).unflatten(2, x.shape[2:])


class DeepDecoder(nn.Module):
    """G_theta: (B, k, h, w) -> (B, c_out, H, W) in [0, 1], with one theta for each stream of rng.

    Blocks of mixing, bilinear upsampling by two, ReLU and norm, one without upsampling, and a mixing into c_out
    channels. With `conv_first` off, each block but the first upsamples before it mixes.
    """

    def __init__(
        self,
        rng: Rng,
        k: int,
        c_out: int,
        size: Sequence[int],
        *,
        scales: int = 5,
        conv_first: bool = True,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.sizes, self.conv_first = pyramid(size, scales), conv_first
        h, w = self.sizes[0]
        if h * w < 2:
            raise ValueError(
                f"{scales} scales leave one pixel of images of {size[0]} x {size[1]}: name fewer in scales"
            )
        self.mix = nn.ModuleList([Mix(rng, k, k, dtype=dtype) for _ in range(scales + 1)])
        self.norm = nn.ModuleList([Norm(rng, k, dtype=dtype) for _ in range(scales + 1)])
        self.head = Mix(rng, k, c_out, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        sizes = [*self.sizes[1:], self.sizes[-1]] if self.conv_first else self.sizes
        for mix, norm, size in zip(self.mix, self.norm, sizes, strict=True):
            x = resized(mix(x), size) if self.conv_first else mix(resized(x, size))
            x = norm(F.relu(x))
        return self.head(x).sigmoid()


def resized(x: Tensor, size: Sequence[int]) -> Tensor:
    return x if x.shape[2:] == tuple(size) else F.interpolate(x, tuple(size), mode="bilinear")


def deep_decoder(
    problem: Problem,
    *,
    iterations: int = 1900,
    lr: float = 0.01,
    loss: DataLoss = "mse",
    regulariser: Penalty = "none",
    lam: float = 0.0,
    k: int = 128,
    scales: int = 5,
    conv_first: bool = True,
    sigma_z: float = 0.0,
    decay: float = 0.7,
    decay_every: int = 500,
    stop: Stop = Stop("loss"),
) -> Estimate:
    """min_theta loss(y - f(G_theta(z))) + lam R(G_theta(z)) by Adam; z is fixed, uniform on [0, 0.1], small.

    G mixes the k channels at each of `scales` + 1 sizes and interpolates in between. What comes back is G_theta(z) of
    the weights after the step of the smallest loss, as published. z may be perturbed by
    sigma_z decay^(1 + k // decay_every). An iteration costs k^2 (scales + 1) products at every size. How it stands to
    the public code: docs/notes/deep_decoder.md.
    """
    rng, dtype, size = problem.rng, problem.y.dtype, problem.shape[2:]
    theta, noise = rng.child("theta").portable, rng.child("perturbation")
    G = DeepDecoder(theta, k, problem.shape[1], size, scales=scales, conv_first=conv_first, dtype=dtype)
    z = fixed_input("uniform", rng, k, G.sizes[0], dtype)

    def generate(i: int) -> Tensor:
        sigma = sigma_z * decay ** (1 + i // decay_every)
        return 2 * G(z + sigma * noise.normal_like(z) if sigma else z) - 1

    estimate = fit(
        problem,
        generate,
        torch.optim.Adam(G.parameters(), lr=lr),
        iterations=iterations,
        misfit=objective(problem, loss, regulariser, lam),
        stop=stop,
        theta=lambda: weights(G),
    )
    return afresh(estimate, G, lambda: 2 * G(z) - 1)
