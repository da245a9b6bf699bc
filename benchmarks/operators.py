"""Forward plus adjoint of every linear operator beside deepinv's for the same job, and beside what bounds them.

Run by hand: python benchmarks/operators.py [size [batch [names ...]]]. All take turns, so that they meet the same
machine; printed is the median, the ratio to deepinv (at most 1 is the goal), the ratio to the larger of one forward and
inverse FFT of what must be transformed (x, its padded frame, all its coils) and the bytes that must be moved (x, y and
the operator's own, each read or written once), and the ratio to one forward and inverse FFT of x.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import deepinv.physics as peer
import torch
from torch import Tensor

from sipbench import configs
from sipbench.degradation import Degradation
from sipbench.errors import UserError
from sipbench.operators.unknowns import CHANNELS
from sipbench.problem import Rng

ROUNDS, SECONDS = 7, 0.3


def build(name: str, size: int, batch: int) -> tuple[Any, Tensor]:
    words = [f"degradation={name}", "prior=none", f"size={size}"]
    node = configs.compose(words).degradation
    from omegaconf import OmegaConf

    plain: Any = OmegaConf.to_container(node, resolve=True)
    channels = CHANNELS[plain.get("unknown", "image")] or 3
    rng = Rng.of(0, "bench", range(batch))
    f = Degradation.of(plain).build((batch, channels, size, size), rng)
    return f, rng.normal(channels, size, size)


def twin(name: str, f: Any, x: Tensor) -> Any | None:
    """deepinv's operator for the same job, with the same mask or kernel where it takes one for each image."""
    b, c, h, w = x.shape
    factors = {"sr2": 2, "sr4": 4, "sr8": 8}
    if name in factors:
        return peer.Downsampling(img_size=(c, h, w), factor=factors[name], filter="bicubic", padding="reflect")
    if name == "sr4_avgpool":
        return peer.Downsampling(img_size=(c, h, w), factor=4, filter=torch.full((1, 1, 4, 4), 1 / 16), padding="valid")
    if name == "sr4_blur":
        return peer.Downsampling(img_size=(c, h, w), factor=4, filter="gaussian", padding="reflect")
    if name.startswith("inpaint"):
        return peer.Inpainting(img_size=(c, h, w), mask=f.mask.float().expand(b, c, h, w).contiguous())
    if name.startswith("deblur"):
        boundary = f.boundary
        if boundary == "circular":
            return peer.BlurFFT(img_size=(c, h, w), filter=f.kernel[:1].float())
        return peer.Blur(filter=f.kernel.float(), padding=boundary)
    if name == "colorize":
        return peer.Decolorize()
    if name == "demosaic":
        return peer.Demosaicing(img_size=(h, w))
    if name == "denoise":
        return peer.Denoising()
    if name == "mri":
        return peer.MRI(img_size=(h, w), mask=f.mask.float())
    if name == "mri_multicoil":
        maps = torch.view_as_complex(f.maps.float().contiguous()) if not f.maps.is_complex() else f.maps.cfloat()
        return peer.MultiCoilMRI(img_size=(h, w), mask=f.mask.float(), coil_maps=maps)
    if name.startswith("ct"):
        return peer.Tomography(angles=f.angles.rad2deg().float(), img_width=w, circle=False, normalize=False)
    if name == "cs_gaussian":
        return peer.CompressedSensing(m=f.m, img_size=(c, h, w), channelwise=True)
    if name == "cs_hadamard":
        return peer.SinglePixelCamera(m=f.m, img_size=(c, h, w), fast=True)
    return None


def once(forward: Callable[[Tensor], Tensor], adjoint: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """Seconds of one forward and adjoint, averaged over as many as fill a fraction of a second."""
    count, began = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - began < SECONDS:
        adjoint(forward(x))
        count += 1
    return (time.perf_counter() - began) / count


def transformed(f: Any, x: Tensor) -> tuple[int, ...]:
    """The size of what the operator must transform: x, its padded frame where borders are made up, or all its coils."""
    if hasattr(f, "maps"):
        return (len(x), 2 * f.maps.shape[1], *x.shape[-2:])
    frame = getattr(getattr(f, "convolution", None), "grid", None)
    return (*x.shape[:2], *(frame or x.shape[-2:]))


def bound(f: Any, x: Tensor) -> float:
    """The larger of an FFT pair of that size and of moving the bytes that an operator cannot avoid."""
    buffers = {k: v for k, v in f._buffers.items() if v is not None}
    own = sum(f.cast(k, x).nbytes if v.is_floating_point() else v.nbytes for k, v in buffers.items())
    block = torch.empty(max(1, (2 * x.nbytes + 2 * f(x).nbytes + 2 * own) // 8), dtype=torch.float32)
    copy = once(lambda a: a.clone(), lambda a: a, block)
    return max(copy, pair(transformed(f, x)))


def pair(shape: tuple[int, ...]) -> float:
    """Seconds of one forward and inverse FFT of real images."""
    return once(torch.fft.rfft2, lambda z: torch.fft.irfft2(z, s=shape[-2:]), torch.zeros(shape))


@torch.no_grad()
def main(size: int = 256, batch: int = 8, *names: str) -> None:
    print(f"{size} x {size}, batch {batch}, {torch.get_num_threads()} threads, medians of {ROUNDS}")
    print(f"{'operator':<16}{'ms':>9}{'deepinv ms':>12}{'ratio':>8}{'to bound':>10}{'to FFT of x':>13}")
    for name in names or configs.names("degradation"):
        try:
            f, x = build(name, size, batch)
        except UserError as error:
            print(f"{name:<16}not here: {error}")
            continue
        if not f.linear:
            continue
        other = twin(name, f, x)
        ours, theirs, bounds, pairs = [], [], [], []
        for _ in range(ROUNDS):
            ours.append(once(f, f.T, x))
            bounds.append(bound(f, x))
            pairs.append(pair(tuple(x.shape)))
            if other is not None:
                theirs.append(once(other.A, other.A_adjoint, x))
        mine = statistics.median(ours)
        line = f"{name:<16}{1e3 * mine:>9.2f}"
        peers = statistics.median(theirs) if theirs else 1.0
        line += f"{1e3 * peers:>12.2f}{mine / peers:>8.2f}" if theirs else " " * 20
        print(line + f"{mine / statistics.median(bounds):>10.2f}{mine / statistics.median(pairs):>13.2f}", flush=True)


if __name__ == "__main__":
    given = [int(a) if a.isdigit() else a for a in sys.argv[1:]]
    main(*given)  # pyright: ignore
