"""How near each way of holding the residual at sigma comes to the least total variation there is.

Run by hand: python benchmarks/constrained.py [iterations of the reference], on two validation images of `faces`, 64
pixels, in the three problems of the table `constrained`. The optimum is by Chambolle and Pock's primal-dual iterations
in double precision: duals of the differences in [-1, 1], of the ball of residuals by its projection, the box by
clipping. Printed are, for each image, how far TV lies above that optimum, how much the residual exceeds sigma, and the
seconds of the batch; of the reference itself how much it exceeds, and what its last half of iterations still changed.
"""

import sys
import time

import torch
from rich.console import Console
from rich.table import Table

import sipbench
from baselines.common.differences import differences
from baselines.common.losses import tv
from baselines.single.constrained import constrained

PROBLEMS = ("denoise", "inpaint70", "deblur_gaussian")
SCALES = {"deblur_gaussian": 10.0}  # of residual and ball, which moves no minimiser: the multiplier of a blur is large
WAYS = (
    ("increasing", 2000, {"rho": 0.01, "growth": 1.25}), ("augmented", 2000, {}), ("sqp", 600, {"history": 20}),
    ("sqp", 800, {"history": 20}), ("sqp", 2000, {"history": 20}),
)  # fmt: skip


def largest(f, shape, rounds=60):
    """The largest |A x| of |x| = 1."""
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(rounds):
        x = f.T(f(x))
        x = x / x.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return float(f(x).flatten(1).norm(dim=1).max())


def optimum(problem, iterations, scale=1.0):
    """The minimiser, and the one after half as many iterations. The ball is of what was measured."""
    f, y = problem.f, problem.y.double()
    mask = scale * (torch.ones_like(y) if f.valid is None else (f.valid != 0).expand_as(y).double())
    radius = problem.sigma * mask.flatten(1).square().sum(1).sqrt()
    step = 0.99 / (8 + (scale * largest(f, problem.shape)) ** 2) ** 0.5
    x = f.T(y).clamp(-1, 1)
    x_bar, z, half = x.clone(), torch.zeros_like(y), x
    p, q = map(torch.zeros_like, differences(x))
    for k in range(iterations):
        down, right = differences(x_bar)
        p, q, w = (p + step * down).clamp(-1, 1), (q + step * right).clamp(-1, 1), z + step * mask * f(x_bar)
        off = w / step - mask * y
        share = (radius / off.flatten(1).norm(dim=1).clamp(min=1e-300)).clamp(max=1)
        z = w - step * (mask * y + off * share.view(-1, *[1] * (y.ndim - 1)))
        g = f.T(mask * z)
        g[..., 1:, :] += p
        g[..., :-1, :] -= p
        g[..., 1:] += q
        g[..., :-1] -= q
        x, before = (x - step * g).clamp(-1, 1), x
        x_bar = 2 * x - before
        half = x if k == iterations // 2 else half
    return x, half


def exceeds(problem, x):
    """By how much the residual lies above sigma, in sigma: negative below."""
    f, y = problem.f, problem.y.double()
    mask = torch.ones_like(y) if f.valid is None else (f.valid != 0).expand_as(y).double()
    off = (mask * (f(x) - y)).flatten(1).square().sum(1) / mask.flatten(1).sum(1)
    return off.sqrt() / problem.sigma - 1


def figures(values, pattern):
    return " ".join(format(float(value), pattern) for value in values)


def main():
    iterations = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    table = Table("", "way", "evaluations", "TV above the optimum", "residual above sigma", "seconds")
    for name in PROBLEMS:
        problem, _ = sipbench.pose("faces", name, images=2, size=64, device="cpu", overrides=["split=validation"])
        began = time.perf_counter()
        best, half = optimum(problem, iterations, SCALES.get(name, 1.0))
        R, moved = tv(best), tv(half) / tv(best) - 1
        took = f"{time.perf_counter() - began:.0f}"
        table.add_row(
            name, "reference", f"{iterations}", figures(moved, "+.4%"), figures(exceeds(problem, best), "+.1e"), took
        )
        for way, count, options in WAYS:
            began = time.perf_counter()
            x = constrained(problem, way=way, iterations=count, points=1, **options).x.double()
            took = f"{time.perf_counter() - began:.0f}"
            table.add_row(
                "", way, f"{count}", figures(tv(x) / R - 1, "+.3%"), figures(exceeds(problem, x), "+.1e"), took
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
