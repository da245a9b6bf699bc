"""`sipbench import-prior`: the imported network computes what the official one does, and other files are refused."""

import json

import pytest
import torch
from diffusers import UNet2DModel
from safetensors.torch import load_file, save_file

from sipbench.cli import main
from sipbench.priors import adm, adm_layout
from sipbench.priors.load import diffusers_prior
from tests import listed
from tests.priors.adm_network import random_network

FFHQ = {"channels": 128, "res_blocks": 1, "attention": (16,)}
IMAGENET = {"channels": 256, "res_blocks": 2, "attention": (8, 16, 32)}
SLIM = {
    "channels": 32
}  # the same layers, each thinner: heads stay at 64 channels, so that there are one and two of them
FLAGS = {
    "ffhq": FFHQ | SLIM,
    "celebahq_p2": FFHQ | {"channels": 64},
    "imagenet": IMAGENET | SLIM,
    "no sigma, heads of 32": FFHQ | SLIM | {"outputs": 3, "head_channels": 32},
    "64 pixels, convolutions for sizes, shift alone": {
        "channels": 32, "multipliers": (1, 2, 3, 4), "res_blocks": 2, "attention": (4, 8), "head_channels": 32,
        "updown": False, "scale_shift": False,
    },
    "one grey level of noise": {"channels": 32, "multipliers": (1, 2), "attention": (1, 2), "head_channels": 32,
                                "images": 1, "outputs": 2},
}  # fmt: skip
STEPS = torch.tensor([3.0, 760.0])


def images(network, side=32):
    return torch.randn(
        2, network.input_blocks[0][0].in_channels, side, side, generator=torch.Generator().manual_seed(1)
    )


def imported(network, head_channels=64, **change):
    """The `UNet2DModel` of a network's weights; `change` spoils its config, and then nothing is strict."""
    state = network.state_dict()
    content, renamed = adm.convert(state, adm_layout.infer(state), 256, head_channels)
    unet = UNet2DModel.from_config({k: v for k, v in (content | change).items() if k[0] != "_"})
    unet.load_state_dict(renamed, strict=not change)
    return unet.eval()


def distance(network, unet):
    """The greatest difference of outputs of about unit size."""
    x = images(network)
    with torch.no_grad():
        wanted, got = network(x, STEPS), unet(x, STEPS).sample
    assert wanted.std() > 0.1 and (wanted[0] - wanted[1]).std() > 0.1
    return float((got - wanted).abs().max())


@pytest.fixture(scope="module")
def slim():
    return random_network(**FLAGS["imagenet"])


@pytest.mark.parametrize("name", FLAGS)
def test_the_outputs_are_those_of_the_official_network(name):
    network = random_network(**FLAGS[name])
    assert distance(network, imported(network, FLAGS[name].get("head_channels", 64))) < 1e-4


def test_the_outputs_of_ffhq_at_full_width():
    network = random_network(**FFHQ)
    assert sum(p.numel() for p in network.parameters()) == 93_563_910
    assert distance(network, imported(network)) < 1e-4


def unsplit(qkv, head_channels):
    return qkv.chunk(3)


@pytest.mark.parametrize(
    "change", [{"flip_sin_to_cos": False}, {"freq_shift": 1}, {"attn_norm_num_groups": None}, {"norm_eps": 1e-2}]
)
def test_a_wrong_convention_is_seen(slim, change):
    assert distance(slim, imported(slim, **change)) > 1e-3


def test_heads_that_are_not_split_are_seen(slim, monkeypatch):
    monkeypatch.setattr(adm_layout, "split_heads", unsplit)
    assert distance(slim, imported(slim)) > 1e-3


def test_other_heads_are_seen(slim):
    assert distance(slim, imported(slim, head_channels=32)) > 1e-3


def test_the_layout_is_read_off_the_weights(slim):
    layout = adm_layout.infer(slim.state_dict())
    assert layout.channels == (32, 32, 64, 64, 128, 128) and layout.res_blocks == 2
    assert layout.attention == (False, False, False, True, True, True)
    assert (layout.in_channels, layout.out_channels, layout.image_size) == (3, 6, 256)
    assert layout.resampling == "resnet" and layout.scale_shift


