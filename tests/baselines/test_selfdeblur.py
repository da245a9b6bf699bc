"""SelfDeblur: its networks, its losses, and the kernels it finds."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from baselines.single.hourglass import Hourglass
from baselines.single.kernels import Kernel
from baselines.single.selfdeblur import NonLocal, look_around, selfdeblur, ssim
from sipbench.metrics import kernel_similarity
from sipbench.problem import Rng
from tests.baselines.blind import BOXED, pose
from tests.baselines.untrained import followed, parameters, part, streams

SMALL = {"input_channels": 4, "channels": (8, 8, 8), "skip": (4, 4, 4), "milestones": (5, 8)}


def images(b=2, c=3, h=16, w=15, seed=0):
    return Rng.of(seed, "selfdeblur", range(b)).uniform(c, h, w, dtype=torch.float64) * 2 - 1


def ssim_in_scipy(a, b):
    at = np.arange(-5, 6)
    g = np.exp(-0.5 * (at / 1.5) ** 2)
    g /= g.sum()

    def mean(v):
        rows = ndimage.convolve1d(v, g, axis=0, mode="constant")
        return ndimage.convolve1d(rows, g, axis=1, mode="constant")

    a, b = (a + 1) / 2, (b + 1) / 2
    m, n = mean(a), mean(b)
    v, w, c = mean(a * a) - m * m, mean(b * b) - n * n, mean(a * b) - m * n
    s = (2 * m * n + 1e-4) * (2 * c + 9e-4) / ((m * m + n * n + 1e-4) * (v + w + 9e-4))
    return s.mean()


def witness(solve):
    """The squared error comes first, then 1 - SSIM; and the kernels of a straight motion are found."""
    assert_is_the_public_block(part(solve, "NonLocal")(streams(), 6, torch.float64), images(c=6))
    problem, *_ = pose(40, size=9, dtype=torch.float64)
    found, shown = followed(solve, problem, iterations=6, mse_iterations=5, **SMALL)
    y_hat = problem.f(found.x, found.theta)
    torch.testing.assert_close(shown[-1][1], 1 - ssim(y_hat, problem.y), rtol=0, atol=1e-10)
    found, shown = followed(solve, problem, iterations=5, mse_iterations=5, **SMALL)
    y_hat = problem.f(found.x, found.theta)
    torch.testing.assert_close(shown[-1][1], (y_hat - problem.y).square().flatten(1).mean(1) / 4, rtol=0, atol=1e-10)

    problem, _, theta = pose(40, **BOXED)
    sizes = {"channels": (16, 16), "skip": (0, 4), "milestones": (125,), "lr_kernel": 1e-3}
    found = solve(problem, iterations=150, mse_iterations=100, **sizes)
    assert kernel_similarity(found.theta["kernel"], theta["kernel"]).mean() > 0.8


def test_ssim():
    a, b = images(), images(seed=1)
    expected = [np.mean([ssim_in_scipy(*uv) for uv in zip(*xy, strict=True)]) for xy in zip(a.numpy(), b.numpy(), strict=True)]  # fmt: skip  # noqa: E501
    torch.testing.assert_close(ssim(a, b), torch.tensor(expected), rtol=0, atol=1e-12)
    torch.testing.assert_close(ssim(a, a), torch.ones(2, dtype=torch.float64))


def test_the_published_networks():
    G = Hourglass(streams(1), 8, 1, skip=(16,) * 5)
    plain = parameters(G)
    look_around(G, streams(1), torch.float32)
    block = 3 * (128 * 64 + 64) + 64 * 128 + 128 + 2 * 128
    assert parameters(G) - plain == 3 * block
    problem, *_ = pose(64, n=1, size=21)
    assert parameters(Kernel(problem, "mlp", None, torch.float32)) == 200 * 1000 + 1000 + 1000 * 441 + 441


class PublicBlock(nn.Module):
    """The non-local block that the public code takes over, sub-sampling as it does by default, for one image."""

    def __init__(self, c):
        super().__init__()
        self.g, self.theta, self.phi = (nn.Conv2d(c, c // 2, 1) for _ in range(3))
        self.W, self.norm = nn.Conv2d(c // 2, c, 1), nn.BatchNorm2d(c)

    def forward(self, x):
        pool = nn.MaxPool2d(2)
        values, keys = pool(self.g(x))[0], pool(self.phi(x))[0]
        alike = torch.einsum("cij,cpq->ijpq", self.theta(x)[0], keys) / keys[0].numel()
        return x + self.norm(self.W(torch.einsum("ijpq,cpq->cij", alike, values)[None]))


def assert_is_the_public_block(block, x):
    assert torch.equal(block(x), x)
    nn.init.ones_(block.norm.weight)
    for i, seen in enumerate(block(x)):
        plain = PublicBlock(x.shape[1]).double()
        for name, parameter in plain.named_parameters():
            parameter.data = block.get_parameter(name).data[i]
        torch.testing.assert_close(seen[None], plain(x[i : i + 1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(16, 14), (15, 9)])
def test_a_non_local_block_is_the_public_one(size):
    assert_is_the_public_block(NonLocal(streams(), 6, torch.float64), images(2, 6, *size))


def test_a_kernel_of_a_size_lies_in_the_middle_of_its_box():
    problem, *_ = pose(40, size=11)
    k = selfdeblur(problem, iterations=3, kernel_size=5, **SMALL).theta["kernel"]
    assert k.shape == (2, 1, 11, 11)
    torch.testing.assert_close(k[..., 3:8, 3:8].sum((1, 2, 3)), torch.ones(2))
    with pytest.raises(ValueError, match="within the box"):
        selfdeblur(problem, kernel_size=12)
