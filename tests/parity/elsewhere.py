"""Methods that run another library's solvers, beside that library with a physics and a denoiser of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import deepinv
import torch

from baselines.datarich.deepinverse import deepinverse
from baselines.diffusion.inversebench import inversebench
from sipbench.foreign.part import Part
from sipbench.noise import Gaussian
from sipbench.operators import Inpainting
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.problem import Problem, Rng
from tests.parity import Peer

SIDE, SIGMA, STD = 12, 0.1, 0.5
TV = {
    "_target_": "deepinv.optim.FISTA",
    "data_fidelity": {"_target_": "deepinv.optim.L2"},
    "prior": {"_target_": "deepinv.optim.TVPrior", "n_it_max": 20},
    "lambda_reg": 0.01,
    "stepsize": 1.0,
    "max_iter": 10,
}


@cache
def posed():
    rng, shape = Rng.of(0, "elsewhere", [0, 1]), (2, 3, SIDE, SIDE)
    f = Inpainting(shape, rng.child("operator").portable)
    x = rng.child("x").portable.uniform(*shape[1:], dtype=torch.float64) - 0.5
    y = Gaussian(SIGMA)(f(x), rng.child("noise").portable)
    prior = IsotropicGaussian(shape[1:], std=STD, schedule="ve")
    return Problem(y, f, Gaussian(SIGMA), shape, prior, rng)


def masks(problem):
    return problem.f(torch.ones(problem.shape, dtype=torch.float64))


class Denoiser(deepinv.models.Denoiser):
    """E[u | u + sigma z] of intensities u, normal about 1/2."""

    def forward(self, u, sigma, **_):
        sigma = torch.as_tensor(sigma, dtype=u.dtype).flatten()[:1]
        return 0.5 + (STD / 2) ** 2 / ((STD / 2) ** 2 + sigma**2) * (u - 0.5)


def beside(node, make, dtype=torch.float64):
    """Ours, and deepinv's on its own inpainting of intensities."""
    problem, images = replace(posed(), y=posed().y.to(dtype)), []
    for i, (y, m) in enumerate(zip(problem.y.split(1), masks(problem).to(dtype).split(1), strict=True)):
        noise = deepinv.physics.GaussianNoise(SIGMA / 2)
        physics = deepinv.physics.Inpainting(problem.shape[1:], mask=m, noise_model=noise)
        with problem.select(slice(i, i + 1)).rng.lent():
            images.append(make()((y + m) / 2, physics).detach())
    return deepinverse(problem, model=Part(node)), (2 * torch.cat(images) - 1).clamp(-1, 1)


def tv():
    options = {k: v for k, v in TV.items() if not isinstance(v, dict) and k != "_target_"}
    parts = {"data_fidelity": deepinv.optim.L2(), "prior": deepinv.optim.TVPrior(n_it_max=20)}
    return deepinv.optim.FISTA(**parts, **options)


def dpir():
    node = {"_target_": "deepinv.optim.DPIR", "sigma": "sigma", "denoiser": "prior"}
    return beside(node, lambda: deepinv.optim.DPIR(sigma=SIGMA / 2, denoiser=Denoiser()))


def ddrm():
    node = {"_target_": "deepinv.sampling.DDRM", "denoiser": "prior"}
    return beside(node, lambda: deepinv.sampling.DDRM(denoiser=Denoiser()), torch.float32)


class DPS:
    """The DPS of InverseBench with noise levels that fall linearly: its update, written a second time."""

    def __init__(self, net, forward_op, steps=8, sigma_max=4.0, guidance_scale=0.5):
        self.net, self.forward_op, self.scale = net, forward_op, guidance_scale
        self.sigmas = torch.linspace(sigma_max, 0, steps + 1, dtype=torch.float64).tolist()

    def inference(self, observation, num_samples=1, **_):
        shape = (num_samples, self.net.img_channels, self.net.img_resolution, self.net.img_resolution)
        x = torch.randn(shape, dtype=torch.float64) * self.sigmas[0]
        for now, then in zip(self.sigmas, self.sigmas[1:], strict=False):
            x = x.detach().requires_grad_()
            factor = 2 * now * (now - then)
            denoised = self.net(x, torch.as_tensor(now))
            gradient, loss = self.forward_op.gradient(denoised, observation, return_loss=True)
            (pull,) = torch.autograd.grad(denoised, x, gradient)
            score = (denoised - x) / now**2
            x = x + factor * score + factor**0.5 * torch.randn_like(x) - self.scale * 0.5 * pull / loss.sqrt()
        return x


def algorithm():
    """That DPS through the method, and by hand with a closed-form network and a mask."""
    problem, images = posed(), []
    ours = inversebench(problem, algo=Part({"_target_": f"{__name__}.DPS"}))
    for i, (y, m) in enumerate(zip(problem.y.split(1), masks(problem).split(1), strict=True)):

        class ByHand:
            img_channels, img_resolution = 3, SIDE

            def __call__(self, x, sigma):
                return STD**2 / (STD**2 + sigma**2) * x

            def gradient(self, pred, observation, return_loss, m=m):
                gap = m * pred.detach() - observation
                return 2 * m * gap, gap.square().sum()

        with problem.select(slice(i, i + 1)).rng.lent():
            images.append(DPS(ByHand(), ByHand()).inference(y).detach())
    return ours, torch.cat(images)


PEERS = {
    "deepinv": Peer("deepinv/deepinv", partial(beside, TV, tv), 1e-5),
    "deepinv_prior": Peer("deepinv/deepinv", dpir, 1e-5),
    "deepinv_ddrm": Peer("deepinv/deepinv", ddrm, 1e-4),
    "inversebench": Peer("devzhk/InverseBench", algorithm, 1e-6),
}
