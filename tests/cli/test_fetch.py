"""What has an address comes into its place, what has none is told, and a table says all that is left to do."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from PIL import Image

from sipbench import checkpoints
from sipbench.cli import fetch, main
from sipbench.fetch import download
from sipbench.fetch.web import FetchError
from sipbench.metrics import backbones
from tests.priors.adm_network import random_network

ROOT = Path(__file__).parents[2]


@pytest.fixture
def say(tmp_path, monkeypatch, capsys, site):
    """The command with folders of its own, and a hub that knows nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def run(*words):
        code = main(["fetch", *words, f"data={tmp_path / 'data'}", f"weights={tmp_path / 'weights'}"])
        out, err = capsys.readouterr()
        return code, out, err.splitlines()

    return run


@pytest.fixture
def published(site, tmp_path, monkeypatch):
    """A checkpoint of guided-diffusion at an address of its own."""
    network = random_network(channels=32, multipliers=(1, 2, 3, 4), attention=(8,), head_channels=64)
    torch.save(network.state_dict(), tmp_path / "made.pt")
    content = (tmp_path / "made.pt").read_bytes()
    site.pages["/models/lsun_bedroom.pt"] = content
    address = {"url": f"{site.url}/models/lsun_bedroom.pt", "sha256": hashlib.sha256(content).hexdigest()}
    monkeypatch.setattr(fetch, "_address", lambda kind, name: address if name == "lsun_bedroom_256" else {})
    return address


def test_the_list_says_what_is_here_what_comes_and_what_is_by_hand(say):
    code, out, err = say()
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert code == 0 and not err
    assert lines["lpips"] == "sipbench fetch lpips" and lines["imagenet_256"] == "sipbench fetch imagenet_256"
    assert lines["kernels"].startswith("here: ") and lines["photos"].startswith("here: ")
    for name, word in {"ffhq_256": "ffhq_10m.pt", "celeba": "mmlab", "deblur_nonlinear": "Google Drive"}.items():
        assert lines[name].startswith("by hand: ") and word in lines[name]


def test_a_checkpoint_is_fetched_and_imported_once(say, site, published, tmp_path):
    code, out, err = say("lsun_bedroom_256")
    folder = tmp_path / "weights" / "lsun-bedroom-256"
    assert code == 0 and not err and f"here: {folder}" in out
    assert checkpoints.find("lsun-bedroom-256", tmp_path / "weights") == folder
    assert [path.name for path in (tmp_path / "weights").iterdir()] == [folder.name]
    assert say("lsun_bedroom_256")[0] == 0 and len(site.asked) == 1


def test_a_file_that_was_put_there_by_hand_is_imported(say, site, published, tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "made.pt").rename(tmp_path / "weights" / "lsun_bedroom.pt")
    assert say("lsun_bedroom_256")[0] == 0 and site.asked == []


def test_a_file_with_another_hash_is_not_imported(say, site, published, tmp_path):
    site.pages["/models/lsun_bedroom.pt"] += b"more"
    code, _, err = say("lsun_bedroom_256")
    assert code == 1 and len(err) == 1 and "lsun_bedroom_256 did not come" in err[0] and "sha256" in err[0]
    assert list((tmp_path / "weights").iterdir()) == []


def test_what_has_no_address_is_told_step_by_step(say):
    code, out, err = say("ffhq_256", "deblur_nonlinear", "sr4", "photos")
    assert code == 1 and len(err) == 2 and all(line.startswith("left to do: ") for line in err)
    assert "sipbench import-prior ffhq_10m.pt" in err[0] and "Google Drive" in err[1]
    assert "sr4: it needs no file" in out and "photos: here" in out


def test_a_name_of_several_things_is_all_of_them(say, site):
    """celeba is a dataset, and the priors that stand for it are those of the hub."""
    code, _, err = say("celeba")
    assert code == 1 and len(err) == 3
    assert {path.partition("/revision")[0] for path, _ in site.asked} == {
        "/api/models/google/ddpm-celebahq-256",
        "/api/models/CompVis/ldm-celebahq-256",
    }
    assert all("404" in line and "HF_ENDPOINT" in line for line in err[:2]) and "mmlab" in err[2]


@pytest.fixture
def attempts(monkeypatch):
    """What would be downloaded."""
    made = []
    monkeypatch.setattr(fetch, "_download", lambda name, address, weights: made.append(name))
    monkeypatch.setattr(backbones, "fetch", lambda net, tell: made.append(net) or "not today")
    return made


def test_a_table_gets_what_it_can_and_says_what_is_left(say, attempts):
    code, _, err = say("table1", "profile=paper")
    left = [line for line in err if line.startswith("left to do: ")]
    assert code == 1 and sorted(attempts) == ["CompVis/ldm-celebahq-256", "alex", "google/ddpm-celebahq-256", "vgg"]
    assert len(left) == len(set(left)) == 12
    for word in ("lpips_alex", "lpips_vgg", "celeba: no folder", "ffhq: no folder", "ffhq_10m.pt", "ffhq-latent"):
        assert len([line for line in left if word in line]) == 1
    assert len([line for line in left if "sipbench train net" in line]) == 4


def test_what_a_table_needs_follows_its_words(say, attempts, tmp_path, monkeypatch):
    monkeypatch.setattr(backbones, "present", lambda net: tmp_path / net)
    code, out, err = say("table1", "profile=paper", "dataset=celeba", "method=pinv,dps", "images=1")
    assert attempts == ["google/ddpm-celebahq-256"]
    assert any("celeba: no folder" in line for line in err) and not any("ffhq" in line for line in err)
    folder = tmp_path / "data" / "celeba"
    folder.mkdir(parents=True)
    Image.new("RGB", (256, 256)).save(folder / "000001.png")
    code, out, err = say("table1", "profile=paper", "dataset=celeba", "method=pinv", "images=1")
    assert code == 0 and not err and "all that it needs is here" in out


