"""Networks made elsewhere beside their own calls: spandrel's, and deepinv's with a physics of its own."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import deepinv
import spandrel
import torch
from spandrel.architectures.NAFNet import NAFNet

from baselines.datarich.external import external
from baselines.datarich.reconstructor import reconstructor
from sipbench.foreign.load import network
from sipbench.foreign.network import Foreign
from sipbench.noise import Gaussian
from sipbench.operators import Inpainting
from sipbench.operators.colour import Denoise
from sipbench.problem import Problem, Rng
from tests.parity import Peer

SIDE, SIGMA = 20, 0.1


def posed(make):
    rng, shape = Rng.of(0, "external", [0, 1]), (2, 3, SIDE, SIDE)
    f = make(shape, rng.child("operator").portable)
    x = rng.child("x").portable.uniform(*shape[1:]) - 0.5
    return Problem(Gaussian(SIGMA)(f(x), rng.child("noise").portable), f, Gaussian(SIGMA), shape, None, rng)


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make()
    for parameter in net.parameters():
        if not parameter.any():
            torch.nn.init.constant_(parameter, 0.05)
    return net.eval().requires_grad_(False)


def spandrels():
    """A NAFNet with random weights from one file, each image by itself as spandrel asks for."""
    problem = posed(Denoise)
    net = seeded(lambda: NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "nafnet.pth"
        torch.save({"params": net.state_dict()}, path)
        theirs, ours = spandrel.ModelLoader().load_from_file(path), network(path, trusted=True)
    expected = torch.cat([theirs((one + 1) / 2) for one in problem.y.split(1)])
    return external(problem, net=ours), 2 * expected - 1


@cache
def deepinvs():
    """RAM with random weights, beside deepinv's own inpainting on [0, 1]."""
    problem = posed(Inpainting)
    net = seeded(lambda: deepinv.models.RAM(in_channels=(3,), pretrained=False))
    images, mask = [], problem.f(torch.ones(problem.shape))
    for y, m in zip(problem.y.split(1), mask.split(1), strict=True):
        physics = deepinv.physics.Inpainting(
            problem.shape[1:], mask=m, noise_model=deepinv.physics.GaussianNoise(SIGMA / 2)
        )
        images.append(net((y + m) / 2, physics))
    return reconstructor(problem, net=Foreign(net)), (2 * torch.cat(images) - 1).clamp(-1, 1)


PEERS = {
    "external": Peer("chaiNNer-org/spandrel", spandrels, 1e-6),
    "external_physics": Peer("deepinv/deepinv", deepinvs, 1e-6),
    "ram": Peer("deepinv/deepinv", deepinvs, 1e-6),
}
