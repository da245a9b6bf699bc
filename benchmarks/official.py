"""sipbench's DMPlug, ReSample and DAPS at batch 8 beside the way their public code goes about the same mathematics.

Run by hand: python benchmarks/official.py [repeats [images]], on `faces`, inpaint70, with few iterations of each. The
two take turns; printed are seconds an iteration and image of both (least) and the median ratio, by the clock and in
processor time. What the public code does besides the algorithm, as read in it:

- DMPlug: one image at a time; the network's parameters require gradients, which accumulate unused; the loss, PSNR and
  SSIM (scikit-image) against the truth at every iteration, and the best image kept by them.
- ReSample: one image at a time; the loss is read back in every iteration of the fits. Its network runs without a graph
  (`apply_model` is under no_grad), so the gradient of its guidance stops at the predicted noise, unlike the paper's and
  sipbench's; its decoder is frozen.
- DAPS: batches of 10 (100 in its scripts), so batch 1 and the whole batch are both measured; PSNR and SSIM of both
  estimates against the truth at every level, the trajectory kept, a test for not-a-number at every step of the chain.

LPIPS, which DMPlug and DAPS compute as often, is left out, as are progress bars, files and pictures.
"""

import statistics
import sys
import time
from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import sipbench
from baselines.diffusion.daps import daps, flow
from baselines.diffusion.daps import grid as annealing
from baselines.diffusion.dmplug import dmplug
from baselines.diffusion.dmplug import grid as generator_levels
from baselines.diffusion.resample import further, predict, resample, scaled
from baselines.diffusion.sampling import ddim, level
from sipbench.checkpoints import find
from sipbench.errors import UserError
from sipbench.metrics import psnr, ssim_gaussian
from sipbench.priors.latent import Autoencoder, LatentPrior
from sipbench.priors.load import diffusers_prior
from sipbench.priors.network import NetworkPrior
from sipbench.priors.schedules import LINEAR

DMPLUG = {"iterations": 4, "lr": 0.01}
RESAMPLE = {"steps": 12, "interval": 3, "travel": 5, "pixel_iterations": 400, "latent_iterations": 50}  # 4 : 1 a step
DAPS = {"steps": 2, "ode_steps": 5, "num_steps": 100, "lr": 1e-4, "tau": 0.01}


def dmplug_way(problem, truth, *, iterations, lr):
    y, f, prior = problem.y, problem.f, problem.prior
    prior.network.requires_grad_()
    target = as_numpy(truth)
    Z = torch.randn(problem.shape).requires_grad_()
    adam, criterion, levels = torch.optim.Adam([Z], lr=lr), torch.nn.MSELoss(), generator_levels(problem, 3)
    losses, psnrs, ssims, best = [], [], [], None
    for _ in range(iterations):
        adam.zero_grad()
        x = Z
        for now, then in zip(levels, levels[1:], strict=False):
            x = ddim(x, prior.denoise(x, now.t).clamp(-1, 1), now, then)
        output = x.clamp(-1, 1)
        loss = criterion(f(output), y)
        loss.backward()
        adam.step()
        losses.append(loss.item())
        image = as_numpy(output.detach())
        psnrs.append(peak_signal_noise_ratio(target, image, data_range=1))
        ssims.append(structural_similarity(target, image, channel_axis=2, data_range=1))
        if psnrs[-1] == max(psnrs):
            best = image
    prior.network.requires_grad_(False).zero_grad(set_to_none=True)
    return best


def as_numpy(x):
    return np.transpose((x.squeeze(0).numpy().astype(np.float64) + 1) / 2, (1, 2, 0))


def resample_way(problem, truth, *, steps, interval, travel, pixel_iterations, latent_iterations):
    y, f, prior = problem.y, problem.f, problem.prior
    at = [scaled(level(problem, t)) for t in prior.times(steps)]
    criterion = torch.nn.MSELoss()

    def in_latent(z):
        return criterion(y, f(prior.decode(z)))

    z = torch.randn(len(y), *prior.shape)
    for i in range(steps):
        now, then, index = at[i], at[i + 1], steps - 1 - i
        z.requires_grad_()
        with torch.no_grad():
            x_hat, e = predict(prior, z, now)
        norm = torch.linalg.norm(y - f(prior.decode((z - now.sigma**2 * e) / now.alpha)))
        (gradient,) = torch.autograd.grad(norm, z)
        z = then.alpha * x_hat + then.sigma * e - 0.5 * now.alpha**2 * gradient
        if index % interval or not 0 < index <= steps - steps // 3:
            continue
        with torch.no_grad():
            z_0 = further(prior, z, at[i : i + travel + 2], True)
        if index >= steps // 3:
            with torch.no_grad():
                x = prior.decode(z_0)
            x = fit_way(x, lambda x: criterion(y, f(x)), 1e-2, pixel_iterations)
            with torch.no_grad():
                z_0 = prior.encode(x)
        else:
            z_0 = fit_way(z_0, in_latent, 5e-3, latent_iterations)
        v = 40 * (then.sigma / now.sigma) ** 2 * (1 - (now.alpha / then.alpha) ** 2)
        z = (v * then.alpha * z_0 + then.sigma**2 * z) / (v + then.sigma**2)
        z = z + torch.randn_like(z) * (1 / (1 / v + 1 / then.sigma**2)).sqrt()
    z = fit_way(z, in_latent, 5e-3, latent_iterations)
    with torch.no_grad():
        return prior.decode(z)


