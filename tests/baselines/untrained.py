"""What the tests of untrained networks share: faces to restore and how much better they get, and layers written out."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from sipbench.datasets.faces import Faces
from sipbench.noise import Gaussian
from sipbench.operators import Inpainting
from sipbench.problem import Problem, Rng


def pose(n=2, *, size=32, dtype=torch.float32, operator=Inpainting):
    """Faces, and what was measured of them."""
    x, rng = Faces("validation", size).load(range(n)).to(dtype), Rng.of(0, "faces", range(n))
    f, noise = operator(x.shape, rng.child("operator").portable), Gaussian(0.01)
    return Problem(noise(f(x), rng.child("noise")), f, noise, tuple(x.shape), None, rng.child("solver")), x


def psnr(x_hat, x):
    return 10 * torch.log10(4 / (x_hat.clamp(-1, 1) - x).square().flatten(1).mean(1))


def gain(solve, posed, **settings):
    """How much nearer than the pseudo-inverse an estimate is to the truth, in dB, on average."""
    problem, x = posed
    return (psnr(solve(problem, **settings).x, x) - psnr(problem.f.pinv(problem.y), x)).mean()


def followed(solve, problem, **settings):
    """The estimate, and what was shown of each iteration: x^k and the losses."""
    shown = []

    class Watch:
        def step(self, k, n):
            return True

        def show(self, x_hat, loss):
            shown.append((x_hat, loss))

    return solve(replace(problem, _watch=Watch()), **settings), shown


def part(solve, name):
    """Something else of the module that a solver is from, broken as it may be."""
    return solve.__globals__[name]


def streams(n=2):
    return Rng.of(0, "t", range(n))


def parameters(network):
    return sum(p.numel() for p in network.parameters())


def conv(layer, x, i, stride=1):
    """The convolution of image i, by torch's own functions."""
    return F.conv2d(F.pad(x, [layer.pad] * 4, "reflect") if layer.pad else x, layer.weight[i], layer.bias[i], stride)


def block(layer, x, i, stride=1):
    return F.leaky_relu(F.instance_norm(conv(layer.conv, x, i, stride)), 0.2)


def hourglass(scale, x, i):
    """One scale of image i, and the deeper ones."""
    deep = block(scale.down[1], block(scale.down[0], x, i, 2), i)
    deep = hourglass(scale.deeper, deep, i) if hasattr(scale.deeper, "down") else deep
    deep = F.interpolate(deep, scale_factor=2, mode="bilinear")[..., : x.shape[2], : x.shape[3]]
    joined = deep if scale.skip is None else torch.cat([block(scale.skip, x, i), deep], 1)
    return block(scale.up[1], block(scale.up[0], F.instance_norm(joined), i), i)


def assert_is_the_plain_hourglass(network, z, out=None):
    """The networks side by side are each image's own, of torch's own functions."""
    for i, seen in enumerate(network(z) if out is None else out):
        plain = conv(network.head, hourglass(network.scales, z[i : i + 1], i), i).sigmoid()
        torch.testing.assert_close(seen[None], plain, rtol=0, atol=1e-12)
