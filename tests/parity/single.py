"""The untrained methods, each beside its public code's update written from its formulas.

The public code works on intensities from 0 to 1, one image at a time. What is drawn is drawn from the streams of the
problem, by the purposes that the solvers name, and weights are copied from networks made of the same streams.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F

from baselines.common.stopping import Stop
from baselines.single.conv_decoder import ConvDecoder, conv_decoder
from baselines.single.deep_decoder import DeepDecoder, deep_decoder
from baselines.single.dip import dip
from baselines.single.dip_sure import S2S, dip_sure
from baselines.single.dop import PUBLISHED_SIZE, dop
from baselines.single.drp import RandomProjector, drp
from baselines.single.hourglass import Hourglass
from baselines.single.inr import fourier_features, siren
from baselines.single.layers import Conv
from baselines.single.selfdeblur import look_around, selfdeblur, ssim
from baselines.single.spectral_dip import Decoder, spectral_dip
from sipbench.operators.colour import Denoise
from tests.baselines import blind
from tests.baselines.test_conv_decoder import pose_mri
from tests.baselines.untrained import pose
from tests.parity import Peer
from tests.parity import _networks as nets

FIXED = Stop("fixed")
SIZE, STEPS = 32, 8
SKIP = {"channels": (6, 8), "skip": (2, 4)}
DTYPE = torch.float64


def posed(operator=Denoise, **options):
    return pose(size=SIZE, dtype=DTYPE, operator=lambda shape, rng: operator(shape, rng, **options))[0]


def drawn(problem, network, *args, **options):
    """Our network, with the weights that the solver draws."""
    return network(problem.rng.child("theta").portable, *args, dtype=DTYPE, **options)


def z_of(problem, channels, size=(SIZE, SIZE), kind="uniform"):
    return 0.1 * getattr(problem.rng.child("input").portable, kind)(channels, *size, dtype=DTYPE)


def images(x):
    """Each image by itself, (1, C, H, W)."""
    return x.split(1)


def skips(problem, c_in, settings, **options):
    """The public hourglass of each image."""
    ours = drawn(problem, Hourglass, c_in, problem.shape[1], **settings)
    plain = [nets.Skip(c_in, problem.shape[1], *settings_of(settings), **options) for _ in range(problem.shape[0])]
    return [nets.take(G, ours, i) for i, G in enumerate(plain)]


def settings_of(settings):
    return settings["channels"], settings["skip"]


def adam_of(parameters, lr, scale=4.0):
    """Adam as it feels a loss that is so many times smaller than ours: a squared error from 0 to 1 is a quarter."""
    return torch.optim.Adam(parameters, lr=lr, eps=1e-8 / scale)


def mse(a, b):
    return (a - b).square().mean()


def public_dip(problem, c_in, settings, f, *, lr, sigma, decibels=math.inf, **options):
    """Adam; the mean of the outputs; and weights that go back where the PSNR to y falls by so many dB."""
    G, z, noise = skips(problem, c_in, settings, **options), z_of(problem, c_in), problem.rng.child("perturbation")
    adams = [adam_of(g.parameters(), lr) for g in G]
    last, psnr, falls, average = [None] * len(G), [0.0] * len(G), 0, [None] * len(G)
    for k in range(STEPS):
        fed = z + sigma * noise.normal_like(z)
        for i, (g, adam, y) in enumerate(zip(G, adams, images(nets.unit(problem.y)), strict=True)):
            adam.zero_grad()
            out = g(fed[i : i + 1])
            average[i] = out.detach() if k == 0 else average[i] * 0.9 + 0.1 * out.detach()
            loss = mse(f(out, i), f(y, i))
            loss.backward()
            now = -10 * math.log10(loss.item())
            if k and now - psnr[i] < -decibels:
                falls += 1
                for parameter, kept in zip(g.parameters(), last[i], strict=True):
                    parameter.data.copy_(kept)
            else:
                last[i], psnr[i] = [p.detach().clone() for p in g.parameters()], now
            adam.step()
    clean = torch.cat([g(z[i : i + 1]).detach() for i, g in enumerate(G)])
    return 2 * torch.cat(average) - 1, 2 * clean - 1, falls


def dip_and_public(solve=dip):
    """Denoising, with the average of the outputs and a fall of the PSNR; and inpainting, with the clean input."""
    problem, wild = posed(), {"lr": 0.3, "sigma_z": 1 / 30, "iterations": STEPS, "input_channels": 3, "stop": FIXED}
    ours = solve(problem, **SKIP, **wild, ema=0.9, backtrack=0.5).x
    theirs, _, falls = public_dip(problem, 3, SKIP, lambda x, i: x, lr=0.3, sigma=1 / 30, decibels=0.5)
    assert falls, "no weights went back"

    holes, settings = pose(size=SIZE, dtype=DTYPE)[0], {"channels": (6, 8), "skip": (6, 8)}
    calm = {"lr": 0.01, "sigma_z": 0.03, "iterations": STEPS, "input_channels": 3, "stop": FIXED}
    filled = solve(holes, **settings, **calm, upsample="nearest", clean_z=True).x
    masks = holes.f.mask.double()
    _, public, _ = public_dip(holes, 3, settings, lambda x, i: x * masks[i], lr=0.01, sigma=0.03, upsample="nearest")
    return torch.cat([ours, filled]), torch.cat([theirs, public])


def dop_and_public(solve=dop):
    """Gradient descent with two rates; the rate of the corruption goes with the number of entries."""
    problem, rate = posed(), 300.0
    ours = solve(problem, **SKIP, iterations=STEPS, input_channels=3, lr_c=rate * PUBLISHED_SIZE / problem.y[0].numel())
    G, z, noise = skips(problem, 3, SKIP), z_of(problem, 3), problem.rng.child("perturbation")
    draw, y = problem.rng.child("corruption").portable, nets.unit(problem.y)
    g, h = (torch.nn.ParameterList(1e-5 * part for part in images(draw.normal_like(y))) for _ in range(2))
    found = []
    for _ in range(STEPS):
        fed, found = z + noise.normal_like(z) / 30, []
        for i, net in enumerate(G):
            groups = [([*net.parameters()], 1.0), ([g[i], h[i]], rate)]
            parts = [p for parameters, _ in groups for p in parameters]
            out = net(fed[i : i + 1])
            gradients = iter(torch.autograd.grad(mse(out + g[i] ** 2 - h[i] ** 2, y[i : i + 1]), parts))
            found.append(2 * out.detach() - 1)
            for parameters, step in groups:
                for parameter in parameters:
                    parameter.data -= step * next(gradients)
    sparse = torch.cat([2 * (a**2 - b**2).detach() for a, b in zip(g, h, strict=True)])
    return torch.cat([ours.x, ours.theta["sparse"] * 1e8]), torch.cat([*found, sparse * 1e8])


def drp_and_public(solve=drp):
    """Denoising, and inpainting, whose residual is that of what is left."""
    holes = pose(size=SIZE, dtype=DTYPE)[0]
    pairs = [drps(solve, p, keep) for p, keep in ((posed(), torch.ones(2)), (holes, holes.f.mask.double()))]
    ours, public = (torch.cat(found) for found in zip(*pairs, strict=True))
    return ours, public


def drps(solve, problem, keep):
    """Three times Adam: for the norms of the network, the input and its norm; the frozen weights walk at random."""
    settings = {"channels": (8,), "skip": (4,)}
    ours = solve(problem, **settings, iterations=STEPS, sigma_w=0.001).x
    network = RandomProjector(problem.rng, z_of(problem, 3, kind="normal"), drawn(problem, Hourglass, 3, 3, **settings))
    order = [f"{n}.{p}" for n, m in network.network.named_modules() if isinstance(m, Conv) for p in ("weight", "bias")]
    G, z = skips(problem, 3, settings), [v.clone().requires_grad_() for v in images(z_of(problem, 3, kind="normal"))]
    norms, walk = [torch.nn.BatchNorm2d(3, dtype=DTYPE) for _ in G], problem.rng.child("drift")
    adams, found = [], []
    for g, v, norm in zip(G, z, norms, strict=True):
        for name in order:
            g.get_parameter(name).requires_grad_(False)
        own = [p for p in g.parameters() if p.requires_grad]
        adams.append([adam_of(parts, 0.1, 2.0) for parts in (own, [v], norm.parameters())])
    for _ in range(STEPS):
        found, moves = [], {name: walk.normal_like(network.network.get_parameter(name)) for name in order}
        for i, (g, v, norm, y) in enumerate(zip(G, z, norms, images(nets.unit(problem.y)), strict=True)):
            for name in order:
                g.get_parameter(name).data += 0.001 * moves[name][i].reshape(g.get_parameter(name).shape)
            for adam in adams[i]:
                adam.zero_grad()
            out = g(norm(v))
            variation = sum(out.diff(dim=d).abs().sum() for d in (2, 3)) / out.numel()
            (mse(keep[i] * out, keep[i] * y).sqrt() + 0.45 * variation).backward()
            for adam in adams[i]:
                adam.step()
            found.append(2 * out.detach() - 1)
    return ours, torch.cat(found)


def best_of(G, z, y, f, *, lr, sigma=None, noise=None, scale=4.0):
    """The network with the least training loss, lower by half a percent, after the step that it was seen before."""
    adam, best, kept = adam_of(G.parameters(), lr, scale), math.inf, copy.deepcopy(G)
    for k in range(STEPS):
        fed = z if sigma is None else z + sigma(k) * noise[k]
        adam.zero_grad()
        loss = mse(f(G(fed)), y)
        loss.backward()
        adam.step()
        if best > 1.005 * loss.item():
            best, kept = loss.item(), copy.deepcopy(G)
    return kept(z).detach()


def deep_decoder_and_public(solve=deep_decoder):
    """Inpainting, whose input is perturbed less and less; the rate is such that the last iterate is not the best."""
    problem = pose(size=32, dtype=DTYPE)[0]
    options = {"k": 6, "scales": 3, "lr": 0.3, "sigma_z": 0.05, "decay_every": 3}
    ours = solve(problem, iterations=STEPS, **options).x
    net = drawn(problem, DeepDecoder, 6, 3, (32, 32), scales=3)
    z, stream = z_of(problem, 6, (4, 4)), problem.rng.child("perturbation")
    draws, masks, found = [stream.normal_like(z) for _ in range(STEPS)], problem.f.mask.double(), []
    for i, y in enumerate(images(nets.unit(problem.y))):
        G, noise = nets.take(nets.DeepDecoder(6, 3, 3), net, i), [n[i : i + 1] for n in draws]
        one, mask = z[i : i + 1], masks[i]
        fitted = best_of(
            G, one, y * mask, lambda x, m=mask: x * m, lr=0.3, sigma=lambda k: 0.05 * 0.7 ** (1 + k // 3), noise=noise
        )
        found.append(2 * fitted - 1)
    return ours, torch.cat(found)


def conv_decoder_and_public(solve=conv_decoder):
    """One coil: y is scaled to the first output; what was measured replaces its part of the spectrum in the end."""
    problem, _ = pose_mri()
    options = {"channels": 6, "layers": 4, "in_size": (4, 4), "sigmoid": False, "data_consistency": True, "lr": 0.1}
    ours = solve(problem, iterations=STEPS, **options).x
    net = drawn(problem, ConvDecoder, 6, 2, (32, 32), in_size=(4, 4), layers=4)
    z, found = problem.rng.child("input").portable.uniform(6, 4, 4, dtype=DTYPE), []
    for i, y in enumerate(images(problem.y)):
        f, G = problem.select(slice(i, i + 1)).f, nets.take(nets.ConvDecoder(6, 2, net.sizes), net, i)
        s = (G(z[i : i + 1]).norm() / f.T(y).norm()).item()
        out = best_of(G, z[i : i + 1], s * y, f, lr=0.1, scale=s**-2) / s
        found.append(out + f.T(y - f(out)))
    return ours, torch.cat(found)


def selfdeblur_and_public(solve=selfdeblur):
    """Two networks and two losses; the public code correlates, so that its kernel is ours turned by 180 degrees."""
    problem, *_ = blind.pose(32, size=5, of="blocks", dtype=DTYPE)
    settings = {"channels": (4, 6, 8), "skip": (2, 2, 2)}
    options = {"iterations": STEPS, "mse_iterations": 4, "milestones": (3, 6), "input_channels": 4}
    ours = solve(problem, **settings, **options)
    theta = problem.rng.child("theta").portable
    net = Hourglass(theta, 4, 1, **settings, dtype=DTYPE)
    look_around(net, theta, DTYPE)
    z, noise = z_of(problem, 4, problem.shape[2:]), problem.rng.child("perturbation")
    kernels = nets.kernel_networks(problem, 5)
    G = [nets.take(nets.looking(nets.Skip(4, 1, *settings_of(settings))), net, i) for i in range(2)]
    adams = [
        torch.optim.Adam([{"params": g.parameters()}, {"params": k.parameters(), "lr": 1e-4}], lr=0.01)
        for g, k in zip(G, kernels, strict=True)
    ]
    for k in range(STEPS):
        fed, found, turned = z + 0.001 * noise.normal_like(z), [], []
        for i, (g, network, adam, y) in enumerate(zip(G, kernels, adams, images(nets.unit(problem.y)), strict=True)):
            for group, rate in zip(adam.param_groups, (0.01, 1e-4), strict=True):
                group["lr"] = rate * 0.5 ** sum(k >= step for step in (3, 6))
            adam.zero_grad()
            x, kernel = g(fed[i : i + 1]), network().flip(-2, -1)
            y_hat = F.conv2d(x, kernel)
            loss = mse(y_hat, y) if k < 4 else 1 - ssim(2 * y_hat - 1, 2 * y - 1).mean()
            loss.backward()
            adam.step()
            found.append(2 * x.detach() - 1)
            turned.append(kernel.detach().flip(-2, -1))
    return (
        torch.cat([ours.x.flatten(), ours.theta["kernel"].flatten()]),
        torch.cat([torch.cat(found).flatten(), torch.cat(turned).flatten()]),
    )


def spectral_dip_and_public(solve=spectral_dip):
    """Convolutions divided by their norm where it exceeds the bound; bilinear, and by Gaussians."""
    problem, pairs = pose(size=32, dtype=DTYPE, operator=lambda shape, rng: Denoise(shape, rng))[0], []
    for upsample, bound in (("bilinear", 0.6), ("gaussian", 0.9)):
        options = {"input_channels": 4, "channels": (6, 6), "ln_lambda": bound, "upsample": upsample}
        ours = solve(problem, iterations=STEPS, lr=0.01, **options).x
        net = drawn(problem, Decoder, 4, 3, (32, 32), **{k: v for k, v in options.items() if k != "input_channels"})
        angle = 2 * math.pi * problem.rng.child("input").portable.uniform(2, 8, 8, dtype=DTYPE)
        z, found = torch.cat([angle.sin(), angle.cos()], 1), []
        for i, y in enumerate(images(nets.unit(problem.y))):
            G = nets.take_spectral(nets.Spectral(4, 3, 6, 2, bound, upsample), net, i)
            adam = adam_of(G.parameters(), 0.01)
            for _ in range(STEPS):
                adam.zero_grad()
                out = G(z[i : i + 1])
                mse(out, y).backward()
                adam.step()
            found.append(2 * out.detach() - 1)
        pairs.append((ours, torch.cat(found)))
    return torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])


def dip_sure_and_public(solve=dip_sure):
    """An unbiased estimate of the error, whose divergence is taken along one direction; rectified Adam, and a mean."""
    problem = posed()
    options = {"channels": (4, 6), "width": 6}
    ours = solve(problem, iterations=STEPS, **options, step=3, ema=0.9, zero_crossing=False).x
    net, sigma = drawn(problem, S2S, 3, (4, 6), 6), problem.sigma / 2
    spread, noise, probe = (problem.rng.child(name) for name in ("spread", "perturbation", "probe"))
    G = [nets.take(nets.Unet(3, (4, 6), 6), net, i) for i in range(len(problem.y))]
    adams = [torch.optim.RAdam(g.parameters(), lr=0.1) for g in G]
    mean = [torch.zeros(())] * len(G)
    for k in range(STEPS):
        s, n, b = (
            0.5 * sigma * spread.uniform(1, 1, 1, dtype=DTYPE),
            *(r.normal_like(problem.y) for r in (noise, probe)),
        )
        for i, (g, adam, y) in enumerate(zip(G, adams, images(nets.unit(problem.y)), strict=True)):
            adam.param_groups[0]["lr"] = 0.1 * 0.9 ** (k // 3)
            fed, one = (y + s[i] * n[i : i + 1]).requires_grad_(), b[i : i + 1]
            out = g(fed)
            along = torch.autograd.grad((one * out).sum(), fed, create_graph=True)[0]
            adam.zero_grad()
            (mse(out, y) + 2 * sigma**2 * (one * along).mean() - sigma**2).backward()
            adam.step()
            mean[i] = 0.9 * mean[i] + 0.1 * out.detach() if k else out.detach()
    return ours, 2 * torch.cat(mean) - 1


def fields(problem, layers, v, activation, head, lr):
    """Fully connected networks (weight, bias) fitted to the values at v, one image after another."""
    found = []
    for i, y in enumerate(images(problem.y)):
        own = [(W[i].detach().clone().requires_grad_(), b[i].detach().clone().requires_grad_()) for W, b in layers]
        adam = torch.optim.Adam([p for pair in own for p in pair], lr=lr)
        for _ in range(STEPS):
            x = v[i] if v.ndim == 3 else v
            for W, b in own[:-1]:
                x = activation(F.linear(x, W.mT, b.flatten()))
            x = head(F.linear(x, own[-1][0].mT, own[-1][1].flatten()))
            adam.zero_grad()
            mse(x, y[0].flatten(1).mT).backward()
            adam.step()
        found.append(x.detach().mT.reshape(y.shape))
    return torch.cat(found)


def grid(n, end):
    """Coordinates of pixels, down and right, with the far border or without."""
    side = torch.linspace(*end, n, dtype=DTYPE) if len(end) == 2 else torch.arange(n, dtype=DTYPE) / n
    return torch.stack(torch.meshgrid(side, side, indexing="ij"), -1).flatten(0, 1)


def siren_and_public(solve=siren):
    """sin(30 (W v + b)) on coordinates from -1 to 1, fitted to values from -1 to 1."""
    problem, theta = posed(), {}
    ours = solve(problem, iterations=STEPS, hidden=16, layers=2, lr=1e-3).x
    theta = nets.sines(problem, 16, 2)
    return ours, fields(problem, theta, grid(SIZE, (-1, 1)), lambda a: torch.sin(30 * a), lambda a: a, 1e-3)


def fourier_features_and_public(solve=fourier_features):
    """Sines and cosines of 2 pi B v, v in [0, 1), then ReLUs and a sigmoid; half the squared error there."""
    problem = posed()
    ours = solve(problem, iterations=STEPS, hidden=16, layers=3, features=8, lr=1e-3).x
    B = 10 * problem.rng.child("frequencies").portable.normal(2, 8, dtype=DTYPE)
    phase = 2 * math.pi * grid(SIZE, ()) @ B
    v, theta = torch.cat([phase.sin(), phase.cos()], -1), nets.relus(problem, [16, 16, 16, 3])
    W, b = theta[0]
    theta[0] = (torch.cat([W[:, 8:], W[:, :8]], 1), b)  # ours has the cosines first
    return ours, fields(problem, theta, v, F.relu, lambda a: 2 * a.sigmoid() - 1, 1e-3)


PEERS: dict[str, Peer] = {
    "dip": Peer("DmitryUlyanov/deep-image-prior", dip_and_public, 1e-8),
    "dop": Peer("ChongYou/robust-image-recovery", dop_and_public, 1e-8),
    "dip_sure": Peer("gistvision/DIP-denosing", dip_sure_and_public, 1e-8),
    "drp": Peer("sun-umn/Deep-Random-Projector", drp_and_public, 1e-8),
    "deep_decoder": Peer("reinhardh/supplement_deep_decoder", deep_decoder_and_public, 1e-8),
    "conv_decoder": Peer("MLI-lab/ConvDecoder", conv_decoder_and_public, 1e-8),
    "selfdeblur": Peer("csdwren/SelfDeblur", selfdeblur_and_public, 1e-8),
    "spectral_dip": Peer("shizenglin/Measure-and-Control-Spectral-Bias", spectral_dip_and_public, 1e-8),
    "siren": Peer("vsitzmann/siren", siren_and_public, 1e-8),
    "fourier_features": Peer("tancik/fourier-feature-networks", fourier_features_and_public, 1e-8),
}
