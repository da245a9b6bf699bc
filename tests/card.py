"""A device that is none: tensors on "card" compute on the CPU, and what would make the host wait for a GPU is noted.

A GPU works through a queue. Whoever asks for a value of it, or copies one to it or from it, waits until the queue is
empty, and then the GPU waits for the host. On the CPU such a line looks like any other; here it is seen. Importing this
registers the device for the whole process, so tests do it in one of their own: see tests/waiting.py.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend


class Module(_DummyBackendModule):
    """What torch asks of `torch.card`: it has no random state of its own."""

    def get_rng_state(self, device: Any = None) -> Tensor:
        return torch.zeros(0)

    def set_rng_state(self, state: Tensor, device: Any = None) -> None: ...


_setup_privateuseone_for_python_backend("card", backend_module=Module())
CARD = torch.device("card", 0)

ASKS = {  # what a GPU answers with a value, or with a shape that depends on values
    "_local_scalar_dense", "nonzero", "masked_select", "_unique", "_unique2", "unique_dim", "unique_consecutive",
    "_linalg_check_errors", "equal", "bincount", "repeat_interleave",
}  # fmt: skip
INDEXES = {"index", "index_put", "index_put_", "_index_put_impl_"}
noted: list[Counter[str]] = []


class OnCard(Tensor):
    """A tensor that says that it lies on the card; `held` is where its values are."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnCard:
        made: Any = Tensor._make_wrapper_subclass(  # pyright: ignore
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=CARD
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore

    def __repr__(self, **_: Any) -> str:
        return f"OnCard({self.held})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


class Making(TorchDispatchMode):
    """Inside, tensors can be made on the card."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})


library = torch.library.Library("aten", "IMPL")


def _made(func: Any) -> None:
    library.impl(func, lambda *args, **kwargs: compute(func, args, kwargs), "PrivateUse1")


for _func in (torch.ops.aten.empty.memory_format, torch.ops.aten.empty_strided.default, torch.ops.aten.copy_.default):
    _made(_func)  # where torch makes a tensor without asking the mode, as of the numbers in an index


class Generator(torch.Generator):
    """A generator that says that it is the card's, and draws on the CPU."""

    def __new__(cls, device: Any = "cpu") -> Generator:
        return super().__new__(cls, "cpu")

    def __init__(self, device: Any = "cpu") -> None:
        self.at = torch.device(device)

    @property
    def device(self) -> torch.device:
        return self.at


@contextmanager
def waiting() -> Iterator[Counter[str]]:
    """How often which line waits, as "file:line what it waits for"."""
    noted.append(Counter())
    try:
        with Making():
            yield noted[-1]
    finally:
        noted.pop()


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on the CPU; its results lie on the card if an argument does, or if they are made there."""
    name, mine = func._schema.name.removeprefix("aten::"), dict[int, OnCard]()
    what = waits_for(name, args, kwargs)
    if what and noted:
        noted[-1][f"{_line()} {what}"] += 1

    def off(value: Any) -> Any:
        if isinstance(value, OnCard):
            mine[id(value.held)] = value
            return value.held
        return torch.device("cpu") if isinstance(value, torch.device) and value.type == "card" else value

    def on(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return mine[id(value)] if id(value) in mine else OnCard(value)

    named = kwargs.get("device")
    values, options = tree_map(off, args), tree_map(off, kwargs)
    made = func(*values, **options)
    if name == "copy_":
        return args[0]
    return tree_map(on, made) if (bool(mine) if named is None else _there(named)) else made


def waits_for(name: str, args: Any, kwargs: dict[str, Any]) -> str:
    """What the host would wait for in this operation; nothing if it would not. Two devices do not mix, as on a GPU."""
    tensors = [v for v in tree_leaves((args, kwargs)) if isinstance(v, Tensor)]
    here = [v for v in tensors if not isinstance(v, OnCard)]
    if name == "copy_":
        return "a copy" if isinstance(args[0], OnCard) != isinstance(args[1], OnCard) else ""
    if name == "_to_copy":
        named = kwargs.get("device")
        return "a copy" if named is not None and isinstance(args[0], OnCard) != _there(named) else ""
    if len(here) == len(tensors):
        return ""
    if name in ASKS:
        return f"a value ({name})"
    if name in INDEXES:
        index = [v for v in args[1] if v is not None]
        masks = [v for v in index if v.dtype in (torch.bool, torch.uint8)]
        if masks:
            filled = len(masks) == len(index) and "put" in name and args[2].numel() == 1
            return "" if filled else "where a mask is set"
        return "a copy of an index" if any(not isinstance(v, OnCard) for v in index) else ""
    if any(v.ndim for v in here):
        raise RuntimeError(f"{name} was given tensors of the card and of the CPU, at {_line()}")
    return ""


def _there(device: Any) -> bool:
    return torch.device(device).type == "card"


def _line() -> str:
    """The innermost line that is neither torch's nor this file's."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name != __file__ and "site-packages" not in name and not name.startswith("<"):
            return f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back
    return "the backward pass"