@pytest.mark.parametrize("name", ["table1", "posterior", "early_stopping"])
def test_the_demo_needs_no_file(say, attempts, monkeypatch, tmp_path, name):
    monkeypatch.setattr(backbones, "present", lambda net: tmp_path / net)
    code, out, err = say(name)
    assert code == 0 and not err and "all that it needs is here" in out


FETCH_DRUNET = ("dpir_official", "metrics=[psnr]", "degradation=sr4")


def test_the_weights_of_a_network_come_as_tensors(say, site, tmp_path):
    """One that was put there by hand is taken, and nothing is asked for."""
    weights, grey = tmp_path / "weights", "method.networks.net.weights=drunet_gray"  # of which no hash is known
    weights.mkdir()
    torch.save({"m_head.weight": torch.ones(2)}, weights / "drunet_gray.pth")
    code, out, err = say(*FETCH_DRUNET, grey)
    assert code == 0 and not err and f"network drunet_gray: here: {weights / 'drunet_gray'}" in out
    held = checkpoints.load_state(checkpoints.weight_file(weights / "drunet_gray"))
    assert held["m_head.weight"].tolist() == [1.0, 1.0]
    assert [path.name for path in weights.iterdir()] == ["drunet_gray"]
    assert say(*FETCH_DRUNET, grey)[0] == 0 and site.asked == []


def test_the_weights_of_a_network_are_checked_with_the_hash_that_is_known(say, monkeypatch, tmp_path):
    """One that was put there by hand too: another file is asked for anew."""
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "drunet_color.pth").write_bytes(b"something else")
    asked = []
    monkeypatch.setattr(download, "download", lambda url, path, sha256, _: asked.append((url, sha256)))
    monkeypatch.setattr("sipbench.fetch.hub.unpickled", lambda file, path: None)
    say(*FETCH_DRUNET)
    ((url, sha256),) = asked
    assert url.endswith("/drunet_color.pth") and sha256.startswith("479abe3c5327") and len(sha256) == 64


def test_weights_that_do_not_come_are_told(say, monkeypatch, tmp_path):
    """With the address of the very file that the cell names, and what to do by hand."""
    asked = []

    def refuse(url, path, *_):
        asked.append(url)
        raise FetchError("not today")

    monkeypatch.setattr(download, "download", refuse)
    code, _, err = say(*FETCH_DRUNET, "method.networks.net.weights=drunet_gray")
    assert code == 1 and asked == ["https://github.com/cszn/KAIR/releases/download/v1.0/drunet_gray.pth"]
    assert err[0] == "network drunet_gray did not come: not today"
    assert err[1].startswith("left to do: missing checkpoint 'drunet_gray'") and "cszn/KAIR" in err[1]
    assert not (tmp_path / "weights" / "drunet_gray").exists()


def test_what_needs_no_file_is_not_suggested(say):
    code, _, err = say("nose")
    assert code == 2 and "Did you mean none" not in err[0] and ", none" not in err[0]


def test_a_method_needs_what_its_cell_needs(say, attempts):
    code, _, err = say("dps", "dataset=ffhq", "degradation=sr4", "size=256", "metrics=[psnr]")
    assert code == 1 and attempts == []
    assert len(err) == 2 and "ffhq: no folder" in err[0] and "ffhq_10m.pt" in err[1]


def test_the_backbones_say_where_they_are_or_why_not(say, attempts, tmp_path, monkeypatch):
    code, out, err = say("lpips")
    assert code == 1 and not out and attempts == ["alex", "vgg"]
    assert [line.split()[3] for line in err] == ["lpips_alex:", "lpips_vgg:"] and all("not today" in x for x in err)
    monkeypatch.setattr(backbones, "present", lambda net: tmp_path / net)
    code, out, err = say("lpips")
    assert code == 0 and not err and str(tmp_path / "vgg") in out and len(attempts) == 2


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@pytest.mark.parametrize("code", [0, 1])
def test_setup_asks_for_the_backbones_and_goes_on_in_a_line(tmp_path, code):
    program = tmp_path / "sipbench"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\necho much >&2\nexit {code}\n')
    program.chmod(0o755)
    words = ["make", "-s", "-C", str(ROOT), "-o", ".venv/.installed", "setup", f"BIN={tmp_path}"]
    said = subprocess.run(words, capture_output=True, text=True, check=True)
    assert (tmp_path / "asked").read_text() == "fetch lpips\n"
    assert said.stdout.count("\n") == code and not said.stderr and ("sipbench fetch lpips" in said.stdout) == bool(code)


@pytest.mark.parametrize(
    ("words", "said"),
    [(["tabel1"], "Did you mean table1?"), (["lpips", "imagenet"], "imagenet_256"), (["--all"], "unknown flag --all")],
)
def test_a_mistake_is_a_line_and_nothing_is_fetched(say, attempts, words, said):
    code, out, err = say(*words)
    assert code == 2 and len(err) == 1 and said in err[0] and attempts == []


@pytest.mark.parametrize("word", ["weights=5", "data=[a]"])
def test_what_is_no_folder_is_one_line(capsys, word):
    assert main(["fetch", word]) == 2
    err = capsys.readouterr().err
    assert f"{word.partition('=')[0]} is a folder, not" in err and err.count("\n") == 1


def test_a_network_made_elsewhere_is_told_how_to_get(say):
    code, _, err = say("mprnet")
    assert code == 1 and "left to do: mprnet waits for model_deblurring.pth" in err[-1] and "README" in err[-1]
