"""A pickle of numpy arrays in dictionaries: nothing of it is run but numpy's own making of an array."""

from __future__ import annotations

import pickle
from typing import IO, Any

import numpy as np

RECONSTRUCT: Any = np.zeros(0).__reduce__()[0]
ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Unpickler(pickle.Unpickler):
    """Knows how arrays are made, and nothing else."""

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError as error:
            raise pickle.UnpicklingError(f"it names {module}.{name}: numpy's arrays alone are read") from error


def read(file: IO[bytes]) -> dict[str, Any]:
    """Dictionaries by word, in dictionaries, of arrays of plain numbers; anything else is an UnpicklingError."""
    try:
        found = Unpickler(file).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # damaged pickles raise anything
        raise pickle.UnpicklingError(f"it is damaged: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise pickle.UnpicklingError("it holds no dictionary")
    _refuse(found)
    return found


def _refuse(node: Any) -> None:
    if isinstance(node, dict) and all(isinstance(key, str) for key in node):
        for value in node.values():
            _refuse(value)
    elif not isinstance(node, np.ndarray) or node.dtype.kind not in "biuf":
        raise pickle.UnpicklingError("it holds something else than arrays of numbers by name")
