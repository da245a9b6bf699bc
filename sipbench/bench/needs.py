"""What a method may need, in its config's `needs`, and why a problem does not give it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sipbench.operators.base import Operator


@dataclass(frozen=True)
class Given:
    """What a problem gives: the forward map, the noise as the solver is told it, and the prior."""

    f: Any
    noise: Any
    prior: Any


@dataclass(frozen=True)
class Need:
    """Whether a problem meets a need, and what is said where it does not."""

    met: Callable[[Given], bool]
    says: str


def _has(*names: str) -> Callable[[Given], bool]:
    return lambda given: all(hasattr(given.f, name) for name in names)


def _denoises(given: Given) -> bool:
    from sipbench.operators.colour import Denoise

    return isinstance(given.f, Denoise)


def _pictures(given: Given) -> bool:
    """Whether y is a picture of x: in colour or grey, as large or smaller by a whole number."""
    if isinstance(given.f, type):  # its file is not here: what it measures is not known yet
        return True
    x, y = tuple(given.f.shape[1:]), _y_shape(given.f)
    if len(y) != 3 or {x[0], y[0]} - {1, 3} or y[0] > x[0]:
        return False
    return all(n % m == 0 for n, m in zip(x[1:], y[1:], strict=True)) and x[1] * y[2] == x[2] * y[1]


def _real(given: Given) -> bool:
    """Whether x is real: a complex image has two channels."""
    return isinstance(given.f, type) or given.f.shape[1] != 2


def _y_shape(f: Any) -> tuple[int, ...]:
    """The shape of a measurement, without the batch."""
    import torch

    theta = {name: torch.zeros(f.shape[0], *shape) for name, shape in f.theta_shapes.items()} if f.blind else None
    with torch.no_grad():
        y = f.measure(torch.zeros(f.shape), *([] if theta is None else [theta]))
    return tuple(y.shape[1:])


TOLD = Need(lambda g: not g.f.blind, "{method} is told f; {degradation} leaves a part of it open")
NEEDS: dict[str, Need] = {
    "linear": Need(lambda g: g.f.linear, "{method} needs a linear forward map; {degradation} has none"),
    "svd": Need(
        lambda g: g.f.linear and g.f.svd() is not None,
        "{method} needs a singular value decomposition of the forward map",
    ),
    # a forward map that loses the phase of a linear one, whose field and its adjoint it gives
    "phase": Need(_has("lift", "lower"), "{method} is for phase retrieval; {degradation} is none"),
    # the same, of real images or stacked complex ones: its channels have the forward map in common
    "phase.real": Need(
        lambda g: _has("lift", "lower")(g) and "phase" not in g.f.symmetries,
        "{method} is for phase retrieval of real images; {degradation} is none",
    ),
    # one whose linear map is the Fourier transform of a frame, in and out of which it leads
    "far_field": Need(_has("embed", "crop"), "{method} is for phase retrieval from far fields; {degradation} is none"),
    "tomography": Need(_has("views", "detectors"), "{method} is for tomography; {degradation} is none"),
    # the same forward map for every image, so that a network can learn it: two images tell
    "fixed": Need(lambda g: g.f.alike, "{method} learns one forward map; {degradation} draws one for each image"),
    "denoising": Need(_denoises, "{method} only denoises; {degradation} does more than add noise"),
    "real": Need(_real, "{method} is for real images; those of {degradation} are complex"),
    "y.image": Need(_pictures, "{method} is given y as an image; {degradation} measures something else"),
    "blind": Need(
        lambda g: g.f.blind, "{method} is for forward maps that leave a part open; {degradation} is told whole"
    ),
    "blind.also": Need(lambda g: True, ""),  # a forward map told whole, or one that leaves a part open
    "noise.sigma": Need(
        lambda g: g.noise is not None and g.noise.sigma is not None,
        "{method} needs to be told the noise's standard deviation; {degradation} does not give one",
    ),
    "prior": Need(lambda g: g.prior is not None, "{method} needs a prior: name one with prior=..."),
    "prior.pixel": Need(
        lambda g: g.prior is not None and g.prior.kind == "pixel",
        "{method} needs a pixel prior: name one with prior=...",
    ),
    "prior.latent": Need(
        lambda g: g.prior is not None and g.prior.kind == "latent",
        "{method} needs a latent prior: name one with prior=...",
    ),
    "training_pairs": Need(lambda g: True, ""),  # what its network was trained on: stated, not checked
}


def wants_prior(method: Mapping[str, Any]) -> bool:
    """Whether a method says that it needs a prior."""
    return any(need.split(".")[0] == "prior" for need in method.get("needs") or [])


def unmet(method: Mapping[str, Any], degradation: str, f: Operator, noise: Any, prior: Any) -> str | None:
    """Why this method cannot do this problem, or None. Methods that state no needs are handed what there is."""
    if method.get("needs") is None:
        return None
    given = Given(f, noise, prior)
    said = (need.says for need in _stated(method["needs"]) if not need.met(given))
    reason = next(said, None)
    return reason.format(method=method["name"], degradation=degradation) if reason is not None else None


def _stated(needs: list[str]) -> Iterator[Need]:
    """The needs in the order of NEEDS; before them, that f is told whole, where a method does not say otherwise."""
    if not {"blind", "blind.also"} & set(needs):
        yield TOLD
    stated = {*needs, *(["prior"] if any(need.startswith("prior.") for need in needs) else [])}
    yield from (NEEDS[name] for name in NEEDS if name in stated)
