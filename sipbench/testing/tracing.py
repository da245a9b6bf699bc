"""Following the torch calls of a solver: which draw from the global state, which forget the device."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sipbench.problem import Rng

DRAWS = {
    "rand", "randn", "randint", "randperm", "normal", "bernoulli", "multinomial", "poisson", "rand_like", "randn_like",
    "randint_like", "normal_", "uniform_", "random_", "bernoulli_", "exponential_", "log_normal_", "cauchy_",
    "geometric_", "dropout",
}  # fmt: skip
MAKERS = {"zeros", "ones", "empty", "full", "eye", "arange", "linspace", "logspace", "rand", "randn", "tensor"}
TORCH, HARNESS = str(Path(torch.__file__).parent), str(Path(__file__).parents[1])


class Trace(TorchFunctionMode):
    """Notes the lines of a solver that draw without a generator, or make a tensor without naming its device."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: dict[str, None] = {}
        self.homeless: dict[str, None] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        out = func(*args, **kwargs)
        if name in DRAWS and kwargs.get("generator") is None and not Rng.lending and _draws(name, args, kwargs):
            self.draws[f"{name} at {_line()}"] = None
        if name in MAKERS and kwargs.get("device") is None and isinstance(out, Tensor) and out.ndim:
            line = _line()
            if line != "?":
                self.homeless[f"torch.{name} at {line}"] = None
        return out


def _draws(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Dropout draws in training only; a generator may also be passed by position."""
    if name == "dropout":
        return bool(kwargs.get("training", args[2] if len(args) > 2 else True))
    return not any(isinstance(a, torch.Generator) for a in args)


def _line() -> str:
    """The innermost line outside torch; ? where that is the harness's own."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(TORCH):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(HARNESS):
        return "?"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
