"""What a method may need, in its config's `needs`, and why a problem does not give it.

linear         a linear forward map
svd            its singular value decomposition
denoising      that the forward map is the identity
phase          a forward map that loses the phase of a linear one, whose field and its adjoint it gives (lift, lower)
far_field      one whose linear map is the Fourier transform of a frame, in and out of which it leads (embed, crop)
blind          a forward map that leaves a part of itself open; blind.also: one that may leave a part open
noise.sigma    to be told the noise, and that it has one standard deviation everywhere
prior          any prior; prior.pixel: one of the image itself; prior.latent: one of codes
training_pairs what its network was trained on: stated, not checked
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipbench.operators.colour import Denoise

if TYPE_CHECKING:
    from sipbench.operators.base import Operator

KNOWN = (
    "linear", "svd", "denoising", "phase", "far_field", "blind", "blind.also", "noise.sigma", "prior", "prior.pixel",
    "prior.latent", "training_pairs",
)  # fmt: skip
PHASE = {"phase": ("lift", "lower"), "far_field": ("embed", "crop")}  # the methods that a forward map must have


def wants_prior(method: dict[str, Any]) -> bool:
    """Whether a method says that it needs a prior."""
    return any(need.split(".")[0] == "prior" for need in method.get("needs") or [])


def unmet(method: dict[str, Any], degradation: str, f: Operator, noise: Any, prior: Any) -> str | None:
    """Why this method cannot do this problem, or None. Methods that state no needs are handed what there is."""
    needs, name = method.get("needs"), method["name"]
    if needs is None:
        return None
    if f.blind and not {"blind", "blind.also"} & set(needs):
        return f"{name} is told f; {degradation} leaves a part of it open"
    if "linear" in needs and not f.linear:
        return f"{name} needs a linear forward map; {degradation} has none"
    if "svd" in needs and (not f.linear or f.svd() is None):  # pyright: ignore
        return f"{name} needs a singular value decomposition of the forward map"
    for need, parts in PHASE.items():
        if need in needs and not all(hasattr(f, part) for part in parts):
            kind = "phase retrieval" if need == "phase" else "phase retrieval from far fields"
            return f"{name} is for {kind}; {degradation} is none"
    if "denoising" in needs and not isinstance(f, Denoise):
        return f"{name} only denoises; {degradation} does more than add noise"
    if "blind" in needs and not f.blind:
        return f"{name} is for forward maps that leave a part open; {degradation} is told whole"
    if "noise.sigma" in needs and (noise is None or noise.sigma is None):
        return f"{name} needs to be told the noise's standard deviation; {degradation} does not give one"
    if wants_prior(method) and prior is None:
        return f"{name} needs a prior: name one with prior=..."
    for kind in ("pixel", "latent"):
        if f"prior.{kind}" in needs and prior.kind != kind:
            return f"{name} needs a {kind} prior: name one with prior=..."
    return None
