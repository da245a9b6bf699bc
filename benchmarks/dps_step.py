"""The time of one DPS step against one bare forward and backward pass of the same network at the same batch.

Run by hand: python benchmarks/dps_step.py [batch [steps]]. The two take turns, so that both meet the same machine.
"""

import statistics
import sys
import time
from dataclasses import replace

import torch

import sipbench
from baselines.diffusion.dps import dps
from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.bench.load import load_prior

batch = int(sys.argv[1]) if len(sys.argv) > 1 else 8
steps = int(sys.argv[2]) if len(sys.argv) > 2 else 10
words = ["method=dps"]
prior = load_prior(Cell.of(configs.compose(words), words), torch.device("cpu"))
problem, _ = sipbench.pose(degradation="inpaint70", images=batch, device="cpu")
problem = replace(problem, prior=prior)


def bare():
    x = torch.randn(problem.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    t = torch.full((batch,), 500)
    began = time.perf_counter()
    for _ in range(steps):
        out = prior.network(x, t).sample
        torch.autograd.grad(out, x, out)
    return (time.perf_counter() - began) / steps


def step():
    began = time.perf_counter()
    dps(problem, steps=steps)
    return (time.perf_counter() - began) / steps


bare(), step()
pairs = [(bare(), step()) for _ in range(5)]
ratio = statistics.median(s / b for b, s in pairs)
best = [1e3 * min(times) for times in zip(*pairs, strict=True)]
print(f"batch {batch}: a bare pass {best[0]:.1f} ms, a DPS step {best[1]:.1f} ms")
print(f"a DPS step takes {ratio:.3f} times a bare forward and backward pass (median of 5 turns)")
