"""Training of priors and of networks: one resumable loop for both.

A run is a folder: `state.pt` (weights, their moving average, optimiser, step; written atomically), `log.csv` and
sheets of pictures. Step k always sees the same images and the same noise, so a killed run goes on as if nothing had
happened.
"""

from __future__ import annotations

import copy
import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench.problem import Rng

Loss = Callable[[nn.Module, Tensor, Rng], Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    The learning rate rises over `warmup` steps, stays, and falls to zero over the last `decay` share of the steps, so
    that a run can be shortened or lengthened while it goes.
    """

    steps: int = 10_000
    batch_size: int = 16
    lr: float = 6e-4
    warmup: int = 200
    decay: float = 0.3
    ema: float = 0.999
    clip: float = 1.0
    precision: str = "float32"
    seed: int = 0
    save_every: int = 500

    def rate(self, step: int) -> float:
        up = min(1.0, (step + 1) / max(1, self.warmup))
        down = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(up, 1.0, down)


def fit(
    network: nn.Module,
    loss: Loss,
    images: Callable[[range], Tensor],
    schedule: Schedule,
    folder: Path,
    *,
    device: torch.device,
    sheet: Callable[[nn.Module, Path], None] | None = None,
    report: Callable[[str], None] = print,
) -> tuple[nn.Module, dict[str, Any]]:
    """Train and return the averaged network and the facts of its training.

    Args:
        loss: the loss of the network on a batch of images, given one random stream per image.
        images: the training images of a range of indices, (B, C, H, W).
        sheet: draws what the averaged network can do, at each save.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = network.to(device).train()
    average = copy.deepcopy(network).requires_grad_(False).eval()
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.lr)
    state = _restore(folder / "state.pt", network, average, optimiser, device)
    precision = getattr(torch, schedule.precision)
    running, begin, first = None, time.monotonic(), state["step"]
    for step in range(first, schedule.steps):
        low = step * schedule.batch_size
        x = images(range(low, low + schedule.batch_size)).to(device, non_blocking=True)
        rng = Rng.of(schedule.seed, "train", range(low, low + schedule.batch_size), device)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        with torch.autocast(device.type, precision, enabled=precision is not torch.float32):
            value = loss(network, x, rng)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
        optimiser.step()
        _average(average, network, min(schedule.ema, (step + 1) / (step + 10)))
        running = value.detach() if running is None else torch.lerp(running, value.detach(), 0.02)
        if (step + 1) % schedule.save_every == 0 or step + 1 == schedule.steps:
            state = {
                "step": step + 1,
                "loss": float(running),
                "seconds": state["seconds"] + time.monotonic() - begin,
            }
            speed = (step + 1 - first) * schedule.batch_size / max(1e-9, time.monotonic() - begin)
            begin, first = time.monotonic(), step + 1
            _save(folder, state, network, average, optimiser)
            left = (schedule.steps - step - 1) * schedule.batch_size / speed
            done = f"step {step + 1}/{schedule.steps}  loss {state['loss']:.5f}"
            report(f"{done}  {speed:.1f} images/s  {left / 60:.0f} min left")
            if sheet is not None:
                sheet(average, folder / f"sheet-{step + 1:07d}.png")
    return average, state | {"images": state["step"] * schedule.batch_size}


def _restore(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device
) -> dict[str, Any]:
    if not path.is_file():
        return {"step": 0, "loss": float("nan"), "seconds": 0.0}
    saved = torch.load(path, map_location=device, weights_only=True)
    network.load_state_dict(saved["network"])
    average.load_state_dict(saved["average"])
    optimiser.load_state_dict(saved["optimiser"])
    return saved["facts"]


def _save(
    folder: Path, facts: dict[str, Any], network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    saved = {"facts": facts, "network": network.state_dict(), "average": average.state_dict()}
    torch.save(saved | {"optimiser": optimiser.state_dict()}, folder / "state.pt.tmp")
    os.replace(folder / "state.pt.tmp", folder / "state.pt")
    new = not (folder / "log.csv").exists()
    with open(folder / "log.csv", "a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(facts))
        if new:
            writer.writeheader()
        writer.writerow(facts)


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average <- decay average + (1 - decay) network; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in network.parameters()], 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(now)
