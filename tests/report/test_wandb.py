"""What wandb is given, that offline stays offline, and that a wandb in trouble costs no more than a line."""

import json
import os
import socket
import struct
import sys
import time
from dataclasses import replace

import pytest

from sipbench import configs
from sipbench.bench import store
from sipbench.bench.cell import Cell
from sipbench.bench.run import run as run_batches
from sipbench.cli import cell as job
from sipbench.errors import UserError
from sipbench.report import wandb as wandb_log


@pytest.fixture
def cell(tmp_path, monkeypatch):
    monkeypatch.setattr(wandb_log.Log, "broken", set())
    words = ["size=32", "images=3", "batch_size=2", "metrics=[psnr]", "prior=none", f"results={tmp_path}"]
    return Cell.of(configs.compose([*words, "wandb.mode=offline", "wandb.images=2"]), words)


def with_mode(cell, mode):
    return replace(cell, wandb={**cell.wandb, "mode": mode})


def run(cell):
    warnings = []
    with wandb_log.session(cell, warnings.append) as log:
        for rows in run_batches(cell):
            log.batch(rows)
    return warnings


def records(path):
    """The records of an offline run: LevelDB framing around protobuf."""
    from wandb.proto import wandb_internal_pb2

    content, at, part = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        part += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(part)
            yield record
            part = b""


def finished(folder):
    """The file of the only run below a folder and its records, once its last one is written."""
    (file,) = folder.rglob("*.wandb")
    until = time.monotonic() + 10
    while not any(r.HasField("exit") for r in records(file)) and time.monotonic() < until:
        time.sleep(0.05)
    return file, list(records(file))


def items(found):
    return {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in found}


def test_offline_run_holds_config_rows_curves_and_images(cell, tmp_path, monkeypatch):
    def refuse(self, address):
        assert self.family == socket.AF_UNIX, f"the network was touched: {address}"
        return connect(self, address)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert run(with_mode(cell, "offline")) == []
    assert not [name for name in os.environ if name.startswith("WANDB")]

    file, found = finished(tmp_path / "wandb")
    config = {k: v for r in found if r.HasField("run") for k, v in items(r.run.config.update).items()}
    assert config["cell"] == cell.hash
    assert config["degradation"]["name"] == "sr4"
    (start,) = (r.run for r in found if r.HasField("run"))
    assert (start.project, start.run_group, start.display_name) == ("sipbench", "faces/sr4", "pinv-s0")
    assert {"faces", "sr4", "pinv"} <= set(start.tags)

    (table,) = file.parent.rglob("*.table.json")
    table = json.loads(table.read_text())
    assert len(table["data"]) == 3
    assert {"psnr", "image", "y_sha256", "seconds"} <= set(table["columns"])
    assert not any(c == "png" or c.startswith("curve") for c in table["columns"])
    assert len(list(file.parent.rglob("*.png"))) == 2
    history = [items(r.history.item) for r in found if r.HasField("history")]
    assert [h["images"] for h in history if "images" in h] == [2, 3]


def test_members_of_a_sweep_share_a_group_and_a_tag(cell, tmp_path):
    run(replace(cell, wandb={**cell.wandb, "group": "sweep-1", "tags": ["sweep-1"]}))
    _, found = finished(tmp_path / "wandb")
    start = next(r.run for r in found if r.HasField("run"))
    assert start.run_group == "sweep-1" and {"sweep-1", "pinv"} <= set(start.tags)


def test_a_killed_cell_keeps_its_results_and_ends_the_run(cell, tmp_path):
    with pytest.raises(KeyboardInterrupt), wandb_log.session(with_mode(cell, "offline")) as log:
        log.batch(next(run_batches(cell)))
        raise KeyboardInterrupt
    _, found = finished(tmp_path / "wandb")
    (code,) = (r.exit.exit_code for r in found if r.HasField("exit"))
    assert code == 1


def test_disabled_never_imports_wandb(cell, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert run(with_mode(cell, "disabled")) == []


def test_absent_wandb_is_one_warning_for_all_cells(cell, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    (warning,) = run(with_mode(cell, "offline")) + run(with_mode(cell, "offline"))
    assert "wandb.mode=disabled" in warning
    assert len(store.read(cell.folder)) == 3


def test_online_without_login_is_one_warning(cell, tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    warnings = run(with_mode(cell, "online"))
    assert len(warnings) == 1
    assert len(store.read(cell.folder)) == 3


@pytest.mark.parametrize("method", ["log", "finish"])
def test_a_failure_later_on_is_one_warning(cell, monkeypatch, method):
    import wandb

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wandb.Run, method, fail)
    warnings = run(with_mode(cell, "offline"))
    assert len(warnings) == 1
    assert "No space left" in warnings[0]
    assert len(store.read(cell.folder)) == 3
    monkeypatch.undo()
    wandb.teardown()


def test_a_results_folder_that_cannot_hold_it_is_a_warning(cell, tmp_path):
    (tmp_path / "wandb").write_text("a file where a folder should be")
    assert len(run(with_mode(cell, "offline"))) == 1


def test_unknown_mode_is_refused(cell):
    with pytest.raises(UserError, match="offline"):
        run(with_mode(cell, "of"))


def rows_sent(folder):
    """The images of the table, the number of pictures and the history of the only run below a folder."""
    file, found = finished(folder)
    (table,) = file.parent.rglob("*.table.json")
    table = json.loads(table.read_text())
    images = [row[table["columns"].index("image")] for row in table["data"]]
    history = [items(r.history.item) for r in found if r.HasField("history")]
    return images, len(list(file.parent.rglob("*.png"))), [h["images"] for h in history if "images" in h]


def test_18_a_finished_cell_is_logged_from_the_store(cell, tmp_path):
    job.run(with_mode(cell, "disabled"))
    assert not (tmp_path / "wandb").exists()
    assert "already done" in job.run(with_mode(cell, "offline"))
    assert rows_sent(tmp_path / "wandb") == ([0, 1, 2], 2, [3])


def test_18_a_resumed_cell_logs_all_of_its_rows(cell, tmp_path):
    next(run_batches(with_mode(cell, "disabled")))
    job.run(with_mode(cell, "offline"))
    assert rows_sent(tmp_path / "wandb") == ([0, 1, 2], 2, [3])


def test_30_no_folder_is_left_empty(cell, tmp_path):
    run(with_mode(cell, "offline"))
    finished(tmp_path / "wandb")
    assert not (tmp_path / "wandb" / "wandb").exists()


def test_curves_are_means_over_the_images_that_have_them():
    rows = [
        {"curve_step": [1, 2], "curve_seconds": [0, 0], "curve_psnr": [10.0, 20.0], "curve_loss": [4.0, 2.0]},
        {"curve_step": [1], "curve_seconds": [0], "curve_psnr": [20.0], "curve_loss": [2.0]},
        {"status": "failed"},
    ]
    assert wandb_log.curves(rows) == [
        {"curve/step": 1, "curve/psnr": 15.0, "curve/loss": 3.0},
        {"curve/step": 2, "curve/psnr": 20.0, "curve/loss": 2.0},
    ]


def test_a_score_that_could_not_be_computed_is_left_out_of_the_curves():
    """Stored, a list of nothing but NaN comes back as one of None."""
    rows = [{"curve_step": [1, 2], "curve_psnr": [10.0, float("nan")], "curve_lpips_alex": [None, None]}]
    assert wandb_log.curves(rows) == [{"curve/step": 1, "curve/psnr": 10.0}]
