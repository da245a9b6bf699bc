"""sipbench beside azula and deepinv: the same network, images and number of steps; time a step and image, and PSNR.

Run by hand: python benchmarks/peers.py [steps [repeats [fast]]], on validation images of `faces`, inpaint70, batches 1
and 8. The contenders take turns, so that all meet the same machine; printed are the least milliseconds, the median
ratio to the bare network (its forward pass, for DPS with the backward one) at the same batch with how far single turns
differ (a median of three does not tell 1.05 from 0.99, one of eleven does on a quiet machine), by the clock and in
processor time (steadier on a busy machine, if there is one thread), the PSNR, and by how much it exceeds sipbench's
(mean and standard error over images), at equal steps and at equal seconds: the peers run again with as many steps as
they do in sipbench's time. `fast` adds sipbench's DPS on the fast options of a prior.

What differs besides the code: each package keeps its own grid of as many times, and its own noise. azula's DPS takes
one norm for the batch, so its zeta is given times sqrt(batch); its DiffPIR is a denoiser under DDIM, whose fresh noise
is the diffusion's own. The guidance of deepinv's DPS is scaled by the step: its weight makes the mean step zeta.
As the projection sipbench has DDNM, azula RePaint with one iteration (known pixels are replaced by y at the level's
noise; nothing else there projects without a backward pass), deepinv DDRM (its masks are one for the batch: here the
batch poses as the channels of one image).
"""

import statistics
import sys
import time
from dataclasses import replace
from functools import partial

import deepinv
import torch
from azula.denoise import Denoiser, DiracPosterior
from azula.guidance.diffpir import DiffPIRDenoiser
from azula.guidance.dps import DPSSampler
from azula.guidance.repaint import RePaintSampler
from azula.sample import DDIMSampler
from bare import passes
from rich.console import Console
from rich.table import Table

import sipbench
from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.metrics import psnr
from sipbench.priors.load import diffusers_prior

METHODS = {"dps": "DPS", "diffpir": "DiffPIR", "ddnm": "projection"}
HEADINGS = ("", "ms a step and image", "to the bare network", "processor", "PSNR", "more than sipbench's", "at equal s")
FAST = {
    "bf16": {"precision": "bfloat16"},
    "compile": {"compile": True},
    "compile, channels_last": {"compile": True, "channels_last": True},
    "compile, channels_last, bf16": {"compile": True, "channels_last": True, "precision": "bfloat16"},
}


class ForAzula(Denoiser):
    """The prior as azula's denoiser."""

    def __init__(self, prior):
        super().__init__()
        self.prior, self.schedule = prior, prior.scales

    def forward(self, x_t, t, **_):
        return DiracPosterior(self.prior.denoise(x_t, t))


class ForDeepinv(deepinv.models.Denoiser):
    """The prior as deepinv's denoiser, of x + sigma z on [0, 1]; channels may hold several images."""

    def __init__(self, prior):
        super().__init__()
        self.prior = prior

    def forward(self, x, sigma, *_, **__):
        t = self.prior.time_at(2 * torch.as_tensor(sigma, dtype=torch.float64).reshape(()))
        x_t = self.prior.scales(t)[0] * (2 * x.reshape(-1, *self.prior.shape) - 1)
        return ((self.prior.denoise(x_t, t) + 1) / 2).view_as(x)


def bare(prior, problem, method, steps):
    """As many passes through the network alone."""
    x = torch.randn(problem.shape, generator=torch.Generator().manual_seed(0))
    return lambda turn: passes(prior.network, x, steps, backward=method == "dps")


def options_of(method, steps):
    """The solver and its settings for this degradation."""
    words = [f"method={method}", "degradation=inpaint70"]
    cell = Cell.of(configs.compose(words), words)
    return cell.solver, cell.options | {"steps": steps}


def ours(prior, problem, method, steps):
    solver, options = options_of(method, steps)
    problem = replace(problem, prior=prior)
    return lambda turn: solver(replace(problem, rng=problem.rng.child(f"turn {turn}")), **options)


def azulas(prior, problem, method, steps):
    y, f, options = problem.y, problem.f, options_of(method, steps)[1]
    denoiser, grid = ForAzula(prior), {"steps": steps, "silent": True, "dtype": torch.float64}
    if method == "dps":
        sampler = DPSSampler(denoiser, y, f, zeta=options["zeta"] * len(y) ** 0.5, **grid)
    elif method == "diffpir":
        lmbda = options["lam"] / 4  # published for the noise on [0, 1]: see `diffpir`
        sampler = DDIMSampler(DiffPIRDenoiser(denoiser, y, f, problem.noise.sigma**2, lmbda), eta=1.0, **grid)
    else:
        sampler = RePaintSampler(denoiser, y, f.mask.bool(), iterations=1, eta=1.0, **grid)

    def run(turn):
        torch.manual_seed(turn)
        return sampler(sampler.init(problem.shape, dtype=torch.float32))

    return run


