"""LPIPS: the backbone's weights are found, checked and loaded as they should be, or named where they are missing."""

import hashlib
import os
import pickle
import socket
import threading
import time
import urllib.error

import lpips
import pytest
import torch
import torchvision.models
from lpips import pretrained_networks

from sipbench.errors import UserError
from sipbench.metrics import available, evaluate, lpips_alex, lpips_vgg, perception
from tests.metrics.images import pair

NAMES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
BUILDERS = {"alex": "alexnet", "vgg": "vgg16"}


def random_features(net):
    """torchvision's network with random features; the classifier, which LPIPS has no use for, stays without values."""
    g = torch.Generator().manual_seed(1)
    with torch.device("meta"):
        model = getattr(torchvision.models, BUILDERS[net])()
    shapes = {k: v.shape for k, v in model.features.state_dict().items()}
    state = {k: torch.randn(s, generator=g) / max(1, s[1:].numel()) ** 0.5 for k, s in shapes.items()}
    model.features.load_state_dict(state, assign=True)
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Each network and the file of its random weights."""
    folder = tmp_path_factory.mktemp("weights")
    models = {net: random_features(net) for net in NAMES}
    return {net: (model, save(model, folder / NAMES[net])) for net, model in models.items()}


def save(model, path, **options):
    state = {f"features.{k}": v for k, v in model.features.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**state, "classifier.1.bias": torch.zeros(2)}, path, **options)
    return path


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty torch.hub folder, and nothing remembered."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    for cached in (perception._fetch, perception._network, perception._sha256):
        cached.cache_clear()
    yield tmp_path / "hub" / "checkpoints"
    perception._network.cache_clear()


@pytest.fixture
def trusting(hub, files, monkeypatch):
    """Random weights in the places of the real ones, whose hash they cannot have."""
    monkeypatch.setattr(perception, "_intact", lambda path: path.is_file())
    hub.mkdir(parents=True)
    for _, path in files.values():
        (hub / path.name).symlink_to(path)
    return hub


@pytest.mark.parametrize("net", NAMES)
def test_the_network_is_that_of_the_package(net, files, monkeypatch):
    """The package's own way to load a backbone, handed the same weights, gives the same distances."""
    model, path = files[net]
    ours = perception.build(net, path, verify=False)
    monkeypatch.setattr(pretrained_networks.tv, BUILDERS[net], lambda pretrained: model)
    theirs = lpips.LPIPS(net=net, verbose=False)
    x_hat, x = pair(2, 3, 33, 47)
    with torch.no_grad():
        expected = theirs(x_hat, x).flatten()
        torch.testing.assert_close(ours(x_hat, x).flatten(), expected)
    assert (expected > 1e-4).all()
    assert not ours.training and not any(p.requires_grad for p in ours.parameters())


def test_the_old_file_format_loads(tmp_path, files):
    """The published AlexNet file is of the time before torch saved zip archives."""
    path = save(files["alex"][0], tmp_path / NAMES["alex"], _use_new_zipfile_serialization=False)
    perception.build("alex", path, verify=False)


@pytest.mark.parametrize("change", ["lacks", "extra", "shape"])
def test_loading_is_strict(change, tmp_path, files):
    state = torch.load(files["alex"][1], weights_only=True)
    bias = state.pop("features.0.bias")
    if change != "lacks":
        state["features.0.bias"] = bias if change == "extra" else bias[:-1]
    if change == "extra":
        state["features.99.bias"] = bias
    torch.save(state, tmp_path / NAMES["alex"])
    with pytest.raises(RuntimeError, match=r"features\.99\.bias|slice1\.0\.bias"):
        perception.build("alex", tmp_path / NAMES["alex"], verify=False)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_no_object_is_unpickled(tmp_path):
    torch.save({"features.0.bias": Trap(tmp_path / "sprung")}, tmp_path / NAMES["alex"])
    with pytest.raises(pickle.UnpicklingError):
        perception.build("alex", tmp_path / NAMES["alex"], verify=False)
    assert not (tmp_path / "sprung").exists()


