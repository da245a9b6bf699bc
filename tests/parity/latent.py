"""The samplers of latent and of flow priors, each beside its public code's update, one image at a time."""

from __future__ import annotations

import torch

from baselines.diffusion.dflow import dflow
from baselines.diffusion.flowchef import flowchef
from baselines.diffusion.flowdps import flowdps
from baselines.diffusion.psld import psld
from baselines.diffusion.resample import resample
from sipbench.operators import Inpainting
from sipbench.operators.sampling import AveragePooling
from tests.parity import Peer
from tests.parity._ddpm import DTYPE, Diffusion, alone, joined, matrix, noise_of, pose, spaced

SIGMA = 0.05


def masked(shape, rng):
    return Inpainting(shape, rng, removed=0.5)


def public_psld(problem, steps, gamma, omega, noise=0.0):
    """Its inpainting, where A^+ = A^T; the public code adds noise to A x."""
    d, (z, _), mask = Diffusion(problem, spaced(steps)), noise_of(problem), problem.f.mask.double()
    prior, y, own = problem.prior, problem.y, problem.rng.child("measured again")
    z_t = d.first(z)
    for t, _, a_prev in d.steps():
        z_t.requires_grad_()
        pred_z_0, e_t = d.tweedie(z_t, t)
        image = prior.decode(pred_z_0)
        measured = mask * image + noise * own.normal_like(y)
        error = torch.linalg.norm(measured - y)
        inpainted = mask * y + image - mask * image
        glue = torch.linalg.norm(prior.encode(inpainted) - pred_z_0)
        z_prev = a_prev.sqrt() * pred_z_0 + (1 - a_prev).sqrt() * e_t
        z_t = (z_prev - torch.autograd.grad(glue * gamma + error * omega, z_t)[0]).detach()
    return prior.decode(z_t)


def psld_and_public(solve=psld, noise=0.0):
    problem = pose(masked, latent=True)
    ours = solve(problem, steps=10, gamma=0.1, omega=0.1, damping=1e-13)
    return ours, alone(public_psld, problem, 10, 0.1, 0.1, noise)


def public_resample(problem, steps, interval, travel, n, lower=None):
    """lower: the product P after the last step, 1 here; the public code has that of the first training time."""
    d, (z, draw) = Diffusion(problem, spaced(steps)), noise_of(problem)
    prior, x, y = problem.prior, d.first(z), problem.y
    P, P_prev = d.alphas_cumprod, d.alphas_cumprod_prev.clone()
    P_prev[0] = 1.0 if lower is None else lower

    def p_sample_ddim(x, t, index):
        """The network is told t, and the scales are those of the index."""
        with torch.no_grad():
            e = d.eps(x, t)
        a, a_prev = P[index], P_prev[index]
        pred_x0 = (x - (1 - a).sqrt() * e) / a.sqrt()
        return a_prev.sqrt() * pred_x0 + (1 - a_prev).sqrt() * e, (x - (1 - a) * e) / a.sqrt()

    def fitted(start, lr, image):
        v = start.detach().clone().requires_grad_()
        adam = torch.optim.AdamW([v], lr=lr)
        for _ in range(n):
            adam.zero_grad()
            torch.nn.functional.mse_loss(y, problem.f(image(v))).backward()
            adam.step()
        return v.detach()

    for i in range(steps):
        index = steps - i - 1
        x.requires_grad_()
        a_t, a_prev = P[index], P_prev[index]
        out, pseudo_x0 = p_sample_ddim(x, index, index)
        norm = torch.linalg.norm(y - problem.f(prior.decode(pseudo_x0)))
        x = (out.detach() - 0.5 * a_t * torch.autograd.grad(norm, x)[0]).detach()
        if not 0 < index <= steps - steps // 3 or index % interval:
            continue
        x_t = x
        for k in range(i, min(i + travel, steps - 1)):
            x, pseudo_x0 = p_sample_ddim(x, steps - k - 2, steps - k - 1)
        v = 40 * (1 - a_prev) / (1 - a_t) * (1 - a_t / a_prev)
        if index >= steps // 3:
            pseudo_x0 = prior.encode(fitted(prior.decode(pseudo_x0), 1e-2, lambda x: x))
        else:
            pseudo_x0 = fitted(pseudo_x0, 5e-3, prior.decode)
        mean = (v * a_prev.sqrt() * pseudo_x0 + (1 - a_prev) * x_t) / (v + 1 - a_prev)
        x = mean + draw() * (1 / (1 / v + 1 / (1 - a_prev))).sqrt()
    return prior.decode(fitted(x, 5e-3, prior.decode))


def resample_and_public(solve=resample, lower=None):
    problem = pose(AveragePooling, latent=True, factor=2)
    options = {"interval": 2, "travel": 2, "pixel_iterations": 4, "latent_iterations": 4}
    return solve(problem, steps=10, **options), alone(public_resample, problem, 10, 2, 2, 4, lower)


def scheduled(steps, shift, ends=False):
    """The times of the flow here; or those of diffusers' scheduler, whose least time is one of them, and then 0."""
    top, least = 0.999, shift * 0.001 / (1 + (shift - 1) * 0.001)
    if ends:
        v = torch.linspace(1, least, steps, dtype=DTYPE)
        return torch.cat([(shift * v / (1 + (shift - 1) * v)).clamp(max=top), 0 * v[:1]])
    v = torch.linspace(1, 0, steps + 1, dtype=DTYPE) * top / (shift - (shift - 1) * top)
    return shift * v / (1 + (shift - 1) * v)


def velocity(problem, z, u):
    inner = getattr(problem.prior, "inner", problem.prior)
    return inner.network(z, (1000 * u).expand(len(z)).float()).sample[:, : z.shape[1]]


