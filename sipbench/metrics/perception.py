"""LPIPS: how far apart two images lie in the features of a network trained on ImageNet.

R. Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.
The package ``lpips`` holds the small linear heads; `backbones.py` says where the networks themselves lie.
"""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sipbench.errors import UserError
from sipbench.metrics import backbones

SMALLEST = 32
CHUNK = 8


def lpips_alex(x_hat: Tensor, x: Tensor) -> Tensor:
    """LPIPS 0.1 of each image, (B,), with AlexNet, the variant of the published DMPlug tables."""
    return _lpips("alex", x_hat, x)


def lpips_vgg(x_hat: Tensor, x: Tensor) -> Tensor:
    """LPIPS 0.1 of each image, (B,), with VGG-16; not on the scale of the AlexNet variant."""
    return _lpips("vgg", x_hat, x)


def build(net: str, path: Path) -> nn.Module:
    """The LPIPS network with the backbone of this file, loaded strictly and without unpickling objects."""
    import lpips

    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore", UserWarning)
        model = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    file = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    heads = torch.load(file, map_location="cpu", weights_only=True)
    lins = model.get_submodule("lins")
    lins.load_state_dict({k.removeprefix("lin"): v for k, v in heads.items()}, strict=True, assign=True)
    names = {"features." + k.partition(".")[2]: k for k in model.net.state_dict()}
    features = {names.get(k, k): v for k, v in backbones.read(path).items()}
    model.net.load_state_dict(features, strict=True, assign=True)
    return model.requires_grad_(False).eval()


@torch.no_grad()
def _lpips(net: str, x_hat: Tensor, x: Tensor) -> Tensor:
    """A few images at a time, clipped to [-1, 1], which is the range that lpips expects."""
    if x_hat.shape != x.shape or x.ndim != 4 or x.shape[1] not in (1, 3) or min(x.shape[-2:]) < SMALLEST:
        raise ValueError(
            f"LPIPS needs two (B, 1 or 3, H, W) of one shape and at least {SMALLEST} x {SMALLEST} pixels, "
            f"not {tuple(x_hat.shape)} and {tuple(x.shape)}"
        )
    model = _network(net, _whole(net)).to(x.device)
    pairs = zip(_clip(x_hat).split(CHUNK), _clip(x).split(CHUNK), strict=True)
    return torch.cat([model(a, b).flatten() for a, b in pairs])


def _clip(x: Tensor) -> Tensor:
    return x.float().clamp(-1, 1).expand(-1, 3, -1, -1)


def _whole(net: str) -> Path:
    """The backbone's file, or an error that says how to get it."""
    path = backbones.present(net)
    if path is None:
        raise UserError(backbones.missing(net) or "")
    return path


@cache
def _network(net: str, path: Path) -> nn.Module:
    return build(net, path)
