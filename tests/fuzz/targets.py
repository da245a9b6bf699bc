"""The readers, each with what it is given and how it may refuse that."""

import json
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

from sipbench.errors import UserError
from tests.fuzz import mutate, samples

WORDS = [
    ["dataset=faces", "degradation=sr4", "method=pinv", "images=2", "size=32", "seed=0", "metrics=[psnr]"],
    ["degradation=inpaint70", "method=dps", "method.solver.steps=5", "batch_size=2", "device=cpu", "draws=2"],
    ["dataset=crystals", "degradation=deblur_motion", "noise=gaussian", "noise.sigma=0.1", "method=dip", "split=test"],
    ["method=tv", "budget_seconds=3", "isolate=true", "kill_after=5", "memory_limit=4GB", "wandb.mode=disabled"],
    ["method=unet", "recipe=tradeoff", "recipe.images=8", "keep_images=false", "trusted=false", "profile=none"],
]
GROUPS = ("method", "degradation", "dataset", "noise", "prior", "table", "probe", "recipe", "profile")


@dataclass
class Target:
    """A reader.

    Attributes:
        share: of a thousand inputs.
        make: from a random generator an input.
        read: reads an input, in a folder of its own.
        refusals: the exceptions that are a message.
    """

    share: int
    make: Callable[[Any], Any]
    read: Callable[[Any, Path], Any]
    refusals: tuple[type[Exception], ...] = (UserError,)


def _bytes(made):
    """Mutated bytes of what a function makes; one in twenty is left as it is."""
    return lambda rng: (lambda one: one if rng.random() < 0.05 else mutate.of_bytes(rng, one))(rng.choice(_once(made)))


