"""The deep image prior of 16 images: one network an image, side by side, against one by one.

    python benchmarks/sidebyside.py [images] [iterations]

Prints the ratio of the times for networks of width 16, 32 and 64 with five scales at 64 x 64 pixels, and what each
stopping rule adds to an iteration at width 32.
"""

from __future__ import annotations

import sys
import time

import torch

from baselines.common.stopping import make_stopper
from baselines.single.hourglass import Hourglass
from sipbench.problem import Rng


def fitting(indices, width):
    """One iteration of Adam on one network an image, as a function without arguments."""
    rng = Rng.of(0, "sidebyside", indices)
    z, y = 0.1 * rng.portable.uniform(32, 64, 64), rng.uniform(3, 64, 64)
    G = Hourglass(rng.portable, 32, 3, channels=(width,) * 5, skip=(4,) * 5)
    adam = torch.optim.Adam(G.parameters(), lr=0.01)

    def iteration():
        x_hat = G(z)
        adam.zero_grad()
        (x_hat - y).square().flatten(1).mean(1).sum().backward()
        adam.step()
        return x_hat.detach()

    return iteration


def seconds(run, n):
    """The median of n, after two to warm up."""
    run(), run()
    taken = []
    for _ in range(n):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[n // 2]


def main(images=16, n=10):
    print(f"{images} images of 64 x 64, {torch.get_num_threads()} threads")
    for width in (16, 32, 64):
        together, alone = seconds(fitting(range(images), width), n), seconds(fitting([0], width), 2 * n)
        print(f"width {width}: side by side {together:.3f} s, one by one {images * alone:.3f} s, "
              f"ratio {together / alone / images:.2f}")  # fmt: skip
    run = fitting(range(images), 32)
    x_hat = run()
    iteration = seconds(run, n)
    for rule in ("emv", "wmv"):
        stopper, k = make_stopper(rule, x_hat), 0
        for k in range(120):
            stopper.update(k, x_hat)
        cost = seconds(lambda stopper=stopper, k=k: stopper.update(k + 1, x_hat), 5 * n)
        print(f"{rule}: {100 * cost / iteration:.1f} % of an iteration at width 32")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