def deepinvs(prior, problem, method, steps):
    shape, options = problem.shape, options_of(method, steps)[1]
    mask = problem.f.mask.float().expand(shape)
    y = (problem.y + mask) / 2  # of images on [0, 1]
    denoiser, noise = ForDeepinv(prior), deepinv.physics.GaussianNoise(problem.noise.sigma / 2)
    if method == "dps":
        model = deepinv.sampling.DPS(denoiser, num_steps=steps + 1)
        model.data_fidelity.weight = options["zeta"] / mean_step(model)
    elif method == "diffpir":
        fit = deepinv.optim.data_fidelity.L2()
        model = deepinv.sampling.DiffPIR(
            denoiser, fit, max_iter=steps, zeta=options["zeta"], lambda_=options["lam"] / 2
        )
    else:
        alpha, sigma = prior.scales(prior.times(steps)[:-1])
        model = deepinv.sampling.DDRM(denoiser, (sigma / alpha / 2).tolist())
        mask, y = (v.reshape(1, -1, *shape[2:]) for v in (mask, y))
    physics = deepinv.physics.Inpainting(tuple(mask.shape[1:]), mask, noise_model=noise)

    def run(turn):
        torch.manual_seed(turn)
        return 2 * model(y, physics).view(shape).float() - 1

    return run


PEERS = {"azula": azulas, "deepinv": deepinvs}


def mean_step(model):
    """What deepinv's solver multiplies the gradient of |y - f(x_hat)|, on [-1, 1], by: its mean over the steps."""
    t = model.solver.timesteps
    scale, sigma = (torch.stack([torch.as_tensor(of(v)) for v in t]) for of in (model.sde.scale_t, model.sde.sigma_t))
    return float((scale[:-1] * scale[1:] * (sigma[:-1] ** 2 - sigma[1:] ** 2) / 2).mean())


def measure(runs, turns):
    """Seconds (clock, processor) and what each contender made, turn by turn; who goes first and after whom changes."""
    seconds, made, names = {name: [] for name in runs}, {name: [] for name in runs}, list(runs)
    for turn in range(turns):
        order = names[turn % len(names) :] + names[: turn % len(names)]
        for name in order[:: -1 if turn % 2 else 1]:
            began = time.perf_counter(), time.process_time()
            made[name].append(runs[name](turn))
            seconds[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return seconds, made


def quality_of(made, truth):
    """The PSNR of each image, its mean over turns."""
    return torch.stack([psnr(x, truth) for x in made]).mean(0)


def paired(more):
    """A mean over images and its standard error."""
    error = f" ± {more.std() / len(more) ** 0.5:.2f}" if len(more) > 1 else ""
    return f"{more.mean():+.2f}{error}"


def spread(ratios):
    """The median, and from where to where single turns reach."""
    return f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})"


def rows(runs, truth, steps, turns, again):
    """A line a contender; again(name, steps) makes a peer anew with other steps."""
    seconds, made = measure(runs, turns)
    quality = {name: quality_of(xs, truth) for name, xs in made.items() if name != "bare"}
    taken = {name: statistics.median(clock for clock, _ in all) for name, all in seconds.items()}
    for name in runs:
        least = 1e3 * min(seconds[name])[0] / steps / len(truth)
        pairs = list(zip(seconds[name], seconds["bare"], strict=True))
        ratios = [spread([a[k] / b[k] for a, b in pairs]) for k in (0, 1)]
        cells = [name, f"{least:.2f}", *ratios, "", "", ""]
        if name in quality:
            cells[4] = f"{quality[name].mean():.2f}"
        if name in PEERS:
            cells[5] = paired(quality[name] - quality["sipbench"])
            fair = max(2, round(steps * taken["sipbench"] / taken[name]))
            run = again(name, fair)
            better = quality_of([run(turn) for turn in range(turns)], truth) - quality["sipbench"]
            cells[6] = f"{paired(better)} ({fair} steps)"
        yield cells


def main(steps=50, turns=3, fast=False):
    prior = diffusers_prior("faces-64-prior", weights="")
    posed, truth = sipbench.pose("faces", "inpaint70", images=8, device="cpu", overrides=["split=validation"])
    makers = {"bare": bare, "sipbench": ours} | PEERS
    for batch in (1, 8):
        problem = posed.select(slice(batch))
        torch.compiler.reset()
        quick = {k: diffusers_prior("faces-64-prior", weights="", **o) for k, o in FAST.items()} if fast else {}
        for method, title in METHODS.items():
            runs = {name: make(prior, problem, method, steps) for name, make in makers.items()}
            warm = [make(prior, problem, method, 1 if make is bare else 2) for make in makers.values()]
            if method == "dps":
                runs |= {f"sipbench, {k}": ours(p, problem, method, steps) for k, p in quick.items()}
                warm += [ours(p, problem, method, 2) for p in quick.values()]
            for run in warm:
                run(0)
            table = Table(title=f"{title}, batch {batch}, {steps} steps, {torch.get_num_threads()} threads")
            for heading in HEADINGS:
                table.add_column(heading, justify="right" if heading else "left")
            again = partial(lambda problem, method, name, n: PEERS[name](prior, problem, method, n), problem, method)
            for row in rows(runs, truth[:batch], steps, turns, again):
                table.add_row(*row)
            Console(width=150).print(table)


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:] if a != "fast"]
    main(*numbers, fast="fast" in sys.argv[1:])
