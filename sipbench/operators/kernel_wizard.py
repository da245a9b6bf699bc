"""Nonlinear deblurring as published: a network that has learned how real cameras blur.

Tran et al., Explore image deblurring via encoded blur kernel space, CVPR 2021: y = G(x, c), where the code c of a blur
is encoded from a pair of a sharp and a blurred image, or drawn. Here it is drawn.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench import checkpoints
from sipbench.errors import UserError
from sipbench.operators.base import Operator
from sipbench.problem import Rng
from sipbench.safety import sizes

GET = (
    "download GOPRO_wVAE.pth (Google Drive file 1vRoDpIsrTRYZKsOMPNbPcMtFDpCT6Foy, linked from the model zoo of "
    "github.com/VinAIResearch/blur-kernel-space-exploring) into the weights folder."
)
ENCODER = "kernel_extractor."  # the half of the checkpoint that encodes a given blur; drawing one does not need it
STRIDE = 128  # pixels of the image for one place of the code


class NonlinearBlur(Operator):
    """y = clip(2 G((x + 1) / 2, c) - 1, -1, 1) with a code c = scale z of each image's own, z standard normal.

    The published code has 512 channels and a place for every 128 x 128 pixels: 2 x 2 at the published size of 256. An
    image of another size is mirrored up to a multiple of 128 on all sides, and y is cut back.
    """

    per_image = ("code",)

    def __init__(
        self,
        shape: tuple[int, ...],
        rng: Rng,
        *,
        checkpoint: str = "GOPRO_wVAE.pth",
        weights: str | Path = "weights",
        scale: float = 1.2,
    ) -> None:
        """Draw the codes, and read the network from a checkpoint by its path or its name below the weights folder."""
        super().__init__(shape, rng.device)
        if shape[1] != 3:
            raise ValueError(f"the blur network takes three channels, not {shape[1]}")
        if not (scale >= 0 and math.isfinite(scale)):
            raise ValueError(f"scale must be zero or positive, not {scale}")
        self.file = find(checkpoint, weights)
        generator(self.file, torch.float32, self.device)
        code = scale * rng.normal(512, *(-(-n // STRIDE) for n in shape[-2:]), dtype=torch.float64)
        self.register_buffer("code", code, persistent=False)

    @classmethod
    def weight_file(cls, *, checkpoint: str = "GOPRO_wVAE.pth", weights: str | Path = "weights", **other: Any) -> Path:
        """The file that y rests on; its hash belongs to a result."""
        return find(checkpoint, weights)

    def forward(self, x: Tensor) -> Tensor:
        network = generator(self.file, x.dtype, x.device)
        h, w = x.shape[-2:]
        top, left = -h % STRIDE // 2, -w % STRIDE // 2
        blurred = network(_mirrored(_mirrored((x + 1) / 2, -2), -1), self.cast("code", x))
        return (2 * blurred[..., top : top + h, left : left + w] - 1).clamp(-1, 1)


class Generator(nn.Module):
    """G(x, c): features of a sharp image, changed by a U-Net that takes the code at its bottom, and an image of these.

    Modules are named as in the official checkpoint, which loads strictly.
    """

    def __init__(self, nf: int = 64, front: int = 10, back: int = 20) -> None:
        super().__init__()
        rectify = nn.LeakyReLU(0.1)
        convs = [nn.Conv2d(3, nf, 3, 1, 1), nn.Conv2d(nf, nf, 3, 2, 1), nn.Conv2d(nf, nf, 3, 2, 1)]
        layers = [layer for conv in convs for layer in (conv, rectify)]
        self.feature_extractor = nn.Sequential(*layers, *(Residual(nf) for _ in range(front)))
        self.adapter = Adapter(nf)
        self.recon_trunk = nn.Sequential(
            *(Residual(nf) for _ in range(back)),
            *(nn.Conv2d(nf, 4 * nf, 3, 1, 1), nn.PixelShuffle(2), rectify),
            *(nn.Conv2d(nf, 256, 3, 1, 1), nn.PixelShuffle(2), rectify),
            *(nn.Conv2d(64, 64, 3, 1, 1), rectify, nn.Conv2d(64, 3, 3, 1, 1)),
        )

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """x (B, 3, H, W) in [0, 1] with sides that are multiples of 128; the code (B, 8 nf, H / 128, W / 128)."""
        return x + self.recon_trunk(self.adapter(self.feature_extractor(x), code))


class Residual(nn.Module):
    """x + conv(relu(conv(x)))."""

    def __init__(self, nf: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(nf, nf, 3, 1, 1), nn.Conv2d(nf, nf, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x).relu())


class Adapter(nn.Module):
    """The U-Net: five levels of nf, 2 nf, 4 nf, 8 nf and 8 nf channels, as many of the code as of the last."""

    def __init__(self, nf: int) -> None:
        super().__init__()
        level = Level(8 * nf, 8 * nf, None)
        for outer, inner in ((4 * nf, 8 * nf), (2 * nf, 4 * nf), (nf, 2 * nf), (nf, nf)):
            level = Level(outer, inner, level, outermost=(outer == inner))
        self.model = level

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        return self.model(x, code)


class Level(nn.Module):
    """One level of the U-Net: halve, go through the level below or take the code, double, and carry the input along."""

    def __init__(self, outer: int, inner: int, below: Level | None, *, outermost: bool = False) -> None:
        super().__init__()
        halve = nn.Conv2d(outer, inner, 4, 2, 1, bias=False)
        double = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=outermost)
        self.outermost = outermost
        self.down = nn.Sequential(halve) if outermost else nn.Sequential(nn.LeakyReLU(0.2), halve)
        self.submodule = below
        self.up = nn.Sequential(nn.ReLU(), double, *([nn.Tanh()] if outermost else []))

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        inside = self.down(x)
        inside = torch.cat([inside, code], 1) if self.submodule is None else self.submodule(inside, code)
        outside = self.up(inside)
        return outside if self.outermost else torch.cat([outside, x], 1)


def find(checkpoint: str, weights: str | Path) -> Path:
    """The file of a checkpoint, or an error that says where it was looked for and how to get it."""
    places = checkpoints.places(checkpoint, weights)
    for place in places:
        if place.is_file():
            return place.resolve()
    looked = ", ".join(str(p) for p in places)
    raise UserError(f"missing checkpoint {checkpoint!r}. Looked in: {looked}. To get it: {GET}")


@cache
def generator(file: Path, dtype: torch.dtype, device: torch.device) -> Generator:
    """The frozen network of a checkpoint, read once a process."""
    state = {k: v.to(device, dtype) for k, v in _state(file).items() if not k.startswith(ENCODER)}
    with torch.device("meta"):
        network = Generator()
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise UserError(f"checkpoint {file} does not fit its network: {text[:400]}") from error
    return network.requires_grad_(False).eval()


def _state(file: Path) -> dict[str, Tensor]:
    """The tensors of a .pth file. Only tensors are read: nothing in it can run."""
    try:
        state = sizes.weights(file)
    except (ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"corrupt checkpoint {file}: {sizes.reason(error)}. Get it again.") from error
    if not (isinstance(state, Mapping) and all(isinstance(v, Tensor) for v in state.values())):
        raise UserError(f"checkpoint {file} holds something else than the tensors of a network")
    return dict(state)


def _mirrored(x: Tensor, axis: int) -> Tensor:
    """An axis continued on both sides up to a multiple of the stride, the edge sample repeated."""
    n = x.shape[axis]
    missing = -n % STRIDE
    if missing == 0:
        return x
    at = (torch.arange(n + missing, device=x.device) - missing // 2) % (2 * n)
    return x.index_select(axis, torch.where(at < n, at, 2 * n - 1 - at))
