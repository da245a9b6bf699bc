"""The training loop beside a bare one: the same network, images and measurements, and Adam.

Run by hand: python benchmarks/training.py [steps [repeats]], on `faces` at 64 pixels, sr4, batch 16. The two take
turns, so that both meet the same machine. Printed: images a second of both, by the clock, and the median of their
ratios; the aim is 0.95. The bare loop averages, clips and saves nothing; it keeps its images in memory as the other
does, and measures each batch anew.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch

from sipbench import configs, device
from sipbench.bench.cell import Cell
from sipbench.problem import Rng
from sipbench.training.lessons import Training
from sipbench.training.loop import Schedule, fit

BATCH = 16
WORDS = ["method=unet", "degradation=sr4", "size=64", "recipe=tradeoff", "recipe.images=64", "recipe.validation=2"]


def bare(training, steps, at):
    """A loop as one would type it."""
    network = training.network.to(at).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    for step in range(steps):
        numbers = range(step * BATCH, (step + 1) * BATCH)
        x = training.images(numbers).to(at)
        value = training.loss(network, x, Rng.of(0, "train", numbers, at))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()


def ours(training, steps, at):
    """sipbench's: with the moving average, clipped gradients, one save at the end."""
    schedule = Schedule(steps=steps, batch_size=BATCH, save_every=steps)
    with tempfile.TemporaryDirectory() as folder:
        fit(
            training.network,
            training.loss,
            training.images,
            schedule,
            Path(folder),
            device=at,
            report=lambda line: None,
        )


def seconds(loop, steps, at):
    training = Training.of(Cell.of(configs.compose(WORDS), WORDS).lessons["net"])
    loop(training, 2, at)
    began = time.perf_counter()
    loop(training, steps, at)
    if at.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main(steps=60, repeats=5):
    at, ratios, speeds = device.choose("auto"), [], {"bare": [], "sipbench": []}
    for turn in range(repeats):
        pair = {}
        for name, loop in sorted({"bare": bare, "sipbench": ours}.items(), reverse=bool(turn % 2)):
            pair[name] = BATCH * steps / seconds(loop, steps, at)
            speeds[name].append(pair[name])
        ratios.append(pair["sipbench"] / pair["bare"])
    for name, found in speeds.items():
        print(f"{name:<9} {max(found):7.1f} images/s at best, {statistics.median(found):7.1f} in the median")
    print(f"sipbench over bare: {statistics.median(ratios):.3f} (of {', '.join(f'{r:.3f}' for r in ratios)})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
