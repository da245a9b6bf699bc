"""Choosing a device and asking what it used."""

from __future__ import annotations

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
    return device


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


def describe(device: torch.device) -> str:
    """The name of the device, for a row."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    import platform

    return f"cpu {platform.machine()} x{torch.get_num_threads()}"
