"""Plug and play and unrolled beside deepinv's own algorithms: its iterations, with the same denoiser or networks."""

from __future__ import annotations

import deepinv
import numpy as np
import torch
from deepinv import optim

from baselines.datarich.admm_pnp import admm_pnp
from baselines.datarich.denoisers import prior_denoiser
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


def deepinvs(algorithm, problem, prior, start, **options):
    """What deepinv's algorithm makes of each image from its start, a tuple of its first iterates."""
    D, images = prior_denoiser(problem), []
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


def admm_and_public():
    problem, rho, lam = posed("bicubic"), 0.05, 0.7
    ours = admm_pnp(problem, iterations=N, rho=rho, gamma=1.0, lam=lam)
    level = NOISE * (lam / rho) ** 0.5
    return ours, deepinvs(optim.ADMM, problem, optim.PnP, zeros(problem, 2), stepsize=1 / rho, sigma_denoiser=level)


def dpir_and_public():
    """The levels and weights as the public code's get_rho_sigma has them; images on [-1, 1]."""
    problem = posed("blur")
    sigmas = np.logspace(np.log10(49.0), np.log10(255 * NOISE / 2), N) / 255.0
    rhos = [0.23 * (NOISE / 2) ** 2 / s**2 for s in sigmas]
    params = {"stepsize": [1 / rho for rho in rhos], "g_param": [2 * s for s in sigmas]}
    return hqs(problem, iterations=N), deepinvs(optim.HQS, problem, optim.PnP, zeros(problem), params_algo=params)


def pgd_and_public():
    problem = posed("bicubic")
    ours = pgd_pnp(problem, iterations=N, sigma=20.0, gamma=0.9)
    options = {"stepsize": 0.9 / problem.f.norm**2, "sigma_denoiser": 40 / 255}
    return ours, deepinvs(optim.PGD, problem, optim.PnP, middle(problem), **options)


def red_and_public():
    """Both rules: steepest descent is deepinv's gradient descent, the fixed point its splitting with D first."""
    problem, lam, sigma = posed("bicubic"), 0.01, 20.0
    weight, start = NOISE**2 * lam * 127.5**2, middle(problem)
    mu = 2 / (problem.f.norm**2 + weight)
    descent = {"stepsize": mu, "lambda_reg": weight, "sigma_denoiser": sigma / 127.5}
    fixed = {"stepsize": 1 / weight, "sigma_denoiser": sigma / 127.5, "g_first": True}
    ours = [
        red(problem, rule=rule, iterations=N, lam=lam, sigma_f=sigma) for rule in ("steepest_descent", "fixed_point")
    ]
    theirs = [
        deepinvs(optim.GD, problem, optim.RED, start, **descent),
        deepinvs(optim.HQS, problem, optim.PnP, start, **fixed),
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
    "dpir": Peer("cszn/DPIR", dpir_and_public, 1e-8),
    "pgd_pnp": Peer("deepinv/deepinv", pgd_and_public, 1e-8),
    "modl": Peer("hkaggarwal/modl", modl_and_public, 1e-8),
    "unrolled_pgd": Peer("deepinv/deepinv", unrolled_and_public, 1e-6),
    "red_pnp": Peer("deepinv/deepinv", red_and_public, 1e-8),
}
