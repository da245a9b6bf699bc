"""Plug and play beside deepinv: the same network, weights, start, levels and data step; time a step.

Run by hand: python benchmarks/pnp.py [steps [turns [size]]], on validation images of `faces`, inpaint70, batches 1 and
8, with the configs' widths of DnCNN and DRUNet and random weights. The two take turns, so that both meet the same
machine. Printed are the least milliseconds a step and image of each, the median ratio of ours to deepinv's by the clock
and in processor time (steadier on a busy machine, if there is one thread), and how far the results are apart.
"""

import statistics
import sys

import deepinv
import torch
from deepinv import optim
from peers import measure
from rich.console import Console
from rich.table import Table

import sipbench
from baselines.datarich.admm_pnp import admm_pnp
from baselines.datarich.dncnn import DnCNN
from baselines.datarich.drunet import DRUNet
from baselines.datarich.hqs import hqs
from baselines.datarich.pgd_pnp import pgd_pnp
from baselines.datarich.red import red

WIDTHS, BLOCKS = (32, 64, 96, 128), 2
HEADINGS = ("", "sipbench, ms", "deepinv, ms", "ratio", "processor", "apart")
RHO, LEVEL = 0.05, 0.1


def dncnns():
    """Ours, and deepinv's with its weights, which adds what ours takes away."""
    ours, theirs = DnCNN(), deepinv.models.DnCNN(depth=17, pretrained=None)
    torch.nn.init.normal_(ours.model[-1].weight, std=0.01)  # it starts as the identity
    state = list(ours.state_dict().values())
    theirs.load_state_dict(
        dict(zip(theirs.state_dict(), [*state[:-2], -state[-2], -state[-1]], strict=True)), strict=True
    )
    return ours, theirs


def drunets():
    ours, theirs = DRUNet(3, WIDTHS, BLOCKS), deepinv.models.DRUNet(nc=WIDTHS, nb=BLOCKS, pretrained=None)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return ours, theirs


class OnIntensities(torch.nn.Module):
    """deepinv's network for images on [-1, 1]."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x, sigma):
        return 2 * self.network((x + 1) / 2, sigma / 2) - 1


def ours(problem, net, steps):
    """The solvers by name, at one noise level."""
    given, noise = {"net": net, "denoiser": "network", "iterations": steps}, problem.sigma
    level = 127.5 * LEVEL
    weight = RHO / noise**2 / 127.5**2
    return {
        "ADMM": lambda _: admm_pnp(problem, rho=RHO, gamma=1.0, lam=RHO * (LEVEL / noise) ** 2, **given),
        "PGD": lambda _: pgd_pnp(problem, sigma=level, **given),
        "HQS": lambda _: hqs(problem, sigma_1=level, sigma_K=level, lam=RHO * (LEVEL / noise) ** 2, **given),
        "RED": lambda _: red(problem, rule="steepest_descent", sigma_f=level, lam=weight, **given),
    }


def theirs(problem, network, steps):
    """deepinv's, from the same starts, with its own inpainting."""
    mask = problem.f.mask.float().expand(problem.shape)
    physics = deepinv.physics.Inpainting(tuple(mask.shape[1:]), mask)
    zero, middle = torch.zeros(problem.shape), problem.f.T(problem.y) / problem.f.norm**2
    made = {
        "ADMM": (optim.ADMM, optim.PnP, (zero, zero), {"stepsize": 1 / RHO}),
        "PGD": (optim.PGD, optim.PnP, (middle,), {"stepsize": 1 / problem.f.norm**2}),
        "HQS": (optim.HQS, optim.PnP, (zero,), {"stepsize": 1 / RHO}),
        "RED": (optim.GD, optim.RED, (middle,), {"stepsize": 2 / (problem.f.norm**2 + RHO), "lambda_reg": RHO}),
    }

    def run(algorithm, prior, start, options):
        model = algorithm(
            data_fidelity=optim.L2(), prior=prior(OnIntensities(network)), sigma_denoiser=LEVEL, max_iter=steps,
            early_stop=False, **options,
        )  # fmt: skip
        return lambda _: model(problem.y, physics, init=tuple(v.clone() for v in start))

    return {name: run(*parts) for name, parts in made.items()}


def main(steps=10, turns=5, size=64):
    torch.manual_seed(0)
    posed, _ = sipbench.pose("faces", "inpaint70", images=8, size=size, device="cpu", overrides=["split=validation"])
    for title, make in {"DnCNN": dncnns, "DRUNet": drunets}.items():
        nets = [net.eval().requires_grad_(False) for net in make()]
        for batch in (1, 8):
            problem = posed.select(slice(batch))
            table = Table(title=f"{title}, batch {batch}, {steps} steps, {torch.get_num_threads()} threads")
            for heading in HEADINGS:
                table.add_column(heading, justify="right" if heading else "left")
            mine, other = ours(problem, nets[0], steps), theirs(problem, nets[1], steps)
            for name in mine:
                runs = {"sipbench": mine[name], "deepinv": other[name]}
                with torch.no_grad():
                    for run in runs.values():
                        run(0)
                    seconds, made = measure(runs, turns)
                least = [1e3 * min(seconds[who])[0] / steps / batch for who in runs]
                pairs = list(zip(seconds["sipbench"], seconds["deepinv"], strict=True))
                ratios = [statistics.median(a[k] / b[k] for a, b in pairs) for k in (0, 1)]
                x, y = (made[who][0] for who in runs)
                apart = f"{float((x - y).norm() / y.norm()):.0e}"
                table.add_row(name, *(f"{v:.2f}" for v in least), *(f"{r:.3f}" for r in ratios), apart)
            Console(width=100).print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
