"""A model of the hub comes as a folder that loads, from the hub or from a mirror, each file checked."""

import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import load_file

from sipbench.checkpoints import find
from sipbench.fetch import hub
from sipbench.fetch.web import FetchError, Web
from sipbench.priors.load import diffusers_prior
from tests.priors import folders

REPO = "google/ddpm"
ELSEWHERE = ("../out.json", "/etc/out.json", ".git/out.json", "out\0.json", "out\ud800.json", "out\x1b[31m.json")
WEB = Web(timeout=0.5, tries=2, pause=0.001)


@pytest.fixture
def mirror(site, tmp_path, monkeypatch):
    """Publish a folder of files as a model of the hub: mirror(folder, and hashes that are lies)."""
    monkeypatch.setenv("HF_ENDPOINT", f"{site.url}/mirror/")

    def publish(source, **lies):
        siblings = []
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            name, content = path.relative_to(source).as_posix(), path.read_bytes()
            sha256 = lies.get(path.stem) or hashlib.sha256(content).hexdigest()
            large = path.suffix != ".json"
            siblings.append({"rfilename": name} | ({"lfs": {"sha256": sha256, "size": len(content)}} if large else {}))
            site.pages[f"/mirror/{REPO}/resolve/abc/{name}"] = content
        about = json.dumps({"sha": "abc", "siblings": siblings}).encode()
        site.pages[f"/mirror/api/models/{REPO}/revision/main"] = about
        return site

    return publish


def asked(site):
    return [path.rpartition("/resolve/abc/")[2] for path, _ in site.asked if "/resolve/" in path]


def test_a_model_of_pixels_comes_and_loads(mirror, tmp_path):
    source = folders.save(tmp_path / "source", folders.unet())
    (source / "README.md").write_text("a card")
    (source / "ema.pt").write_bytes(b"more")
    site = mirror(source)
    hub.snapshot(REPO, tmp_path / "weights" / REPO, web=WEB)
    assert find(REPO, tmp_path / "weights") == tmp_path / "weights" / REPO
    diffusers_prior(REPO, weights=tmp_path / "weights")
    assert asked(site) == ["config.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors"]
    assert "authorization" not in site.asked[0][1]


def test_the_weights_by_which_it_is_found_come_last(mirror, tmp_path):
    """A folder that broke off half-way is not taken for a model of pixels."""
    from diffusers import AutoencoderKL

    codec = folders.seeded(AutoencoderKL, block_out_channels=(32,), latent_channels=3, sample_size=32)
    site = mirror(folders.save_pipeline(tmp_path / "source", folders.unet(), codec, "vae"))
    hub.snapshot(REPO, tmp_path / "got", web=WEB)
    names = asked(site)
    assert names[-2:] == ["vae/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.safetensors"]
    assert all(name.endswith(".json") for name in names[:-2]) and len(names) == 5
    (tmp_path / "got" / names[-1]).unlink()
    site.asked.clear()
    hub.snapshot(REPO, tmp_path / "got", web=WEB)
    assert names[-2] not in asked(site) and names[-1] in asked(site)


def test_a_pickle_of_tensors_becomes_safetensors(mirror, tmp_path):
    source = folders.save(tmp_path / "source", folders.unet())
    state = load_file(source / "diffusion_pytorch_model.safetensors")
    (source / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(state, source / "diffusion_pytorch_model.bin")
    site = mirror(source)
    hub.snapshot(REPO, tmp_path / "got", web=WEB)
    found = load_file(tmp_path / "got" / "diffusion_pytorch_model.safetensors")
    assert found.keys() == state.keys() and all(torch.equal(found[k], state[k]) for k in state)
    assert not list((tmp_path / "got").glob("*.bin*"))
    site.asked.clear()
    hub.snapshot(REPO, tmp_path / "got", web=WEB)
    assert all(name.endswith(".json") for name in asked(site))


@pytest.mark.parametrize("content", [pickle.dumps(print, 2), pickle.dumps({"a": 1}), b"", b"PK\x03\x04"], ids=repr)
def test_another_pickle_is_refused(content, mirror, tmp_path):
    source = folders.save(tmp_path / "source", folders.unet())
    (source / "diffusion_pytorch_model.safetensors").unlink()
    (source / "diffusion_pytorch_model.bin").write_bytes(content)
    mirror(source)
    with pytest.raises(FetchError, match="something else than tensors"):
        hub.snapshot(REPO, tmp_path / "got", web=WEB)
    assert {path.suffix for path in (tmp_path / "got").iterdir()} == {".json"}


def test_a_wrong_hash_is_refused(mirror, tmp_path):
    mirror(folders.save(tmp_path / "source", folders.unet()), diffusion_pytorch_model="0" * 64)
    with pytest.raises(FetchError, match="expected 0000"):
        hub.snapshot(REPO, tmp_path / "got", web=WEB)
    assert not list((tmp_path / "got").glob("*.safetensors*"))


def test_a_password_is_sent_to_the_hub(mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret\n")
    site = mirror(folders.save(tmp_path / "source", folders.unet()))
    hub.snapshot(REPO, tmp_path / "got")
    assert {headers["authorization"] for _, headers in site.asked} == {"Bearer hf_secret"}


def test_names_that_lead_elsewhere_are_passed_over(mirror, tmp_path):
    site = mirror(folders.save(tmp_path / "source", folders.unet()))
    about = json.loads(site.pages[f"/mirror/api/models/{REPO}/revision/main"])
    about["siblings"] += [{"rfilename": name} for name in ELSEWHERE]
    site.pages[f"/mirror/api/models/{REPO}/revision/main"] = json.dumps(about).encode()
    hub.snapshot(REPO, tmp_path / "got", web=WEB)
    assert not any("out" in path for path, _ in site.asked)


@pytest.mark.parametrize(
    "page", [b"<html>", b"[]", b'{"sha": "abc"}', b'{"sha": "abc", "siblings": [1]}', b"[" * 100_000]
)
def test_another_answer_is_a_line(page, site, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    site.pages[f"/api/models/{REPO}/revision/main"] = page
    with pytest.raises(FetchError, match="something else than a list"):
        hub.snapshot(REPO, tmp_path / "got", web=WEB)


@pytest.mark.parametrize("said", ["huggingface.co", "http://[hub", "http://.."])
def test_a_mirror_that_is_no_address_is_a_line(tmp_path, monkeypatch, said):
    monkeypatch.setenv("HF_ENDPOINT", said)
    with pytest.raises(FetchError, match="it is no address"):
        hub.snapshot(REPO, tmp_path / "got", web=WEB)


def test_a_mirror_without_a_name_is_none(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "")
    assert hub.address(REPO) == f"https://huggingface.co/{REPO}"


def test_a_model_without_weights_is_a_line(mirror, tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "config.json").write_text("{}")
    mirror(tmp_path / "source")
    with pytest.raises(FetchError, match="no weights in diffusers format"):
        hub.snapshot(REPO, tmp_path / "got", web=WEB)


@pytest.mark.parametrize("file", [{"rfilename": 7}, {"rfilename": "model.safetensors", "lfs": "none"}, "config.json"])
def test_a_list_that_is_none_is_said_in_a_line(site, tmp_path, monkeypatch, file):
    monkeypatch.setenv("HF_ENDPOINT", f"{site.url}/mirror")
    about = json.dumps({"sha": "abc", "siblings": [file]}).encode()
    site.pages[f"/mirror/api/models/{REPO}/revision/main"] = about
    with pytest.raises(FetchError, match=r"answers with something else|no weights in diffusers format"):
        hub.snapshot(REPO, tmp_path / "got", web=WEB)
