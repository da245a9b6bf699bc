"""Latent optimisation beside public code, its updates written a second time, and neighbours beside scipy's tree."""

from __future__ import annotations

import math

import torch
from scipy.spatial import cKDTree
from torch.optim import Adam

from baselines.datarich.csgm import csgm
from baselines.datarich.ilo import ilo
from baselines.datarich.nearest_neighbour import nearest_neighbour
from baselines.datarich.vae import VAE
from tests.baselines.reference import OPERATORS, pose
from tests.baselines.test_nearest_neighbour import posed, remembered
from tests.parity import Peer

SIDE, CODE = 8, 6


def generator():
    """Three stages with random weights: the update does not ask what they have learnt."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(size=SIDE, code=CODE, width=4, widest=8).double().requires_grad_(False)


def told(problem, i):
    """The measurement of one image, without the entries that are masked, as the public code has it."""
    one = slice(i, i + 1)
    f, keep = problem.f.select(one), slice(None)
    if problem.f.valid is not None:
        keep = f.valid.expand_as(problem.y[one]).flatten() != 0
    return problem.y[one].flatten()[keep], lambda x: f(x).flatten()[keep]


def csgm_and_public(iterations=6, lr=0.1, weight=0.001, restarts=2):
    """`dcgan_estimator` and BestKeeper: after each restart the last image is kept where its total loss is less."""
    problem, G, rows = pose(OPERATORS["inpainting"], shape=(3, SIDE, SIDE)), generator(), []
    starts = problem.rng.portable.normal(restarts, CODE, dtype=torch.float64)
    for i in range(len(problem.y)):
        y, measured = told(problem, i)
        best, kept = math.inf, None
        for start in starts[i]:
            z = start.clone().requires_grad_()
            adam = Adam([z], lr=lr)

            def total(z, y=y, measured=measured):
                x_hat = G(z[None])
                return x_hat, ((y - measured(x_hat)) ** 2).mean() + weight * (z**2).sum()

            for _ in range(iterations):
                adam.zero_grad()
                total(z)[1].backward()
                adam.step()
            x_hat, loss = total(z.detach())
            if loss < best:
                best, kept = loss, x_hat
        rows.append(kept)
    return csgm(problem, generator=G, iterations=iterations, restarts=restarts), torch.cat(rows)


def ilo_and_public(iterations=(6, 5, 4), lr=0.1, radius=0.02):
    """`invert_` with mse alone, the latent on its sphere and the output of the layer before in its l1 ball."""
    problem, G, rows = pose(OPERATORS["inpainting"], shape=(3, SIDE, SIDE)), generator(), []
    latents = problem.rng.portable.normal(CODE, dtype=torch.float64)

    def in_ball(x, eps):
        """The public code's project_onto_l1_ball, for one image."""
        shape, x = x.shape, x.flatten()
        if x.abs().sum() < eps:
            return x.view(shape)
        mu = x.abs().sort(descending=True)[0]
        total, arange = mu.cumsum(0), torch.arange(1, len(x) + 1)
        rho = int(((mu * arange > total - eps) * arange).max())
        theta = (total[rho - 1] - eps) / rho
        return ((x.abs() - theta).clamp(min=0) * x.sign()).view(shape)

    for i in range(len(problem.y)):
        y, measured = told(problem, i)
        h = latents[i : i + 1].clone()
        norm, best = h.norm(), h
        for layer, steps in enumerate(iterations):
            before, h, mse_min = h.clone(), h.requires_grad_(), math.inf
            adam = Adam([h], lr=lr)
            for k in range(steps):
                t = k / steps
                down = 0.5 - 0.5 * math.cos(min(1, (1 - t) / 0.75) * math.pi)
                adam.param_groups[0]["lr"] = lr * down * min(1, t / 0.05)
                x_hat = G(h, layer)
                mse = ((y - measured(x_hat)) ** 2).mean()
                adam.zero_grad()
                mse.backward()
                adam.step()
                eps = radius * h.numel()
                h.data = before + in_ball(h.data - before, eps) if layer else h.data / h.data.norm() * norm
                if mse < mse_min:
                    mse_min, best = mse.detach(), x_hat.detach()
            h = G.stages[layer](h.detach())
        rows.append(best)
    return ilo(problem, generator=G, iterations=iterations, radius=radius), torch.cat(rows)


def nearest_and_tree(by="measurement", k=4):
    problem, memory = posed(OPERATORS["bicubic"], images=range(8)), remembered(200)
    X = memory.recall(slice(None), torch.float64)
    measured, y = (X, problem.f.pinv(problem.y)) if by == "image" else (problem.f(X), problem.y)
    _, found = cKDTree(measured.flatten(1).numpy()).query(y.flatten(1).numpy(), k=k)
    return nearest_neighbour(problem, memory=memory, k=k, by=by), X[torch.from_numpy(found)].mean(1)


PEERS = {
    "csgm": Peer("AshishBora/csgm", csgm_and_public, 1e-8),
    "ilo": Peer("giannisdaras/ilo", ilo_and_public, 1e-8),
    "nearest_neighbour": Peer("scipy.spatial.cKDTree", nearest_and_tree, 1e-8),
    "nearest_image": Peer("scipy.spatial.cKDTree", lambda: nearest_and_tree("image"), 1e-8),
}
