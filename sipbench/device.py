"""Choosing a device and asking what it used."""

from __future__ import annotations

import sys
from functools import cache

import torch

from sipbench.errors import UserError


def choose(name: str) -> torch.device:
    """`auto` takes a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"unknown device {name!r}: use auto, cpu, cuda or cuda:0") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name!r} was asked for, but torch sees no GPU: use device=cpu")
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        raise UserError(f"device {name!r} was asked for, and torch sees {count}: cuda:0 to cuda:{count - 1}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device 'mps' was asked for, but torch sees no GPU of Apple's: use device=cpu")
    return device


def has_units_for(device: torch.device, precision: str) -> bool:
    """Whether it calculates in bfloat16 or float16 itself; a CPU that does not can take a hundred times as long."""
    if device.type != "cpu" or precision not in ("bfloat16", "float16"):
        return True
    asked = {"bfloat16": "_is_mkldnn_bf16_supported", "float16": "_is_mkldnn_fp16_supported"}[precision]
    try:
        return bool(getattr(torch.ops.mkldnn, asked)())
    except (AttributeError, RuntimeError):  # of another torch: unknown
        return True


@cache
def warn_of_emulation(device: torch.device, precision: str) -> None:
    """A line on standard error, once a process, where a precision that is to save time costs it."""
    if not has_units_for(device, precision):
        said = f"this CPU has no {precision} of its own: a network in it can take a hundred times as long as in float32"
        print(f"sipbench: {said}", file=sys.stderr)


def make_deterministic(device: torch.device) -> None:
    """Same seed, same machine, same bytes: no algorithm is chosen by a race."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True


def wait(device: torch.device) -> None:
    """Until the device has done what was queued."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def release(device: torch.device) -> None:
    """Give back cached memory."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help. torch's CPU allocator says so in a RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def describe(device: torch.device) -> str:
    """The name of the device, for a row."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    import platform

    return f"cpu {platform.machine()} x{torch.get_num_threads()}"