def test_the_hash_in_the_name_is_checked(tmp_path, files):
    path = save(files["alex"][0], tmp_path / "alexnet.pth")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    good = path.rename(tmp_path / f"alexnet-owt-{digest[:8]}.pth")
    perception.build("alex", good)
    with good.open("ab") as file:
        file.write(b"\0")
    os.utime(good, ns=(0, 0))
    with pytest.raises(ValueError, match="hash"):
        perception.build("alex", good)


def test_building_leaves_the_global_random_state(files):
    before = torch.random.get_rng_state()
    perception.build("alex", files["alex"][1], verify=False)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("metric", [lpips_alex, lpips_vgg])
def test_a_batch_is_its_images_one_by_one(metric, trusting, monkeypatch):
    monkeypatch.setattr(perception, "CHUNK", 2)
    x_hat, x = pair(3, 3, 32, 32)
    scores = metric(x_hat, x)
    alone = torch.cat([metric(a[None], b[None]) for a, b in zip(x_hat, x, strict=True)])
    assert scores.shape == (3,) and (scores.diff() > 0).all()
    torch.testing.assert_close(scores, alone, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(metric(x, x), torch.zeros(3))
    torch.testing.assert_close(metric(x_hat.clamp(-1, 1), x), scores)


def test_grey_images_are_repeated(trusting):
    x_hat, x = pair(2, 1, 32, 32)
    torch.testing.assert_close(lpips_alex(x_hat, x), lpips_alex(x_hat.repeat(1, 3, 1, 1), x.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("shape", [(1, 2, 32, 32), (1, 3, 31, 40)])
def test_it_says_what_images_it_takes(shape):
    with pytest.raises(ValueError, match=r"1 or 3.*32 x 32"):
        lpips_alex(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize("net", NAMES)
def test_missing_weights_are_named(net, hub):
    line = available(f"lpips_{net}")
    assert line and "\n" not in line
    assert NAMES[net] in line and f"https://download.pytorch.org/models/{NAMES[net]}" in line and str(hub) in line
    assert not hub.exists()


def test_without_weights_the_column_is_nan_and_a_call_says_why(hub):
    x_hat, x = pair(2)
    assert evaluate(["lpips_alex"], x_hat, x)["lpips_alex"].isnan().all()
    with pytest.raises(UserError, match=NAMES["alex"]):
        lpips_alex(x_hat, x)


def test_a_damaged_file_is_named(hub):
    hub.mkdir(parents=True)
    (hub / NAMES["alex"]).write_bytes(b"half of a file")
    assert "delete it" in (available("lpips_alex", download=True) or "")


def test_nothing_is_downloaded_unasked_and_a_failure_is_remembered(hub, monkeypatch):
    tries = []

    def fail(url, path, prefix):
        tries.append((url, prefix, socket.getdefaulttimeout()))
        raise urllib.error.URLError("no route\nto host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    available("lpips_vgg")
    evaluate(["lpips_vgg"], *pair(1))
    assert tries == []
    first, second = available("lpips_vgg", download=True), available("lpips_vgg", download=True)
    assert tries == [(perception.url("vgg"), "397923af", perception.TIMEOUT)]
    assert first and first == second and "no route to host" in first and "\n" not in first
    assert socket.getdefaulttimeout() is None


def test_a_download_that_succeeds_is_used(hub, files, monkeypatch):
    monkeypatch.setattr(perception, "_intact", lambda path: path.is_file())
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda url, path, prefix: save(files["alex"][0], hub / NAMES["alex"])
    )
    assert available("lpips_alex", download=True) is None
    assert lpips_alex(*pair(1)).isfinite().all()


def test_a_silent_server_does_not_hang(hub, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(perception, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        reset = threading.Timer(5, server.close)
        reset.start()
        monkeypatch.setattr(perception, "url", lambda net: f"http://127.0.0.1:{server.getsockname()[1]}/{NAMES[net]}")
        start = time.monotonic()
        assert "timed out" in (perception.missing("alex", download=True) or "")
    reset.cancel()
    assert time.monotonic() - start < 3
    assert list(hub.iterdir()) == []
