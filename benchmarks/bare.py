"""What the benchmarks measure against: passes through a network alone, as one would type them."""

import time

import torch

from sipbench import device


def passes(network, x, steps, backward):
    """As many passes of x through a network of images and times; with `backward` each with the gradient in x."""
    clock = torch.full((len(x),), 500.0, device=x.device)
    if not backward:
        with torch.no_grad():
            for _ in range(steps):
                network(x, clock)
        return
    x = x.clone().requires_grad_()
    for _ in range(steps):
        out = network(x, clock).sample
        torch.autograd.grad(out, x, out)


def seconds(work, at):
    """How long a piece of work takes on a device, from an empty queue to an empty one."""
    device.wait(at)
    began = time.perf_counter()
    work()
    device.wait(at)
    return time.perf_counter() - began
