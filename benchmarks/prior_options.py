"""What the options of a prior's network cost or save: seconds for x_hat, and for x_hat with its gradient in x_t.

Run by hand: python benchmarks/prior_options.py [device [turns [option ...]]], on the shipped prior of `faces`, batches
1 and 8. The options take turns, so that all meet the same machine; printed are the least milliseconds and the median
ratio to the plain network. Memory is what autograd keeps between forward and backward, weights aside, as a ratio too.
"""

import statistics
import sys
from functools import partial

import torch
from bare import seconds
from rich.console import Console
from rich.table import Table

from sipbench.priors.load import diffusers_prior

device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
turns = int(sys.argv[2]) if len(sys.argv) > 2 else 9
OPTIONS = {
    "plain": {},
    "bf16": {"precision": "bfloat16"},
    "channels_last": {"channels_last": True},
    "compile": {"compile": True},
    "checkpointing": {"checkpointing": True},
    "bf16, channels_last": {"precision": "bfloat16", "channels_last": True},
    "compile, channels_last": {"compile": True, "channels_last": True},
}
chosen = ["plain", *(sys.argv[3:] or list(OPTIONS)[1:])]
T = torch.tensor(0.5)


def denoise(prior, x_t):
    with torch.no_grad():
        return prior.denoise(x_t, T)


def with_gradient(prior, x_t):
    x_t = x_t.detach().requires_grad_()
    x_hat = prior.denoise(x_t, T)
    return torch.autograd.grad(x_hat, x_t, x_hat.detach())[0]


def kept(prior, x_t):
    """The bytes that autograd keeps for the backward pass, weights aside."""
    storages, weights = {}, {p.untyped_storage().data_ptr() for p in prior.network.parameters()}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes(), tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        x_hat = prior.denoise(x_t.detach().requires_grad_(), T)
    del x_hat
    return sum(size for size, _ in storages.values())


def measure(priors, batch):
    """For each option: milliseconds of both kinds of work, ratios to plain, the bytes kept."""
    x_t = torch.randn(batch, *priors["plain"].shape, generator=torch.Generator().manual_seed(0)).to(device)
    times = {(name, work): [] for name in priors for work in (denoise, with_gradient)}
    for name, prior in priors.items():
        first = sum(seconds(partial(work, prior, x_t), device) for work in (denoise, with_gradient))
        if "compile" in name:
            print(f"{name}, batch {batch}: the first calls took {first:.0f} s")
    for _ in range(turns):
        for (name, work), list_ in times.items():
            list_.append(seconds(partial(work, priors[name], x_t), device))
    for name, prior in priors.items():
        row = [name]
        for work in (denoise, with_gradient):
            own, plain = times[name, work], times["plain", work]
            ratio = statistics.median(a / b for a, b in zip(own, plain, strict=True))
            row += [f"{1e3 * min(own):.1f}", f"{ratio:.2f}"]
        yield (*row, f"{kept(prior, x_t) / kept(priors['plain'], x_t):.2f}")


priors = {name: diffusers_prior("faces-64-prior", weights="", device=device, **OPTIONS[name]) for name in chosen}
for batch in (1, 8):
    table = Table(title=f"batch {batch}, {device}, {torch.get_num_threads()} threads")
    for heading in ("option", "x_hat ms", "ratio", "with gradient ms", "ratio", "memory kept"):
        table.add_column(heading, justify="left" if heading == "option" else "right")
    for row in measure(priors, batch):
        table.add_row(*row)
    Console(width=100).print(table)
