"""Networks made elsewhere in a cell: its name, its rows, and what it says where they are not there."""

import pytest
import torch

from sipbench import checkpoints
from sipbench.bench.lacks import files as lacking
from sipbench.bench.lacks import obstacle
from sipbench.bench.record import trained_on
from sipbench.bench.run import Bench
from sipbench.errors import UserError
from tests.bench.solved import rows_of
from tests.foreign import files
from tests.foreign.test_load import NORMS, Normed

SMALL = ("method.networks.net.architecture=tests.foreign.files.Small", "images=2", "degradation=denoise")


@pytest.fixture
def saved(tmp_path):
    """The network as a file of weights."""
    return files.weights(files.small(), tmp_path / "net.safetensors")


def words(path, *more, method="external"):
    return (f"method={method}", f"path={path}", *(f"+{SMALL[0]}",), *SMALL[1:], *more)


def test_a_cell_is_named_by_the_file_and_not_by_its_place(cell, saved, tmp_path):
    name = cell(*words(saved)).hash
    moved = tmp_path / "weights" / "moved.safetensors"
    moved.parent.mkdir(exist_ok=True)
    moved.write_bytes(saved.read_bytes())
    assert cell(*words(moved)).hash == name
    assert cell(*words("moved.safetensors", f"weights={moved.parent}")).hash == name
    assert cell(*words(saved, "trusted=true")).hash == name
    (tmp_path / "beside.json").write_text("{}")
    assert cell(*words(saved)).hash == name
    for other in ("method.solver.order=bgr", "+method.networks.net.mode=train", "+method.networks.net.level=9.0"):
        assert cell(*words(saved, other)).hash != name
    changed = files.small()
    changed.last.bias += 1
    assert cell(*words(files.weights(changed, tmp_path / "other.safetensors"))).hash != name


def test_it_runs_and_the_row_has_the_hash_of_its_file(cell, saved):
    one = cell(*words(saved))
    rows = rows_of(one)
    assert list(rows.status) == ["ok", "ok"] and set(rows.trained_on) == {"unknown"}
    told = cell(*words(saved, "method.networks.net.trained=GoPro"))
    assert told.hash == one.hash and trained_on(told) == "GoPro"
    assert checkpoints.sha256(saved.resolve()) in str(rows.iloc[0].to_dict())
    problem = Bench.of(one).pose([0, 1])
    expected = 2 * files.small()((problem.y + 1) / 2).clamp(0, 1) - 1
    torch.testing.assert_close(Bench.of(one).networks["net"]((problem.y + 1) / 2).clamp(0, 1) * 2 - 1, expected)


@pytest.mark.parametrize("method", ["external_pinv", "external_adjoint"])
def test_it_is_given_what_its_name_says(cell, saved, method):
    assert list(rows_of(cell(*words(saved, "degradation=sr4", method=method))).status) == ["ok", "ok"]


@pytest.mark.parametrize("norm", NORMS)
def test_running_statistics_that_move_are_no_trespass(cell, norm, tmp_path):
    path = files.script(Normed(NORMS[norm]()).eval(), tmp_path / "net.pt")
    one = cell("method=external", f"path={path}", "trusted=true", "+method.networks.net.mode=train", *SMALL[1:])
    rows = rows_of(one)
    assert list(rows.status) == ["ok", "ok"], rows.reason[0]


def test_wrong_channels_are_a_failed_row_with_the_reason(cell, tmp_path):
    path = files.onnx_file(files.small(4), tmp_path / "net.onnx", channels=4)
    rows = rows_of(cell("method=external", f"path={path}", *SMALL[1:]))
    assert "takes 4 channels, and the images have 3" in rows.reason[0]


def test_code_stops_the_run_until_it_is_trusted(cell, tmp_path):
    path = files.script(files.small(), tmp_path / "net.pt")
    with pytest.raises(UserError, match="trusted=true"):
        Bench.of(cell("method=external", f"path={path}", *SMALL[1:]))
    assert list(rows_of(cell("method=external", f"path={path}", "trusted=true", *SMALL[1:])).status) == ["ok", "ok"]
    with pytest.raises(UserError, match="trusted is true or false"):
        cell("method=external", f"path={path}", "trusted=perhaps")


@pytest.mark.parametrize(
    ("method", "file"),
    [("deblurgan_v2", "deblurgan_v2.pt"), ("stripformer", "stripformer.pt"), ("mprnet", "model_deblurring.pth"),
     ("srn", "srn.onnx"), ("ram", "ram.pth.tar")],
)  # fmt: skip
def test_a_method_says_what_file_it_waits_for_and_how_to_get_it(cell, method, file):
    degradation = "sr4" if method == "ram" else "blind_motion"
    reason = obstacle(cell(f"method={method}", f"degradation={degradation}"))
    assert reason and f"{method} waits for {file}" in reason and "weights/" in reason and "\n" not in reason
    assert list(lacking(cell(f"method={method}"))) == [reason] and not list(
        lacking(cell(f"method={method}"), waiting=False)
    )


@pytest.mark.parametrize(
    ("method", "file"), [("deblurgan_v2", "deblurgan_v2.pt"), ("stripformer", "stripformer.pt"), ("srn", "srn.onnx")]
)
def test_it_runs_when_its_file_is_there(cell, method, file, tmp_path):
    """With a small network of the same interface."""
    folder = tmp_path / "weights"
    folder.mkdir()
    net = Normed(NORMS["instance"]()).eval() if method == "deblurgan_v2" else files.small()
    if file.endswith("onnx"):
        files.onnx_file(net, folder / file, batch=1)
    else:
        files.script(net, folder / file)
    blind = ("degradation=blind_motion", "degradation.operator.size=8", "images=2")
    one = cell(f"method={method}", "trusted=true", f"weights={folder}", *blind)
    rows = rows_of(one)
    assert list(rows.status) == ["ok", "ok"], rows.reason[0]


def test_a_method_without_a_file_asks_for_one(cell):
    with pytest.raises(UserError, match="name its file, as in path=network.pth"):
        _ = cell("method=external").weights


@pytest.mark.parametrize(
    ("degradation", "fits"),
    [("sr4", True), ("colorize", True), ("blind_motion", True), ("inpaint70", True), ("ct_sparse", False),
     ("phase_fourier", False), ("cs_gaussian", False), ("mri", False)],
)  # fmt: skip
def test_only_pictures_are_given_as_they_are(cell, saved, degradation, fits):
    smaller = ["degradation.operator.size=8"] if degradation == "blind_motion" else []
    said = obstacle(cell(*words(saved, f"degradation={degradation}", *smaller)))
    assert (said is None) == fits and (fits or "measures something else" in said)
