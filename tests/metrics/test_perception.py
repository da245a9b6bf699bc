"""LPIPS is that of the package, with the weights of a file that is loaded strictly; its images are taken one by one."""

import os
import pickle
from pathlib import Path

import lpips
import pytest
import torch
import torchvision.models
from lpips import pretrained_networks

from sipbench.datasets.reading import read_whole
from sipbench.errors import UserError
from sipbench.metrics import backbones, evaluate, lpips_alex, lpips_vgg, perception
from tests.metrics.images import pair

NAMES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
EXAMPLES = Path(__file__).parent / "lpips"  # imgs/ of github.com/richzhang/PerceptualSimilarity
TORCH_HOME = os.environ.get("TORCH_HOME")  # before the tests make it an empty one
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
def trusting(files, monkeypatch):
    """Random weights in the places of the real ones, whose hash they cannot have."""
    monkeypatch.setattr(backbones, "present", lambda net: files[net][1])
    perception._network.cache_clear()
    yield
    perception._network.cache_clear()


@pytest.mark.parametrize("net", NAMES)
def test_the_network_is_that_of_the_package(net, files, monkeypatch):
    """The package's own way to load a backbone, handed the same weights, gives the same distances."""
    model, path = files[net]
    ours = perception.build(net, path)
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
    perception.build("alex", path)


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
        perception.build("alex", tmp_path / NAMES["alex"])


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_no_object_is_unpickled(tmp_path):
    torch.save({"features.0.bias": Trap(tmp_path / "sprung")}, tmp_path / NAMES["alex"])
    with pytest.raises(pickle.UnpicklingError):
        perception.build("alex", tmp_path / NAMES["alex"])
    assert not (tmp_path / "sprung").exists()


def test_building_leaves_the_global_random_state(files):
    before = torch.random.get_rng_state()
    perception.build("alex", files["alex"][1])
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


def test_without_weights_the_column_is_nan_and_a_call_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    x_hat, x = pair(2)
    assert evaluate(["lpips_alex"], x_hat, x)["lpips_alex"].isnan().all()
    with pytest.raises(UserError, match=NAMES["alex"]):
        lpips_alex(x_hat, x)


@pytest.mark.parametrize("net", NAMES)
def test_the_published_figures_of_the_examples(net, monkeypatch):
    """The package's README has 0.722 and 0.138 with AlexNet."""
    monkeypatch.setenv("TORCH_HOME", TORCH_HOME) if TORCH_HOME else monkeypatch.delenv("TORCH_HOME")
    if backbones.present(net) is None:
        pytest.skip("needs the backbone: sipbench fetch lpips")
    x, *others = (read_whole(EXAMPLES / f"ex_{name}.png")[None] for name in ("ref", "p0", "p1"))
    found = [evaluate([f"lpips_{net}"], x_hat, x)[f"lpips_{net}"].item() for x_hat in others]
    assert found == pytest.approx({"alex": [0.7219, 0.1376], "vgg": [0.5686, 0.4217]}[net], abs=1e-4)
