"""The truth that a dataset of pairs gives, laid where the metrics look for it. It joins at the score alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from sipbench.bench.score import Truth
from sipbench.datasets.base import Paired
from sipbench.datasets.reading import BadImage
from sipbench.errors import UserError
from sipbench.metrics.shifts import Pair, inside
from sipbench.operators.base import BlindOperator, Operator
from sipbench.problem import Problem

Best = Callable[[], Tensor | None]


def check(dataset: Paired, images: Sequence[int], f: Operator, y: Tensor) -> None:
    """Refuse at once what could not be scored: a truth of another size, a kernel larger than its box."""
    for image in images:
        _placed(_main(dataset, image), f, y, image)
    theta(dataset, images, f)


def truth(
    dataset: Paired, images: Sequence[int], problem: Problem, theta: Mapping[str, Tensor] | None, best: Best
) -> Truth:
    """x of these images, theta and how well the true kernel does, where it is known."""
    f, y = problem.f, problem.y
    x = torch.stack([_placed(_main(dataset, image), f, y, image) for image in images])
    margin = _margin(_main(dataset, images[0]), f)
    several = any(len(dataset.references(image)) > 1 for image in images)
    near = partial(_nearest, dataset, images, f, y, margin) if several else None
    return Truth(x, theta, best, near=near, margin=margin)


def theta(dataset: Paired, images: Sequence[int], f: Operator) -> dict[str, Tensor] | None:
    """The kernels in the box that a blind f looks for one in; None where none is known or f is not blind."""
    if not dataset.with_kernels or not isinstance(f, BlindOperator) or set(f.theta_shapes) != {"kernel"}:
        return None
    found, box = [dataset.kernel(image) for image in images], tuple(f.theta_shapes["kernel"][-2:])
    for image, k in zip(images, found, strict=True):
        if any(n > m for n, m in zip(k.shape[-2:], box, strict=True)):
            need = max(k.shape[-2:])
            raise UserError(
                f"the kernel of pair {image} has {k.shape[-2]} x {k.shape[-1]} pixels, more than the box of "
                f"{box[0]} x {box[1]} that the degradation names: degradation.operator.size={need} or more"
            )
    return {"kernel": torch.stack([_boxed(k, box) for k in found])}


def _main(dataset: Paired, image: int) -> Tensor:
    """The truth; of several the one in the middle."""
    found = dataset.references(image)
    return found[len(found) // 2]


def _boxed(k: Tensor, box: tuple[int, ...]) -> Tensor:
    """Zeros round a kernel, so that its centre k // 2 falls on that of its box."""
    (kh, kw), (h, w) = k.shape[-2:], box
    top, left = h // 2 - kh // 2, w // 2 - kw // 2
    return F.pad(k, (left, w - kw - left, top, h - kh - top))


def _placed(x: Tensor, f: Operator, y: Tensor, image: int) -> Tensor:
    """x in the shape of what f looks for. Where that reaches beyond y, and x does not, its border is continued.

    A blur reaches beyond y by less than y itself; where x would be twice as large as y, it has other pixels.
    """
    wanted, have = tuple(f.shape[1:]), tuple(x.shape)
    if have == wanted:
        return x
    down, across = (n - m for n, m in zip(wanted[-2:], have[-2:], strict=True))
    of_y = have[-2:] == tuple(y.shape[-2:]) and 0 <= down < have[-2] and 0 <= across < have[-1]
    if have[0] != wanted[0] or not of_y:
        raise BadImage(f"pair {image}: x is {have}, y is {tuple(y.shape[1:])}, and the degradation looks for {wanted}")
    before = (down // 2, across // 2)
    pad = (before[1], across - before[1], before[0], down - before[0])
    return F.pad(x[None], pad, mode="replicate")[0]


def _margin(x: Tensor, f: Operator) -> Pair:
    """What of the border is not compared: what f leaves out, and what nobody knows of x."""
    grown = [(n - m + 1) // 2 for n, m in zip(f.shape[-2:], x.shape[-2:], strict=True)]
    return max(f.margin[0], grown[0]), max(f.margin[1], grown[1])


def _nearest(dataset: Paired, images: Sequence[int], f: Operator, y: Tensor, margin: Pair, x_hat: Tensor) -> Tensor:
    """Of each image the reference with the least squared error; where f allows shifts, the one that correlates best."""
    likeness = _correlation if f.symmetries else _closeness
    chosen = []
    for image, estimate in zip(images, x_hat, strict=True):
        found, seen = dataset.references(image), inside(estimate, margin).double()
        placed = (_placed(x, f, y, image) for x in found)  # one at a time: together they are gigabytes
        scores = [float(likeness(seen, inside(x.to(x_hat), margin).double())) for x in placed]
        chosen.append(_placed(found[scores.index(max(scores))], f, y, image))
    return torch.stack(chosen)


def _closeness(a: Tensor, b: Tensor) -> Tensor:
    return -(a - b).square().sum()


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """The largest over all whole shifts, in grey, of pictures without their means and of unit length."""
    spectra = [torch.fft.rfft2(grey / grey.norm().clamp(min=1e-300)) for grey in (_contrast(a), _contrast(b))]
    return torch.fft.irfft2(spectra[0] * spectra[1].conj(), s=a.shape[-2:]).max()


def _contrast(x: Tensor) -> Tensor:
    grey = x.mean(0)
    return grey - grey.mean()
