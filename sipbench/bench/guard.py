"""What a solver may not do: alter what it was handed, leave torch's settings changed, end the process.

Whatever it did is undone, and its images become failed rows with the reason; the next cell meets a clean process.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench.problem import Problem

SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch.is_grad_enabled()": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch.get_default_dtype()": (torch.get_default_dtype, torch.set_default_dtype),
    "torch.get_default_device()": (torch.get_default_device, lambda d: torch.set_default_device(None)),
    "torch.get_num_threads()": (torch.get_num_threads, torch.set_num_threads),
    "torch.are_deterministic_algorithms_enabled()": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch.backends.cudnn.benchmark": (
        lambda: torch.backends.cudnn.benchmark,
        lambda value: setattr(torch.backends.cudnn, "benchmark", value),
    ),
    "torch.backends.cudnn.deterministic": (
        lambda: torch.backends.cudnn.deterministic,
        lambda value: setattr(torch.backends.cudnn, "deterministic", value),
    ),
    "the working directory": (os.getcwd, os.chdir),
}
OURS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))


class Trespass(Exception):
    """A solver altered what is not its own; the message says what."""


@contextmanager
def guarded(problem: Problem, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Run a solver inside: settings are put back, and Trespass says what it altered.

    Args:
        problem: the one that the solver is handed, with a y of its own.
        modules: the networks that it is lent, by name.
    """
    before, versions = settings(), _versions(problem, modules)
    measured = problem.y.clone()
    try:
        yield
    finally:
        changed = restore(before)
    written = [name for name, version in _versions(problem, modules).items() if versions.get(name, version) != version]
    if not torch.equal(measured.nan_to_num(), problem.y.nan_to_num()):
        written.append("problem.y")
    if changed or written:
        raise Trespass("; ".join([*changed, *(f"it wrote into {name}" for name in dict.fromkeys(written))]))


def settings() -> dict[str, Any]:
    """The process-wide settings by name."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def restore(before: Mapping[str, Any]) -> list[str]:
    """Put back what was changed, and say what that was."""
    changed = [f"{name}: {before[name]} became {value}" for name, value in settings().items() if value != before[name]]
    for name, (read, write) in SETTINGS.items():
        if read() != before[name]:
            write(before[name])
    return changed


def out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may help. torch's CPU allocator says so in a RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def frames(error: BaseException, most: int = 3) -> list[str]:
    """The innermost lines outside of the harness and of torch, the last one last: where a person would look."""
    found = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*OURS, "<"))]
    return [f"{Path(f.filename).name}:{f.lineno} in {f.name}: {f.line}" for f in found[-most:]]


def story(error: BaseException) -> str:
    """The whole traceback, for the store."""
    return "".join(traceback.format_exception(error))


def _versions(problem: Problem, modules: Mapping[str, nn.Module]) -> dict[str, int]:
    """How often each tensor that a solver is lent has been written into. Buffers made on demand are not yet there."""
    owners: Iterable[tuple[str, nn.Module]] = (("problem.f", problem.f), *modules.items())
    tensors = {f"{label}.{name}": t for label, module in owners for name, t in _tensors(module)}
    return {name: t._version for name, t in tensors.items()}


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_buffers()
    yield from module.named_parameters()
