"""What stands in for the real thing in a check: priors with a formula, random weights, a map that remembers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from sipbench import configs
from sipbench.bench.cell import Cell, NotApplicable
from sipbench.bench.leavings import as_bytes
from sipbench.bench.needs import wants_prior
from sipbench.bench.watch import Counted
from sipbench.degradation import Degradation
from sipbench.operators.base import LinearOperator, Operator
from sipbench.priors.codes import Shuffle
from sipbench.priors.gaussian import IsotropicGaussian
from sipbench.priors.latent import LatentPrior


@cache
def _surroundings(size: int) -> configs.Base:
    """A config whose method and degradation are still to be put in. Composing takes longer than many a check."""
    words = ["dataset=faces", f"size={size}", "split=validation", "prior=none", "metrics=[psnr]"]
    return configs.Base(configs.compose(words))


def small_cell(method: dict[str, Any], degradation: dict[str, Any], size: int) -> Cell:
    return Cell.of(configs.Filled(_surroundings(size), {"method": method, "degradation": degradation}).resolved(), [])


def prior_for(cell: Cell) -> Counted | None:
    """A Gaussian prior where the solver takes one, of pixels or of codes that hold the same pixels in another order."""
    needs = cell.method.get("needs")
    if needs is not None and not wants_prior(cell.method):
        return None
    channels, height, width = Degradation.of(cell.degradation).x_shape(cell.dataset)
    if "prior.latent" not in (needs or []):
        return Counted(IsotropicGaussian((channels, height, width)))
    if height % 2 or width % 2:
        raise NotApplicable("the checks' codes are those of images with even sides")
    inner = IsotropicGaussian((4 * channels, height // 2, width // 2))
    return Counted(LatentPrior(inner, Shuffle((channels, height, width))))


def priors_of_theta(cell: Cell) -> dict[str, Counted]:
    """A Gaussian prior for each part of theta that the method has one of."""
    return {name: Counted(IsotropicGaussian(cell.theta_shapes[name.removesuffix("_prior")])) for name in cell.priors}


def remembering(f: Operator, memory: dict[Any, Tensor]) -> Operator:
    """A copy of a map; where its pseudo-inverse takes many steps, what was asked for once is looked up.

    The runs of a trial ask for the same ones again. An image's is its own, whatever its batch.
    """
    f = copy.deepcopy(f)
    if not isinstance(f, LinearOperator) or f.exact_pinv:
        return f
    kind = type(f)

    def pinv(self: LinearOperator, y: Tensor) -> Tensor:
        if len(y) != self.shape[0] or (y.requires_grad and torch.is_grad_enabled()):
            return kind.pinv(self, y)
        found = []
        for i in range(len(y)):
            one = self.select(slice(i, i + 1))
            key = (y.dtype, *map(as_bytes, (y[i], *(one.get_buffer(name) for name in one.per_image))))
            if key not in memory:
                memory[key] = kind.pinv(one, y[i : i + 1])
            found.append(memory[key])
        return torch.cat(found)

    f.__class__ = type(kind.__name__, (kind,), {"pinv": pinv})
    return f


def unsized(networks: Mapping[str, nn.Module]) -> bool:
    """Whether there is a part that the first measurement sizes."""
    return any(is_lazy(part) for net in networks.values() for part in (*net.parameters(), *net.buffers()))


class Elsewhere(nn.Module):
    """Stands for a network made elsewhere, of an image or of y and an operator: three taps down each column."""

    def __init__(self) -> None:
        super().__init__()
        self.taps = nn.Parameter(torch.tensor([0.2, 0.5, 0.2]), requires_grad=False)

    def forward(self, v: Tensor, physics: Any = None) -> Tensor:
        x = nn.functional.pad(v if physics is None else physics.A_adjoint(v), (0, 0, 1, 1), "replicate")
        return sum(t * x[..., i : x.shape[-2] - 2 + i, :] for i, t in enumerate(self.taps))  # pyright: ignore


def untrained(node: Mapping[str, Any]) -> nn.Module:
    """The architecture with random weights: the contract does not depend on what was learnt."""
    if "path" in node:
        return Elsewhere().eval()
    architecture = {k: v for k, v in node.items() if k not in ("weights", "get")}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = configs.build(architecture)
        for parameter in network.parameters():
            if is_lazy(parameter):
                continue
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.01)
            parameter.requires_grad_(False)
    return network.eval()
