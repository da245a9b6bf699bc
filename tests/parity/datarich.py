"""Plug and play and unrolled beside deepinv's own algorithms: its iterations, with the same denoiser or networks."""

from __future__ import annotations

from functools import partial

import deepinv
import numpy as np
import torch
from deepinv import optim

from baselines.datarich.admm_pnp import admm_pnp
from baselines.datarich.denoisers import prior_denoiser
from baselines.datarich.dncnn import DnCNN
from baselines.datarich.drunet import DRUNet
from baselines.datarich.hqs import hqs
from baselines.datarich.modl import Denoiser, modl
from baselines.datarich.pgd_pnp import pgd_pnp
from baselines.datarich.red import red
from baselines.datarich.unrolled_pgd import Unrolled, unrolled_pgd
from tests import dense
from tests.baselines.learned import ready
from tests.baselines.plugged import NOISE, posed
from tests.parity import Peer

N = 8


class Physics(deepinv.physics.LinearPhysics):
    """The map of one image, whose data step is solved as a dense system: deepinv's own rounds gamma to float32."""

    def __init__(self, f, shape):
        super().__init__(A=f, A_adjoint=f.T)
        self.matrix = dense.matrix(f, shape)

    def prox_l2(self, z, y, gamma, **_):
        """argmin_x gamma |A x - y|^2 / 2 + |x - z|^2 / 2."""
        A = self.matrix
        right = gamma * A.T @ y.flatten() + z.flatten()
        return torch.linalg.solve(gamma * A.T @ A + torch.eye(A.shape[1], dtype=A.dtype), right).view_as(z)


def deepinvs(algorithm, problem, prior, start, D=None, **options):
    """What deepinv's algorithm makes of each image from its start, a tuple of its first iterates."""
    D, images = D or prior_denoiser(problem), []
    for i in range(len(problem.y)):
        physics = Physics(problem.f.select(slice(i, i + 1)), problem.shape[1:])
        model = algorithm(
            data_fidelity=optim.L2(),
            prior=prior(lambda x, level: D(x, torch.as_tensor(level, dtype=x.dtype).flatten()[0])),
            max_iter=N,
            early_stop=False,
            **options,
        )
        images.append(model(problem.y[i : i + 1], physics, init=tuple(v[i : i + 1] for v in start)))
    return torch.cat(images)


def middle(problem):
    return (problem.f.T(problem.y) / problem.f.norm**2,)


def zeros(problem, n=1):
    return (torch.zeros(problem.shape, dtype=problem.y.dtype),) * n


def drawn(net, gain):
    """A network with random weights that matter."""
    generator = torch.Generator().manual_seed(0)
    for p in net.double().parameters():
        p.data = gain * torch.randn(p.shape, generator=generator, dtype=torch.float64) / p[0].numel() ** 0.5
    return net.requires_grad_(False)


def on_intensities(network):
    """deepinv's network as a denoiser of images on [-1, 1]."""
    network.requires_grad_(False)
    return lambda x, level: 2 * network((x + 1) / 2, level / 2) - 1


def dncnns():
    """Ours as the options of a solver, and deepinv's with its weights, which adds what ours takes away."""
    net = drawn(DnCNN(1, 8, 5), 0.6)
    theirs, state = deepinv.models.DnCNN(1, 1, depth=5, nf=8, pretrained=None).double(), list(net.state_dict().values())
    state = [*state[:-2], *(-v for v in state[-2:])]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), state, strict=True)))
    return {"denoiser": "network", "net": net}, on_intensities(theirs)


def drunets():
    """Ours as the options of a solver, and deepinv's with its weights."""
    net = drawn(DRUNet(1, (4, 6, 8, 10), 2), 0.5)
    theirs = deepinv.models.DRUNet(1, 1, nc=(4, 6, 8, 10), nb=2, pretrained=None).double()
    theirs.load_state_dict(net.state_dict())
    return {"denoiser": "network", "net": net}, on_intensities(theirs)


def admm_and_public(networks=None):
    problem, rho, lam = posed("bicubic"), 0.05, 0.7
    net, D = networks() if networks else ({}, None)
    ours = admm_pnp(problem, iterations=N, rho=rho, gamma=1.0, lam=lam, **net)
    options = {"stepsize": 1 / rho, "sigma_denoiser": NOISE * (lam / rho) ** 0.5}
    return ours, deepinvs(optim.ADMM, problem, optim.PnP, zeros(problem, 2), D, **options)


def dpir_and_public(networks=None):
    """The levels and weights as the public code's get_rho_sigma has them; images on [-1, 1]."""
    problem = posed("blur")
    sigmas = np.logspace(np.log10(49.0), np.log10(255 * NOISE / 2), N) / 255.0
    rhos = [0.23 * (NOISE / 2) ** 2 / s**2 for s in sigmas]
    params = {"stepsize": [1 / rho for rho in rhos], "g_param": [2 * s for s in sigmas]}
    net, D = networks() if networks else ({}, None)
    return hqs(problem, iterations=N, **net), deepinvs(
        optim.HQS, problem, optim.PnP, zeros(problem), D, params_algo=params
    )


