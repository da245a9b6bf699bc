"""What several tests share: small cells in a folder of their own, and untrained weights for the plumbing."""

import gc
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.datasets import faces
from sipbench.metrics import backbones
from tests import timing
from tests.fetch.server import Site, serving

gc.set_threshold(50_000, 20, 20)  # ten thousand tests that were collected stay: they are seldom looked through
os.environ["OMP_NUM_THREADS"] = "1"  # for the programs that tests start, as one_thread for the tests themselves
SLOW = {line for line in timing.FILE.read_text().splitlines() if not line.startswith("#")}


def pytest_ignore_collect(collection_path, config):
    """A file that holds slow tests alone is not even imported where those are left out."""
    if "not slow" not in (config.option.markexpr or ""):
        return None
    name = collection_path.relative_to(config.rootpath).as_posix() if collection_path.is_file() else ""
    return True if name in SLOW else None


def pytest_itemcollected(item):
    """What was measured to be slow is marked so, beside what says so itself."""
    if {item.nodeid.partition("::")[0], item.nodeid.partition("[")[0]} & SLOW:
        item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True, scope="session")
def faces_drawn_once(tmp_path_factory):
    """Faces of tests are few, and each is drawn once: kept on the disk, as no truth may lie where a solver looks.

    With `drawn_anew` they are drawn as users have them.
    """
    kept, draw = tmp_path_factory.mktemp("faces"), faces.draw

    def once(index: int, size: int) -> torch.Tensor:
        path = kept / f"{index}-{size}.npy"
        if not path.exists():
            np.save(path, draw([index], size).numpy())
        return torch.from_numpy(np.load(path))

    def drawn(indices, size, dtype=torch.float64):
        if dtype != torch.float64 or not len(indices):
            return draw(indices, size, dtype)
        return torch.cat([once(int(index), size) for index in indices])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faces, "draw", drawn)
        yield draw


@pytest.fixture
def drawn_anew(faces_drawn_once, monkeypatch):
    """Of each face every pixel is drawn whenever it is asked for."""
    monkeypatch.setattr(faces, "draw", faces_drawn_once)


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small tensors gain nothing from more threads, and busy machines lose much."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def without_backbones(tmp_path_factory):
    """LPIPS has no weights, whatever this machine has, and none are fetched: tests are the same everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_HOME", str(tmp_path_factory.mktemp("torch")))
        patch.setattr(backbones, "fetch", lambda net, tell: "tests fetch nothing")
        yield


@pytest.fixture
def site(monkeypatch):
    """A server on this machine to fetch from, with no proxy in between."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Site()) as site:
        yield site


@pytest.fixture
def cell(tmp_path):
    """Make a small cell: cell("method=pinv", "degradation=sr4")."""

    def make(*words):
        full = [f"results={tmp_path / 'results'}", "size=32", "images=3", *words]
        return Cell.of(configs.compose(full), full)

    return make


@pytest.fixture(scope="session")
def tiny_prior(tmp_path_factory):
    """A diffusers folder with an untrained network at 32 pixels; returns the overrides that choose it."""
    from diffusers import UNet2DModel

    folder: Path = tmp_path_factory.mktemp("weights") / "tiny"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet2DModel(
            sample_size=32, layers_per_block=1, block_out_channels=(8, 16), norm_num_groups=4,
            down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
        )  # fmt: skip
    network.save_pretrained(folder)
    schedule = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
    (folder / "scheduler_config.json").write_text(json.dumps(schedule))
    return ["prior=diffusers", f"prior.path={folder}"]
