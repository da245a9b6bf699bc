"""What a solver may not do: alter what it was lent, leave settings of the process changed, end the process.

What it changed of the settings is put back, what it was lent is loaded anew, and its images become failed rows with the
reason. One process cannot hide its memory from the code it runs: this catches mistakes, and cheating that is not made
with care.
"""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sipbench.bench.leavings import Leavings
from sipbench.problem import Estimate, Problem

NOTES = ("TORCHINDUCTOR_", "TRITON_")
Setting = tuple[Callable[[], Any], Callable[[Any], Any]]


def _attribute(owner: Any, name: str) -> Setting:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _environment() -> dict[str, str]:
    """The environment but for what torch notes there when it compiles, or when the first optimiser is made."""
    return {name: value for name, value in os.environ.items() if not name.startswith(NOTES)}


def _set_environment(before: Mapping[str, str]) -> None:
    for name in _environment().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _folder() -> str:
    """The working directory; nothing where somebody has removed it."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def _go_back(folder: str) -> None:
    with suppress(OSError):
        os.chdir(folder)


def _set_inference(on: bool) -> None:
    """A mode is left by its end alone: inside one that was not ended, another begins and is kept."""
    mode = torch.inference_mode(on)
    mode.__enter__()
    _modes.append(mode)


_modes: list[Any] = []


def _autocast() -> tuple[Any, ...]:
    return tuple((torch.is_autocast_enabled(at), torch.get_autocast_dtype(at)) for at in ("cpu", "cuda"))


def _set_autocast(before: tuple[Any, ...]) -> None:
    for at, (on, dtype) in zip(("cpu", "cuda"), before, strict=True):
        torch.set_autocast_enabled(at, on)
        torch.set_autocast_dtype(at, dtype)


SETTINGS: dict[str, Setting] = {
    "torch.is_inference_mode_enabled()": (torch.is_inference_mode_enabled, _set_inference),
    "torch.is_autocast_enabled()": (_autocast, _set_autocast),
    "torch.is_grad_enabled()": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch.is_anomaly_enabled()": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "torch.get_default_dtype()": (torch.get_default_dtype, torch.set_default_dtype),
    "torch.get_default_device()": (torch.get_default_device, lambda d: torch.set_default_device(None)),
    "torch.get_num_threads()": (torch.get_num_threads, torch.set_num_threads),
    "torch.get_float32_matmul_precision()": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "torch.use_deterministic_algorithms": (
        _deterministic,
        lambda v: torch.use_deterministic_algorithms(v[0], warn_only=v[1]),
    ),
    **{
        f"torch.backends.cudnn.{name}": _attribute(torch.backends.cudnn, name)
        for name in ("enabled", "benchmark", "deterministic")
    },
    "numpy.geterr()": (np.geterr, lambda before: np.seterr(**before)),
    "the environment": (_environment, _set_environment),
    "the working directory": (_folder, _go_back),
}
OURS = (str(Path(__file__).parents[1]), str(Path(torch.__file__).parent))
PARTS = tuple(str(Path(__file__).parents[1] / room) + os.sep for room in ("operators", "datasets"))
SHARED = ("base.py", "iterative.py")  # what all operators or datasets share
STDLIB = sysconfig.get_paths()["stdlib"]


class Trespass(Exception):
    """A solver altered what is not its own; the message says what."""


class Guard:
    """Run a solver inside: `with guard: ...`. Afterwards settings are as before, and it knows what was altered.

    Args:
        problem: the one that the solver is handed, with a y of its own.
        lent: priors and networks by name.

    Attributes:
        changed: the settings that were not as before, and what was left behind.
        written: what was written into, of the problem and of what was lent.
    """

    def __init__(self, problem: Problem, lent: Mapping[str, Any]) -> None:
        self._owned = {"problem.y": problem.y, "problem.f": problem.f, **lent}
        self.changed: list[str] = []
        self.written: list[str] = []

    def __enter__(self) -> Guard:
        self._settings, self._contents, self._leavings = settings(), contents(self._owned), Leavings()
        return self

    def __exit__(self, *_: object) -> None:
        left = self._leavings.undo()
        self.changed = [*restore(self._settings), *left]
        now = contents(self._owned)
        self.written = [name for name, content in self._contents.items() if now.get(name) != content]

    def check(self) -> None:
        """Raise Trespass if anything was altered."""
        if self.changed or self.written:
            raise Trespass("; ".join([*self.changed, *(f"it altered {name}" for name in self.written[:3])]))


def settings() -> dict[str, Any]:
    """The process-wide settings by name."""
    return {name: read() for name, (read, _) in SETTINGS.items()}


def restore(before: Mapping[str, Any]) -> list[str]:
    """Put back what was changed, and say what that was."""
    now = settings()
    changed = [name for name, value in now.items() if value != before[name]]
    for name in changed:
        SETTINGS[name][1](before[name])
    return [name if "environment" in name else f"{name}: {before[name]} became {now[name]}" for name in changed]


def contents(owned: Mapping[str, Any]) -> dict[str, Any]:
    """What can be told of tensors and modules without keeping a copy: sums of their bits, modes and hooks."""
    found: dict[str, Any] = {}
    for label, thing in owned.items():
        for name, part in _parts(label, thing, set()):
            found[name] = _sum(part) if isinstance(part, Tensor) else _mode(part)
    return found


def _parts(name: str, thing: Any, seen: set[int], depth: int = 4) -> Iterator[tuple[str, Tensor | nn.Module]]:
    """The tensors and the modules that an object holds. Buffers that are made on demand are not yet there."""
    if id(thing) in seen or depth < 0:
        return
    seen.add(id(thing))
    if isinstance(thing, Tensor):
        yield name, thing
    elif isinstance(thing, nn.Module):
        yield from ((f"{name}.{n}".rstrip("."), m) for n, m in thing.named_modules())
        yield from ((f"{name}.{n}", t) for n, t in (*thing.named_buffers(), *thing.named_parameters()))
    elif isinstance(thing, Mapping):
        for key, value in thing.items():
            yield from _parts(f"{name}.{key}", value, seen, depth - 1)
    elif isinstance(thing, list | tuple):
        for i, value in enumerate(thing):
            yield from _parts(f"{name}.{i}", value, seen, depth - 1)
    elif hasattr(thing, "__dict__") and not isinstance(thing, type) and not callable(thing):
        yield from _parts(name, vars(thing), seen, depth - 1)


def _sum(t: Tensor) -> tuple[Any, ...]:
    """A tensor's shape, whether it wants a gradient, and sums of its bits: of all, and of some by their places."""
    t_plain = torch.view_as_real(t.detach()) if t.is_complex() else t.detach()
    whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[t_plain.element_size()]
    bits = t_plain.contiguous().reshape(-1).view(whole)
    some = (bits, bits[::2], bits[::3], bits[: len(bits) // 2])
    return tuple(t.shape), t.requires_grad, *torch.stack([part.sum(dtype=torch.int64) for part in some]).tolist()


def _mode(module: nn.Module) -> tuple[Any, ...]:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
    return module.training, *(tuple(h) for h in hooks)


def own(estimate: Any) -> Estimate:
    """What a solver returned, its tensors as plain ones of the harness's own: a subclass would hear what follows."""
    found = estimate if isinstance(estimate, Estimate) else Estimate(estimate)
    parts = {
        name: None if values is None else {k: plain(v) for k, v in values.items()}
        for name, values in (("theta", found.theta), ("certificate", found.certificate))
    }
    x, samples, stopped, converged = (plain(v) for v in (found.x, found.samples, found.stopped, found.converged))
    return Estimate(x, samples=samples, stopped=stopped, converged=converged, **parts)


def plain(value: Any) -> Any:
    """A tensor of any class as a plain one in memory of its own; what is none stays."""
    if not isinstance(value, Tensor):
        return value
    with torch._C.DisableTorchFunctionSubclass():
        return value.detach().as_subclass(Tensor).clone()


def frames(error: BaseException, most: int = 3) -> list[str]:
    """The innermost lines outside of the harness, torch and Python, the last one last: where a person would look.

    Those of operators and of datasets are among them.
    """
    return [f"{Path(f.filename).name}:{f.lineno} in {f.name}: {f.line}" for f in _frames(error)[-most:]]


def place(error: BaseException) -> str:
    """The last line outside of the harness, and that of the operator or the dataset that it called: `mine.py:5`."""
    found = _frames(error)
    outside = [f for f in found if not f.filename.startswith(OURS)]
    return ", ".join(dict.fromkeys(f"{Path(f.filename).name}:{f.lineno}" for f in (*outside[-1:], *found[-1:])))


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    found = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    found = [f for f in found if not f.filename.startswith(OURS) or _of_a_part(f.filename)]
    return [f for f in found if not f.filename.startswith(STDLIB) or "site-packages" in f.filename]


def _of_a_part(file: str) -> bool:
    """Whether it is the file of one operator or one dataset, as a checkout has them."""
    return file.startswith(PARTS) and Path(file).name not in SHARED


def story(error: BaseException) -> str:
    """The whole traceback, for the store."""
    return "".join(traceback.format_exception(error))