def pgd_and_public(networks=None):
    problem, (net, D) = posed("bicubic"), networks() if networks else ({}, None)
    ours = pgd_pnp(problem, iterations=N, sigma=20.0, gamma=0.9, **net)
    options = {"stepsize": 0.9 / problem.f.norm**2, "sigma_denoiser": 40 / 255}
    return ours, deepinvs(optim.PGD, problem, optim.PnP, middle(problem), D, **options)


def red_and_public(networks=None):
    """Both rules: steepest descent is deepinv's gradient descent, the fixed point its splitting with D first."""
    problem, lam, sigma = posed("bicubic"), 0.01, 20.0
    weight, start = NOISE**2 * lam * 127.5**2, middle(problem)
    mu, (net, D) = 2 / (problem.f.norm**2 + weight), networks() if networks else ({}, None)
    descent = {"stepsize": mu, "lambda_reg": weight, "sigma_denoiser": sigma / 127.5}
    fixed = {"stepsize": 1 / weight, "sigma_denoiser": sigma / 127.5, "g_first": True}
    ours = [
        red(problem, rule=rule, iterations=N, lam=lam, sigma_f=sigma, **net)
        for rule in ("steepest_descent", "fixed_point")
    ]
    theirs = [
        deepinvs(optim.GD, problem, optim.RED, start, D, **descent),
        deepinvs(optim.HQS, problem, optim.PnP, start, D, **fixed),
    ]
    return torch.cat(ours), torch.cat(theirs)


def unrolled_and_public():
    """deepinv's unfolded PGD with a network and a step size for each iteration, copied; and the steps' gradients."""
    problem = posed("bicubic")
    net = ready(unrolled_pgd, Unrolled(1, steps=4, width=4, levels=1), problem).requires_grad_(True)
    L = problem.f.norm**2
    ours = unrolled_pgd(problem, net=net)
    model = optim.PGD(
        data_fidelity=optim.L2(),
        prior=[optim.PnP(Copied(prox)) for prox in net.prox],
        stepsize=[float(eta) / L for eta in net.eta.detach()],
        sigma_denoiser=1.0,
        max_iter=4,
        early_stop=False,
        unfold=True,
        trainable_params=["stepsize"],
    ).double()
    physics = Physics(problem.f, problem.shape[1:])
    theirs = model(problem.y, physics, init=middle(problem))
    steps = [p for name, p in model.named_parameters() if "stepsize" in name]
    slopes = torch.autograd.grad(ours.square().sum(), net.eta)[0]
    public = torch.stack(torch.autograd.grad(theirs.square().sum(), steps)).flatten() / L  # theirs are eta / |A|^2
    return tuple(torch.cat([x.detach().flatten(), s]) for x, s in ((ours, slopes), (theirs, public)))


def modl_and_public():
    """The public code's makeModel: dc0 = A^T y, then dw and dc in turns, each dc by conjugate gradients from zero."""
    problem, many = posed("bicubic"), {"iterations": 3, "cg_iterations": 80}
    net = ready(modl, Denoiser(1, width=4, depth=3), problem, **many)
    lam, images = net.log_lam.exp(), []
    for i in range(len(problem.y)):
        A = dense.matrix(problem.f.select(slice(i, i + 1)), problem.shape[1:]) / net.norm.value
        back = A.T @ problem.y[i].flatten() / net.norm.value
        x = back
        for _ in range(3):
            right = back + lam * net.denoiser(x.view(1, *problem.shape[1:])).flatten()
            x, r = torch.zeros_like(right), right
            p, energy, n = r, r @ r, 0
            while n < 200 and energy > 1e-26:
                q = A.T @ (A @ p) + lam * p
                step = energy / (p @ q)
                x, r, before = x + step * p, r - step * q, energy
                energy = r @ r
                p, n = r + energy / before * p, n + 1
        images.append(x.view(problem.shape[1:]))
    return modl(problem, net=net, **many), torch.stack(images)


class Copied(torch.nn.Module):
    """A network as a denoiser that ignores the noise level."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, sigma):
        return self.network(x)


PEERS = {
    "admm_pnp": Peer("deepinv/deepinv", admm_and_public, 1e-8),
    "admm_dncnn": Peer("deepinv/deepinv", partial(admm_and_public, dncnns), 1e-8),
    "admm_drunet": Peer("deepinv/deepinv", partial(admm_and_public, drunets), 1e-8),
    "dpir": Peer("cszn/DPIR", dpir_and_public, 1e-8),
    "dpir_drunet": Peer("cszn/DPIR", partial(dpir_and_public, drunets), 1e-8),
    "pgd_dncnn": Peer("deepinv/deepinv", partial(pgd_and_public, dncnns), 1e-8),
    "pgd_pnp": Peer("deepinv/deepinv", pgd_and_public, 1e-8),
    "modl": Peer("hkaggarwal/modl", modl_and_public, 1e-8),
    "unrolled_pgd": Peer("deepinv/deepinv", unrolled_and_public, 1e-6),
    "red_dncnn": Peer("deepinv/deepinv", partial(red_and_public, dncnns), 1e-8),
    "red_pnp": Peer("deepinv/deepinv", red_and_public, 1e-8),
}
