"""LPIPS: how far apart two images lie in the features of a network trained on ImageNet.

R. Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018.
The package ``lpips`` holds the small linear heads; the backbones are torchvision's ImageNet weights, which no package
holds. They are looked for among the checkpoints of torch.hub, and downloaded only when that is asked for.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from sipbench.errors import UserError

WEIGHTS = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights"}
SMALLEST = 32
TIMEOUT = 10.0
CHUNK = 8


def lpips_alex(x_hat: Tensor, x: Tensor) -> Tensor:
    """LPIPS 0.1 of each image, (B,), with AlexNet, the variant of the published DMPlug tables."""
    return _lpips("alex", x_hat, x)


def lpips_vgg(x_hat: Tensor, x: Tensor) -> Tensor:
    """LPIPS 0.1 of each image, (B,), with VGG-16; not on the scale of the AlexNet variant."""
    return _lpips("vgg", x_hat, x)


def url(net: str) -> str:
    """Where torchvision publishes the backbone."""
    import torchvision.models

    return getattr(torchvision.models, WEIGHTS[net]).IMAGENET1K_V1.url


def checkpoint(net: str) -> Path:
    """Where torch.hub keeps the backbone; whether it is there is another matter."""
    return Path(torch.hub.get_dir()) / "checkpoints" / url(net).rpartition("/")[2]


def missing(net: str, *, download: bool = False) -> str | None:
    """None where the backbone is at hand, else one line that says how to get it.

    With ``download`` an absent file is fetched, once in a process: a failure is remembered and not tried again.
    """
    path = checkpoint(net)
    if not path.is_file():
        why = _fetch(url(net), path) if download else None
        if not path.is_file():
            tried = f" (the download failed: {why})" if why else ""
            return f"{path.name} is missing{tried}: get {url(net)} and put it in {path.parent}"
    if not _intact(path):
        return f"{path.name} is damaged or cannot be read: delete it, get {url(net)} and put it in {path.parent}"
    return None


def build(net: str, path: Path, *, verify: bool = True) -> nn.Module:
    """The LPIPS network with the backbone of this file, loaded strictly and without unpickling objects.

    ``verify`` compares the file with the hash in its name, as torch.hub does.
    """
    import lpips

    if verify and not _intact(path):
        raise ValueError(f"{path} does not match the hash in its name")
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore", UserWarning)
        model = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    heads = _read(Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth")
    lins = model.get_submodule("lins")
    lins.load_state_dict({k.removeprefix("lin"): v for k, v in heads.items()}, strict=True, assign=True)
    features = {k: v for k, v in _read(path).items() if not k.startswith("classifier.")}
    names = {"features." + k.partition(".")[2]: k for k in model.net.state_dict()}
    model.net.load_state_dict({names.get(k, k): v for k, v in features.items()}, strict=True, assign=True)
    return model.requires_grad_(False).eval()


def _read(path: Path) -> dict[str, Tensor]:
    return torch.load(path, map_location="cpu", weights_only=True)


@torch.no_grad()
def _lpips(net: str, x_hat: Tensor, x: Tensor) -> Tensor:
    """A few images at a time, clipped to [-1, 1], which is the range that lpips expects."""
    if x_hat.shape != x.shape or x.ndim != 4 or x.shape[1] not in (1, 3) or min(x.shape[-2:]) < SMALLEST:
        raise ValueError(
            f"LPIPS needs two (B, 1 or 3, H, W) of one shape and at least {SMALLEST} x {SMALLEST} pixels, "
            f"not {tuple(x_hat.shape)} and {tuple(x.shape)}"
        )
    model = _network(net, checkpoint(net)).to(x.device)
    pairs = zip(_clip(x_hat).split(CHUNK), _clip(x).split(CHUNK), strict=True)
    return torch.cat([model(a, b).flatten() for a, b in pairs])


def _clip(x: Tensor) -> Tensor:
    return x.float().clamp(-1, 1).expand(-1, 3, -1, -1)


@cache
def _network(net: str, path: Path) -> nn.Module:
    if reason := missing(net):
        raise UserError(reason)
    return build(net, path, verify=False)


def _intact(path: Path) -> bool:
    """Whether the file's hash begins with the digits at the end of its name."""
    try:
        return _sha256(path, path.stat().st_mtime_ns).startswith(path.stem.rpartition("-")[2])
    except OSError:
        return False


@cache
def _sha256(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def _fetch(source: str, path: Path) -> str | None:
    """Download with torch.hub, which checks the hash and renames into place. Returns why it failed, or None."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _impatient(TIMEOUT):
            torch.hub.download_url_to_file(source, str(path), path.stem.rpartition("-")[2])
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        return " ".join(str(error).split()) or type(error).__name__
    return None


@contextmanager
def _impatient(seconds: float) -> Iterator[None]:
    """New sockets give up after so many seconds of silence; torch.hub sets no limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