def fit_way(v, loss_of, lr, iterations, tolerance=1e-3):
    v = v.detach().clone().requires_grad_()
    adam, seen = torch.optim.AdamW([v], lr=lr), []
    for _ in range(iterations):
        adam.zero_grad()
        loss = loss_of(v)
        loss.backward()
        adam.step()
        seen.append(loss.item())
        if seen[-1] < tolerance**2 or (len(seen) > 200 and seen[-201] < seen[-1]):
            break
    return v.detach()


@torch.no_grad()
def daps_way(problem, truth, *, steps, ode_steps, num_steps, lr, tau):
    y, f, prior = problem.y, problem.f, problem.prior
    sigmas = torch.cat([annealing(torch.tensor(100.0), 0.1, steps)[:-1], torch.zeros(1, dtype=torch.float64)])
    x_t, kept, values = sigmas[0] * torch.randn(problem.shape), [], []
    for k in range(steps):
        sigma = sigmas[k]
        now = level(problem, prior.time_at(sigma))
        x_hat = flow(problem, now.alpha * x_t, now, ode_steps, 0.01, False)
        prior_score, h = (x_hat - x_t) / sigma**2, lr * (1 + k / (steps + 1) * (0.01 - 1))
        x = x_hat.clone()
        for _ in range(num_steps):
            with torch.enable_grad():
                x_tmp = x.clone().detach().requires_grad_()
                loss = (f(x_tmp) - y).square().flatten(1).sum(-1).sum()
                (gradient,) = torch.autograd.grad(loss, x_tmp)
            score = -gradient / tau**2 + (x_t - x) / sigma**2 + prior_score
            x = x + h * score + (2 * h) ** 0.5 * torch.randn_like(x)
            if torch.isnan(x).any():
                x = torch.zeros_like(x)
                break
        x_t = x + sigmas[k + 1] * torch.randn_like(x)
        values += [metric(v, truth).mean().item() for v in (x_hat, x) for metric in (psnr, ssim_gaussian)]
        kept += [v.clone() for v in (x_t, x, x_hat)]
    return x_t


def latent_prior():
    """The shipped one, or the same networks with random weights: the time does not depend on what was learnt."""
    try:
        find("faces-64-latent", "")
        return diffusers_prior("faces-64-latent", weights="")
    except UserError:
        from diffusers import AutoencoderKL, UNet2DModel

        print("faces-64-latent is not there: random weights")
        sides = {"block_out_channels": (64, 128, 128), "layers_per_block": 1, "norm_num_groups": 16}
        down, up = ("DownBlock2D", *["AttnDownBlock2D"] * 2), (*["AttnUpBlock2D"] * 2, "UpBlock2D")
        unet = UNet2DModel(16, 4, 4, down_block_types=down, up_block_types=up, **sides)
        blocks = {"down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3}
        sides = {"block_out_channels": (24, 48, 96), "norm_num_groups": 8, "sample_size": 64}
        codec = AutoencoderKL(latent_channels=4, mid_block_add_attention=False, **sides, **blocks)
        return LatentPrior(NetworkPrior(unet, LINEAR), Autoencoder(codec))


def timed(work):
    began = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def compare(name, way, solver, options, problem, truth, repeats, batch=1):
    """A row of the table: seconds an iteration and image of the way at this batch and of the solver, and the ratio."""
    n, count = len(truth), options.get("iterations", options.get("steps"))
    parts = [slice(i, i + batch) for i in range(0, n, batch)]

    def public():
        for part in parts:
            way(problem.select(part), truth[part], **options)

    solver(problem, **options), way(problem.select(parts[0]), truth[parts[0]], **options)  # warm
    own, theirs = [], []
    for _ in range(repeats):
        theirs.append(timed(public))
        own.append(timed(lambda: solver(problem, **options)))
    ratios = [f"{statistics.median(a[k] / b[k] for a, b in zip(own, theirs, strict=True)):.3f}" for k in (0, 1)]
    return name, str(batch), *(f"{min(t)[0] / n / count:.4f}" for t in (theirs, own)), *ratios


def main(repeats=3, images=8):
    posed, truth = sipbench.pose("faces", "inpaint70", images=images, device="cpu", overrides=["split=validation"])
    pixel = replace(posed, prior=diffusers_prior("faces-64-prior", weights=""))
    latent = replace(posed, prior=latent_prior())
    table = Table(title=f"the public code's way, and sipbench at batch {images}; {torch.get_num_threads()} threads")
    for heading in ("", "its batch", "its s", "sipbench s", "ratio", "in processor time"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row(*compare("DMPlug", dmplug_way, dmplug, DMPLUG, pixel, truth, repeats))
    table.add_row(*compare("ReSample", resample_way, resample, RESAMPLE, latent, truth, repeats))
    for batch in (1, images):
        table.add_row(*compare("DAPS", daps_way, daps, DAPS, pixel, truth, repeats, batch))
    Console(width=110).print(table)


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
