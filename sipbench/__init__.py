"""sipbench poses an inverse problem, hands a solver only what it may know, and scores what comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sipbench.api import pose, score, solve
    from sipbench.operators.deepinverse import to_deepinv
    from sipbench.problem import Estimate, Problem, Rng

__all__ = ["Estimate", "Problem", "Rng", "pose", "score", "solve", "to_deepinv"]


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that `import sipbench` is instant."""
    if name in ("pose", "solve", "score"):
        from sipbench import api

        return getattr(api, name)
    if name in ("Estimate", "Problem", "Rng"):
        from sipbench import problem

        return getattr(problem, name)
    if name == "to_deepinv":
        from sipbench.operators.deepinverse import to_deepinv

        return to_deepinv
    raise AttributeError(f"module 'sipbench' has no attribute {name!r}")
