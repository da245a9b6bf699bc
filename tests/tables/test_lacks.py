"""What a table lacks is said at once and in full; what is still to do is counted."""

import re
from dataclasses import replace

import pytest
from PIL import Image

from sipbench import metrics, tables
from sipbench.errors import UserError

from .fake import failure, load, put, row, whole


def test_every_missing_file_of_the_paper_table_is_listed_before_any_work(tmp_path):
    spec = whole(tmp_path, "degradation=sr4,inpaint70", profile="paper")
    lines = tables.missing(spec)
    for name in ("celeba", "ffhq"):
        assert sum(str(tmp_path / "data" / name) in line for line in lines) == 1
        for task in ("sr4", "inpaint70"):
            found = [line for line in lines if f"unet-{name}-256-{task}" in line]
            assert len(found) == 1 and re.search(f"sipbench train net .*{name}.*{task}", found[0])
    for prior in ("google/ddpm-celebahq-256", "CompVis/ldm-celebahq-256", "ffhq-256", "ffhq-latent"):
        assert sum(f"missing checkpoint '{prior}'" in line for line in lines) == 1
    assert len(lines) == 2 + 4 + 4
    assert all("\n" not in line and re.search(r"Looked in|looked for", line) for line in lines)
    assert not (tmp_path / "results").exists()


def test_single_absent_images_are_named(tmp_path):
    folder = tmp_path / "data" / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    (folder / "list_eval_partition.txt").write_text("".join(f"{i:06d}.jpg 2\n" for i in range(6)))
    for i in (0, 2, 3):
        Image.new("RGB", (178, 218)).save(folder / "img_align_celeba" / f"{i:06d}.jpg")
    found = tables.missing(whole(tmp_path, "dataset=celeba", "method=pinv", profile="paper"))
    assert len(found) == 1 and "1 of 4 images" in found[0] and "000001.jpg" in found[0]


def test_too_few_images_are_said(tmp_path):
    for i in range(2):
        (tmp_path / "data" / "folder").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64)).save(tmp_path / "data" / "folder" / f"{i}.png")
    spec = load(tmp_path, "dataset=folder", "method=pinv", "images=3")
    assert len(tables.missing(spec)) == 1 and "has 2 images" in tables.missing(spec)[0]
    assert [e.status for e in spec.entries()] == ["n/a"]
    assert tables.missing(load(tmp_path, "dataset=folder", "method=pinv", "images=2")) == []


def test_metric_weights_are_a_note_not_an_error(tmp_path, monkeypatch):
    spec = load(tmp_path, "method=pinv,dip")
    monkeypatch.setattr(metrics, "available", lambda name: "get them" if name == "lpips_alex" else None)
    assert tables.missing(spec) == []
    assert tables.notes(spec) == ["LPIPS is shown as –: get them"]


def test_pending_counts_what_is_left_of_what_can_run(tmp_path):
    spec = load(tmp_path)
    pinv = next(e.cell for e in spec.planned if e.row.method == "pinv")
    put(pinv, [row(0), failure(1)])
    left = {cell.method["name"]: count for cell, count in tables.pending(spec)}
    assert left == {"pinv": 2, "dip": 4}
    again = load(tmp_path, "method=pinv", "retry_failed=true")
    assert [count for _, count in tables.pending(again)] == [3]


def test_nothing_is_pending_once_all_is_stored(tmp_path):
    spec = whole(tmp_path, "method=pinv,dip,dps,unet")
    for entry in spec.planned:
        put(entry.cell, [row(i) for i in range(4)])
    assert tables.pending(spec) == [] and all(e.status == "ok" for e in spec.entries())


def test_a_corrupt_checkpoint_is_an_error_not_a_gap(tmp_path):
    with pytest.raises(UserError, match="corrupt checkpoint"):
        whole(tmp_path, "method=unet").entries()


def test_a_missing_prior_does_not_hide_a_missing_network(tmp_path):
    spec = whole(tmp_path, "method=dps,unet", "dataset=celeba", profile="paper")
    unet, dps = (entry.cell for entry in spec.planned)
    assert dps is not None and unet is not None
    both = replace(dps, method=dps.method | {"networks": unet.method["networks"]})
    spec.__dict__["planned"] = (replace(spec.planned[0], cells=(both,)),)
    lines = " ".join(tables.missing(spec))
    assert "google/ddpm-celebahq-256" in lines and "unet-celeba-256-sr4" in lines


def test_a_network_made_elsewhere_stops_no_table_and_its_row_says_what_it_waits_for(tmp_path):
    places = [f"{name}={tmp_path / name}" for name in ("results", "weights", "data")]
    spec = tables.load("table3", "demo", [*places, "method=pan_l0,deblurgan_v2,stripformer,mprnet", "images=2"])
    assert tables.missing(spec) == []
    said = {entry.row.name: entry for entry in spec.entries() if entry.row.name != "pan_l0"}
    for name, file in (
        ("deblurgan_v2", "deblurgan_v2.pt"),
        ("stripformer", "stripformer.pt"),
        ("mprnet", "model_deblurring.pth"),
    ):
        assert said[name].status == "n/a" and f"waits for {file}" in said[name].reason, said[name]
    assert all(cell.method["name"] == "pan_l0" for cell, _ in tables.pending(spec))