def apart(problem, image, task):
    """The norm that FlowDPS's repository descends, for super-resolution or for blurs."""
    A, y = problem.f, problem.y
    back = A.pinv if task == "sr" else A.T
    return torch.linalg.norm(back(y) - back(A(image)))


def public_flowdps(problem, steps, step_size, task, ends=False):
    (z, draw), sigmas = noise_of(problem), scheduled(steps, 4.0, ends)
    z = sigmas[0] * z
    for sigma, after in zip(sigmas[:-1], sigmas[1:], strict=True):
        v = velocity(problem, z, sigma)
        z0t, z1t = z - sigma * v, z + (1 - sigma) * v
        fitted = z0t.detach()
        for _ in range(3):
            fitted = fitted.requires_grad_()
            loss = apart(problem, problem.prior.decode(fitted), task)
            fitted = (fitted - step_size * torch.autograd.grad(loss, fitted)[0]).detach()
        z0y = (1 - sigma) * z0t + sigma * fitted
        noise = after.sqrt() * z1t + (1 - after).sqrt() * draw()
        z = z0y + after * (noise - z0y)
    return problem.prior.decode(z)


def flowdps_and_public(solve=flowdps, ends=False):
    """Without text; super-resolution, and the form for blurs."""
    pairs = []
    for task, residual in (("sr", "pinv"), ("blur", "adjoint")):
        problem = pose(AveragePooling, flow=True, latent=True, factor=2)
        ours = solve(problem, steps=8, step_size=0.05, residual=residual)
        pairs.append((ours, alone(public_flowdps, problem, 8, 0.05, task, ends)))
    return joined(pairs)


def public_flowchef(problem, steps, step_size, task, last=False, ends=False):
    """The form in FlowDPS's repository. last: the last step is guided too, as there."""
    (z, _), sigmas = noise_of(problem), scheduled(steps, 4.0, ends)
    z = sigmas[0] * z
    for sigma, after in zip(sigmas[:-1], sigmas[1:], strict=True):
        v = velocity(problem, z, sigma)
        z0t, z1t = (z - sigma * v).requires_grad_(), z + (1 - sigma) * v
        (gradient,) = torch.autograd.grad(apart(problem, problem.prior.decode(z0t), task), z0t)
        z = z0t.detach() + after * (z1t - z0t.detach())
        z = z - step_size * gradient if after > 0 or last else z
    return problem.prior.decode(z)


def flowchef_and_public(solve=flowchef, last=False, ends=False):
    pairs = []
    for task, residual in (("sr", "pinv"), ("blur", "adjoint")):
        problem = pose(AveragePooling, flow=True, latent=True, factor=2)
        ours = solve(problem, steps=8, gradient_scale=0.05, loss="norm", residual=residual, shift=4.0)
        pairs.append((ours, alone(public_flowchef, problem, 8, 0.05, task, last, ends)))
    return joined(pairs)


def public_dflow(problem, steps, lam, alpha, damping, lr, adjoint):
    """Its start from A^T y, or from A^+ y, and its first step, which the line search may then lengthen.

    Time runs from the noise at 0 to the image at 1, here from 1 - top on, where this suite's does, and z is scaled to
    the spread of the state there.
    """
    (n, _), y, f, A, top = noise_of(problem), problem.y, problem.f, matrix(problem), 0.999
    spread = (top**2 + (1 - top) ** 2) ** 0.5

    def model_forward(x, t):
        return -velocity(problem, x, torch.tensor(max(1 - t, 0.001), dtype=DTYPE))  # the least time of the network

    def flow(x, start, end):
        delta = (end - start) / steps
        for i in range(steps):
            t = start + i * delta
            x = x + delta * model_forward(x + delta / 2 * model_forward(x, t), t + delta / 2)
        return x

    told = y.flatten()
    x = A.T @ (told if adjoint else torch.linalg.solve(A @ A.T + damping * torch.eye(len(A), dtype=DTYPE), told))
    z = alpha**0.5 * flow(x.view(problem.shape), 1.0, 1 - top) / spread + (1 - alpha) ** 0.5 * n
    z = z.detach().requires_grad_()
    norm, d = z.square().sum().sqrt(), z.numel()
    reg = 0.5 * norm**2 - (d - 1) * torch.log(norm + 1e-5)
    loss = (f(flow(spread * z, 1 - top, 1.0)) - y).square().sum() + lam * reg
    (g,) = torch.autograd.grad(loss, z)
    z = z - lr * min(1.0, 1 / float(g.abs().sum())) * g
    return flow(spread * z, 1 - top, 1.0).detach()


def dflow_and_public(solve=dflow, lr=30.0):
    """With a step that the line search accepts at once."""
    pairs = []
    for start in ("adjoint", "pinv"):
        problem = pose(AveragePooling, flow=True, factor=2)
        ours = solve(problem, iterations=2, steps=3, lam=0.5, alpha=0.1, start=start, damping=1e-4, lr=lr)
        pairs.append((ours, alone(public_dflow, problem, 3, 0.5, 0.1, 1e-4, lr, start == "adjoint")))
    return joined(pairs)


PEERS: dict[str, Peer] = {
    "psld": Peer("LituRout/PSLD", psld_and_public, 1e-8),
    "resample": Peer("soominkwon/resample", resample_and_public, 1e-8),
    "flowdps": Peer("FlowDPS-Inverse/FlowDPS", flowdps_and_public, 1e-8),
    "flowchef": Peer("FlowDPS-Inverse/FlowDPS", flowchef_and_public, 1e-8),
    "dflow": Peer("annegnx/PnP-Flow", dflow_and_public, 1e-5),
}
