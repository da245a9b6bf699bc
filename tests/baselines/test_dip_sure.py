"""DIP with SURE: the divergence, the unbiased estimate, the stop, and the network written out."""

import pytest
import torch
import torch.nn.functional as F

from baselines.common.stopping import Stopper
from baselines.single.dip_sure import S2S, ZeroCrossing, dip_sure, divergence
from baselines.single.layers import Conv, Norm
from sipbench.noise import Gaussian
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng
from tests.baselines.untrained import conv, gain, parameters, part, streams
from tests.parity import difference
from tests.parity.single import dip_sure_and_public

SMALL = {"channels": (8, 8), "width": 12}
N, SIGMA = 6, 0.4


def pose(n, size=16, dtype=torch.float64, sigma=0.4):
    """Smooth images with Gaussian noise."""
    rng = Rng.of(0, "sure", range(n))
    coarse = 1.6 * rng.child("x").uniform(3, 3, 3, dtype=dtype) - 0.8
    x = F.interpolate(coarse, (size, size), mode="bilinear", align_corners=True)
    f, noise = Denoise(x.shape, rng.child("f")), Gaussian(sigma)
    return Problem(noise(x, rng.child("noise")), f, noise, tuple(x.shape), None, rng.child("solver")), x


def linear(images=8000):
    """h(y) = A y + a on vectors, y, a probe for each of many copies, and N."""
    rng = Rng.of(0, "linear", [0])
    A = torch.eye(N, dtype=torch.float64) * 0.5 + 0.3 * rng.normal(N, N, dtype=torch.float64)[0]
    many = torch.Generator().manual_seed(0)
    x = rng.normal(N, dtype=torch.float64)
    y = x + SIGMA * torch.randn(images, N, dtype=torch.float64, generator=many)
    return A, x, y, many


@pytest.mark.parametrize("epsilon", [0.0, 0.3])
def test_the_divergence_of_a_linear_map_is_its_trace(epsilon):
    A, _, y, many = linear()
    y.requires_grad_()
    b = torch.randn(y.shape, dtype=torch.float64, generator=many)
    each = divergence(lambda v: v @ A.T, y @ A.T, y, b, epsilon)
    assert abs(each.mean() - A.trace() / N) < 4 * each.std() / len(y) ** 0.5
    torch.testing.assert_close(each, torch.einsum("bi,ij,bj->b", b, A, b) / N)


def bias(estimate, sigma_e):
    """How far the mean estimate is from the mean error of a linear denoiser, in standard errors."""
    A, x, y, many = linear()
    fed = (y + sigma_e * SIGMA * torch.randn(y.shape, dtype=torch.float64, generator=many)).requires_grad_()
    out = fed @ A.T
    div = divergence(lambda v: v @ A.T, out, fed, torch.randn(y.shape, dtype=torch.float64, generator=many))
    gap = estimate(out, y, div, SIGMA) - (out - x).square().mean(1)
    return abs(gap.mean()) / (gap.std() / len(y) ** 0.5)


def witness(solve):
    for sigma_e in (0.0, 0.5):
        assert bias(part(solve, "esure"), sigma_e) < 4
    assert difference(*dip_sure_and_public(solve)) < 1e-8
    posed = pose(2, 16, torch.float32)
    assert gain(solve, posed, iterations=40, ema=0.8, epsilon=0.5, **SMALL) > 4


def test_it_stops_before_the_estimate_turns_negative():
    losses = torch.tensor([[3.0, 1.0], [2.0, -1.0], [-1.0, 2.0], [5.0, 1.0]])
    like = torch.zeros(2, 1)
    stopper = Stopper(ZeroCrossing(like), like, 1)
    for k, loss in enumerate(losses):
        stopper.update(k, torch.full((2, 1), float(k)), loss=loss)
    assert stopper.best.flatten().tolist() == stopper.stopped.tolist() == [1, 0]
    assert stopper.done


def test_it_is_the_plain_network():
    rng = streams()
    network = S2S(rng, 3, [4, 5, 6], 7, [8, 4], dtype=torch.float64)
    x = rng.uniform(3, 24, 20, dtype=torch.float64)

    def run(modules, v, i):
        for layer in modules:
            kinds = {Conv: lambda: conv(layer, v, i, layer.stride), Norm: lambda: F.instance_norm(v)}  # noqa: B023
            v = kinds.get(type(layer), lambda: F.softplus(v))()  # noqa: B023
        return v

    def up(v, skip):
        v = v.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return torch.cat([v[..., : skip.shape[2], : skip.shape[3]], skip], 1)

    for i in range(2):
        v = x[i : i + 1]
        x1 = run(network.down[0], v, i)
        x2 = run(network.down[1], x1, i)
        x3 = run(network.bottom, run(network.down[2], x2, i), i)
        d = run(network.up[1], up(run(network.up[0], up(x3, x2), i), x1), i)
        plain = conv(network.last[1], run(network.last[0], up(d, v), i), i).sigmoid()
        torch.testing.assert_close(network(x)[i : i + 1], plain, rtol=0, atol=1e-12)
    assert [m.stride for m in network.down[1] if hasattr(m, "stride")] == [2, 1]


def test_published_widths():
    network = S2S(streams(1), 3, (48,) * 5, 96, dtype=torch.float32)
    convs = 9 * (3 * 48 + 9 * 48 * 48 + 48 * 96 + 4 * (144 * 96 + 96 * 96) + 99 * 64 + 64 * 32 + 32 * 3)
    biases = 10 * 48 + 96 + 8 * 96 + 64 + 32 + 3
    norms = 2 * (10 * 48 + 96 + 4 * (144 + 96 + 96) + 64 + 32)
    assert parameters(network) == convs + biases + norms


def test_stopping_does_not_couple_the_batch():
    problem, _ = pose(3)
    settings = SMALL | {"iterations": 80, "ema": 0.5}
    together = dip_sure(problem, **settings)
    alone = [dip_sure(problem.select(slice(i, i + 1)), **settings) for i in range(3)]
    assert together.stopped.tolist() == [e.stopped.item() for e in alone]
    assert together.stopped.min() < 79
    assert (together.x - torch.cat([e.x for e in alone])).abs().max() < 1e-6