@pytest.fixture(scope="module")
def small():
    """A network whose levels are those of 64-pixel networks."""
    return random_network(channels=32, multipliers=(1, 2, 3, 4), attention=(8,), head_channels=64)


def say(capsys, *words):
    code = main(["import-prior", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err.strip()


WRAPS = {
    "plain": lambda state: state,
    "state_dict": lambda state: {"state_dict": state, "step": 3},
    "model": lambda state: {"model": {f"module.{k}": v for k, v in state.items()}, "epoch": 1},
    "ema before model": lambda state: {"model": {k: 0 * v for k, v in state.items()}, "ema": state},
    "both": lambda state: {"state_dict": {"model": state}},
}


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_file_becomes_a_prior(small, tmp_path, capsys, wrap):
    torch.save(WRAPS[wrap](small.state_dict()), tmp_path / "my_net.pt")
    code, out, err = say(capsys, tmp_path / "my_net.pt", f"weights={tmp_path}")
    assert (code, err) == (0, "") and f"prior.path={tmp_path / 'my-net'}" in out
    prior = diffusers_prior("my-net", weights=tmp_path)
    assert prior.shape == (3, 64, 64) and prior.prediction == "epsilon"
    x_t, t = images(small), torch.tensor([4, 761]) / 1000
    alpha, sigma = (prior.spread(s, x_t) for s in prior.scales(t))
    z = small(x_t, STEPS)[:, :3]
    assert torch.allclose(prior.denoise(x_t, t), (x_t - sigma * z) / alpha, atol=1e-4 / float(alpha.min()))


def test_half_precision_stays_half_on_disk(small, tmp_path, capsys):
    state = {k: v if k.startswith(("time_embed", "out.")) else v.half() for k, v in small.state_dict().items()}
    save_file(state, tmp_path / "net.safetensors")
    assert say(capsys, tmp_path / "net.safetensors", f"out={tmp_path / 'net'}")[0] == 0
    kept = load_file(tmp_path / "net" / "diffusion_pytorch_model.safetensors")
    assert {v.dtype for v in kept.values()} == {torch.float16, torch.float32}
    small.load_state_dict(state)
    prior = diffusers_prior(str(tmp_path / "net"), weights="")
    assert {p.dtype for p in prior.network.parameters()} == {torch.float32}
    assert distance(small, prior.network) < 1e-4


def test_the_folder_says_what_it_is(small, tmp_path, capsys):
    torch.save(small.state_dict(), tmp_path / "net.pt")
    words = ["name=mine", f"weights={tmp_path}", "image_size=128", "keep_sigma=false", "schedule=cosine"]
    assert say(capsys, tmp_path / "net.pt", *words)[0] == 0
    folder = tmp_path / "mine"
    scheduler = json.loads((folder / "scheduler_config.json").read_text())
    assert scheduler["beta_schedule"] == "squaredcos_cap_v2" and scheduler["variance_type"] == "fixed_small"
    config = json.loads((folder / "config.json").read_text())
    assert config["sample_size"] == 128 and config["out_channels"] == 3
    card = (folder / "README.md").read_text()
    assert adm.checkpoints.sha256(tmp_path / "net.pt") in card and "variance is dropped" in card
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md", "config.json", "diffusion_pytorch_model.safetensors", "scheduler_config.json"
    ]  # fmt: skip
    x = images(small)
    prior = diffusers_prior("mine", weights=tmp_path)
    assert torch.allclose(prior.network(x, STEPS).sample, small(x, STEPS)[:, :3], atol=1e-4)


def broken(state, **change):
    return {k: v for k, v in (state | change).items() if v is not None}


BAD = {
    "class-conditional": lambda s: broken(s, **{"label_emb.weight": torch.zeros(10, 128)}),
    "unknown keys: extra.weight": lambda s: broken(s, **{"extra.weight": torch.zeros(1)}),
    "no weights for: mid_block.resnets.1.norm2": lambda s: broken(s, **{"middle_block.2.out_layers.0.weight": None}),
    "another shape": lambda s: broken(s, **{"middle_block.2.out_layers.0.weight": torch.zeros(64)}),
    "it has no time_embed.0.weight": lambda s: broken(s, **{"time_embed.0.weight": None}),
    "blocks do not form levels": lambda s: {"fc.weight": torch.zeros(3, 3)},
    "not a state dict": lambda s: [1, 2, 3],
    "wider than its first level": lambda s: broken(s, **{"time_embed.0.weight": torch.zeros(128, 64)}),
    "no model of images alone": lambda s: broken(s, **{"out.2.weight": torch.zeros(4, 32, 3, 3)}),
    "holds more than weights": lambda s: {"state_dict": s, "hook": print},
}


@pytest.mark.parametrize("said", BAD)
def test_another_file_is_refused_in_a_line(small, tmp_path, capsys, said):
    torch.save(BAD[said](small.state_dict()), tmp_path / "net.pt")
    code, _, err = say(capsys, tmp_path / "net.pt", f"weights={tmp_path / 'weights'}")
    assert code == 2 and said in err and "\n" not in err and str(tmp_path / "net.pt") in err
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "import which file?"),
        (["nowhere.pt"], "no file"),
        (["{net}", "nmae=x"], "unknown option 'nmae'"),
        (["{net}", "x"], "unknown word 'x'"),
        (["{net}", "image_size=100"], "multiple of 8"),
        (["{net}", "image_size=big"], "whole number"),
        (["{net}", "head_channels=48"], "do not divide into heads of 48"),
        (["{net}", "head_channels=0"], "must be 1 or more"),
        (["{net}", "schedule=sqrt"], "schedule 'sqrt' is not known"),
        (["{here}/text.pt"], "no file of weights"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(small, tmp_path, capsys, words, said):
    torch.save(small.state_dict(), tmp_path / "net.pt")
    (tmp_path / "text.pt").write_text("no weights")
    words = [word.format(net=tmp_path / "net.pt", here=tmp_path) for word in words]
    code, _, err = say(capsys, *words, *([f"weights={tmp_path / 'weights'}"] if words else []))
    assert code == 2 and said in err and "\n" not in err
    assert not (tmp_path / "weights").exists()


def test_nothing_is_overwritten_unasked(small, tmp_path, capsys):
    torch.save(small.state_dict(), tmp_path / "net.pt")
    words = [tmp_path / "net.pt", f"weights={tmp_path}"]
    assert say(capsys, *words)[0] == 0
    before = {p: p.read_bytes() for p in (tmp_path / "net").iterdir()}
    code, _, err = say(capsys, *words, "keep_sigma=false")
    assert code == 2 and "force=true" in err and before == {p: p.read_bytes() for p in (tmp_path / "net").iterdir()}
    assert say(capsys, *words, "keep_sigma=false", "force=true")[0] == 0
    assert before != {p: p.read_bytes() for p in (tmp_path / "net").iterdir()}


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "a/b", ".hidden"])
def test_30_a_name_stays_in_the_folder_of_weights(small, tmp_path, capsys, name):
    file = tmp_path / "net.pt"
    torch.save(small.state_dict(), file)
    before = set(tmp_path.parent.rglob("*"))
    assert main(["import-prior", str(file), f"name={name}", f"weights={tmp_path / 'w'}"]) == 2
    assert "out=FOLDER" in capsys.readouterr().err and set(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize(("file", "name"), adm.NAMES.items())
def test_an_official_file_goes_where_the_configs_look(file, name):
    nodes = [listed.configs.read("prior", prior) for prior in listed.PRIORS]
    (node,) = [node for node in nodes if node.get("path") == name]
    address = (node.get("fetch") or {}).get("url", "")  # what has an address is imported once it is fetched
    assert f"sipbench import-prior {file}.pt" in node["get"] or address.endswith(f"/{file}.pt")