@cache
def _once(made):
    """Made once and always alike, so that a seed and a number say which input."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return made()


def _file(name, read):
    """A reader of a path, for bytes."""

    def call(content, folder):
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return call


def _cell(words, folder):
    from sipbench import configs
    from sipbench.bench.cell import Cell

    full = [f"results={folder}", *words]
    cell = Cell.of(configs.compose(full), full)
    vars(cell)["hash"] = "0" * 16  # which takes long, and looks at code
    if cell.results == folder:
        assert folder / "runs" in Path(os.path.normpath(cell.folder)).parents, "it would be stored elsewhere"


def _expand(words, folder):
    from sipbench.cli import hydra

    hydra.expand(words)


def _options(words, folder):
    """The options of a composed config, with values that YAML makes of odd words."""
    import yaml

    from sipbench.bench import validate

    plain = json.loads(_composed())
    for word in words:
        key, _, text = word.lstrip("+~-@").partition("=")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError):
            value = text
        node, *rest = [plain, *key.split(".")]
        while len(rest) > 1 and isinstance(node, dict):
            node = node.get(rest.pop(0))
        if isinstance(node, dict) and not isinstance(node.get(rest[-1]), dict):  # which is chosen by a name
            node[rest[-1]] = value
    validate.options(plain)


@cache
def _composed():
    from omegaconf import OmegaConf

    from sipbench import configs

    return json.dumps(OmegaConf.to_container(configs.compose(["size=32"]), resolve=True))


def _yaml_of(rng):
    from sipbench import configs

    group = rng.choice(GROUPS)
    path = configs.find(group, rng.choice(_names(group)))
    return group, mutate.of_text(rng, path.read_text(encoding="utf-8"))


@cache
def _names(group):
    from sipbench import configs

    return configs.names(group)


def _yaml(said, folder):
    from sipbench.configs.read import read_file

    group, text = said
    path = folder / "mutated.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "replace"))
    read_file(group, path)


def _diffusers_of(rng):
    """A folder of a small prior with one of its two JSON files mutated."""
    network, schedule, _ = _prior()
    if rng.random() < 0.5:
        network = mutate.of_text(rng, network)
    else:
        schedule = mutate.of_text(rng, schedule)
    return network, schedule


def _diffusers(said, folder):
    from sipbench.priors.load import diffusers_prior

    for name, text in zip(("config.json", "scheduler_config.json"), said, strict=True):
        (folder / name).write_bytes(text.encode("utf-8", "replace"))
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(_prior()[2])
    diffusers_prior(str(folder), weights=folder)


@cache
def _prior():
    from sipbench import checkpoints

    folder = checkpoints.SHIPPED / "kernels-16-prior"
    texts = [(folder / name).read_text() for name in ("config.json", "scheduler_config.json")]
    texts = [json.dumps(json.loads(text), indent=0) for text in texts]
    return *texts, (folder / "diffusion_pytorch_model.safetensors").read_bytes()


def _picture(path):
    from sipbench.datasets import reading

    reading.dimensions(path)
    reading.read(path, 16)


def _mask(path):
    from sipbench.operators import masks
    from sipbench.problem import Rng

    return masks.picture((1, 1, 24, 24), Rng.of(0, "fuzz", [0]), str(path), 0.5).sum(dtype=torch.float64)


def _kernel(path):
    from sipbench.operators import kernel_file

    kernel_file.read(str(path))


def _measured(path):
    from sipbench.datasets import measured

    measured._about(path)
    measured.read(path)


def _matlab(path):
    from sipbench.datasets.arrays import Place, sizes, variable

    sizes(path)
    for name in ("x", "y"):
        variable(Place(path, name))


def _foreign(path):
    from sipbench.foreign.load import network

    network(path, architecture="torch.nn.Conv2d", arguments={"in_channels": 3, "out_channels": 4, "kernel_size": 3})


def _guided(path):
    from sipbench.priors.adm import import_prior

    import_prior(str(path), weights=str(path.parent / "weights"), image_size=32, head_channels=32)


def _state(path):
    from sipbench import checkpoints

    checkpoints.load_state(path)


def _pinned(path):
    from sipbench.fetch import arrays

    with path.open("rb") as file:
        arrays.read(file)


def _rows(path):
    """A file that a stranger made and sealed: what the seal holds back is not even parsed."""
    from sipbench.bench import sealed, store

    content = path.read_bytes()
    with suppress(AssertionError):  # its end was cut off
        path.write_bytes(sealed.seal(content))
    store.read(path.parent)
    store.read(path.parent, ["image", "status"])


def targets() -> dict[str, Target]:
    """All readers by name."""
    broken = (UserError, ValueError)
    return {
        "words of a cell": Target(25, lambda rng: mutate.of_words(rng, rng.choice(WORDS)), _cell),
        "words of a sweep": Target(85, lambda rng: mutate.of_words(rng, rng.choice(WORDS)), _expand),
        "options": Target(100, lambda rng: mutate.of_words(rng, WORDS[0] + WORDS[3]), _options),
        "YAML": Target(130, _yaml_of, _yaml),
        "settings of a prior": Target(40, _diffusers_of, _diffusers, broken),
        "weights": Target(60, _bytes(samples.tensors), _file("net.safetensors", _state)),
        "networks made elsewhere": Target(60, _bytes(samples.saved), _file("net.pth", _foreign)),
        "ONNX": Target(20, _bytes(samples.onnx), _file("net.onnx", _foreign)),
        "guided diffusion": Target(40, _bytes(samples.guided), _file("model.pt", _guided)),
        "pinned pickle": Target(30, _bytes(samples.saved), _file("net.ckpt", _pinned), (pickle.UnpicklingError,)),
        "pictures": Target(130, _bytes(samples.pictures), _file("photo.png", _picture)),
        "masks": Target(30, _bytes(samples.pictures), _file("mask.png", _mask), broken),
        "kernels as pictures": Target(20, _bytes(samples.pictures), _file("kernel.png", _kernel), broken),
        "kernels as arrays": Target(30, _bytes(samples.arrays), _file("kernel.npy", _kernel), broken),
        "kernels as weights": Target(30, _bytes(samples.saved), _file("kernel.pt", _kernel), broken),
        "kernels as tensors": Target(20, _bytes(samples.tensors), _file("kernel.safetensors", _kernel), broken),
        "measured arrays": Target(50, _bytes(samples.arrays), _file("y.npy", _measured)),
        "saved measurements": Target(50, _bytes(samples.tensors), _file("y.safetensors", _measured)),
        "MATLAB": Target(30, _bytes(samples.matlab), _file("x.mat", _matlab)),
        "result files": Target(50, _bytes(samples.parquet), _file("rows-000000-x.parquet", _rows)),
    }
