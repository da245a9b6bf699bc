"""What a solver returned for an image, as bytes and back: a safetensors file in a column of its row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sipbench.errors import UserError
from sipbench.problem import Estimate
from sipbench.safety import sizes

if TYPE_CHECKING:
    from sipbench.bench.score_draws import Draws

SMALL = 4 * 2**20  # bytes of posterior samples an image that are kept
PROBE = "probe."  # before the name of an iterate that a probe chose
NONE: Mapping[str, Tensor] = {}


def packed(estimate: Estimate, i: int, draws: Draws | None = None, chosen: Mapping[str, Tensor] = NONE) -> bytes:
    """Image i of an estimate as safetensors: x in single precision, theta, and samples where they are small.

    Of draws that are not small their mean and standard deviation are kept. Beside it stand the iterates that a probe
    chose; what came in half precision stays so.
    """
    from safetensors.torch import save

    parts = {"x": estimate.x, **{f"theta.{name}": part for name, part in (estimate.theta or {}).items()}}
    samples = estimate.samples
    if samples is not None and small(samples.shape[1:]):
        parts["samples"] = samples
    elif draws is not None:
        parts |= {"mean": draws.mean, "std": draws.std}
    tensors = {name: part[i].detach().float() for name, part in parts.items()}
    for name, x in chosen.items():
        tensors[f"{PROBE}{name}"] = x[i].detach() if x.dtype == torch.float16 else x[i].detach().float()
    return save({name: part.cpu().clone(memory_format=torch.contiguous_format) for name, part in tensors.items()})


def small(shape: Sequence[int]) -> bool:
    """Whether posterior samples of this shape (S, C, H, W) are kept."""
    return 4 * math.prod(shape) <= SMALL


def moments(content: bytes) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of the draws, batches of one, kept in the place of samples that are not small."""
    parts = _parts(content, "mean", "std")
    return parts["mean"][None], parts["std"][None]


def unpacked(content: bytes) -> Estimate:
    """The estimate, a batch of one."""
    parts = {name: part[None] for name, part in _parts(content, "x").items()}
    theta = {name.removeprefix("theta."): part for name, part in parts.items() if name.startswith("theta.")}
    return Estimate(parts["x"], theta=theta or None, samples=parts.get("samples"))


def unpacked_chosen(content: bytes) -> dict[str, Tensor]:
    """The iterates that a probe chose, each a batch of one."""
    return {name.removeprefix(PROBE): x[None] for name, x in _parts(content).items() if name.startswith(PROBE)}


def _parts(content: bytes, *needed: str) -> dict[str, Tensor]:
    """The tensors in what is kept of an image; a UserError where it is not what `packed` has made."""
    from safetensors.torch import load

    try:
        found = load(content)
    except Exception as error:  # a stranger's bytes raise anything
        raise UserError(f"what is kept of it cannot be read ({sizes.reason(error)})") from error
    if lost := [name for name in needed if name not in found]:
        raise UserError(f"what is kept of it holds no {lost[0]}")
    return found
