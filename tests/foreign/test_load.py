"""Networks from files: every format gives the network that was saved, and a file that is wrong says how."""

import pickle

import pytest
import spandrel
import torch
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.NAFNet import NAFNet
from torch import nn

from sipbench import configs
from sipbench.bench.cell import Cell
from sipbench.errors import UserError
from sipbench.foreign.load import network
from tests.foreign import files

SMALL = "tests.foreign.files.Small"


@pytest.fixture
def net():
    return files.small()


@pytest.fixture(
    params=["TorchScript", "trace", "torch.export", "ONNX", "module", "state dict", "wrapped", "safetensors"]
)
def saved(request, net, tmp_path):
    """The network in this format, and what loading it takes."""
    v, kind = files.images(2, 3, 8, 8), request.param
    if kind == "TorchScript":
        return files.script(net, tmp_path / "net.pt"), {"trusted": True}
    if kind == "trace":
        return files.script(net, tmp_path / "net.pt", v), {"trusted": True}
    if kind == "torch.export":
        return files.exported(net, tmp_path / "net.pt2", v), {"trusted": True}
    if kind == "ONNX":
        return files.onnx_file(net, tmp_path / "net.onnx"), {}
    if kind == "safetensors":
        return files.weights(net, tmp_path / "net.safetensors"), {"architecture": SMALL}
    path = tmp_path / "net.pth"
    wrapped = {"epoch": 3, "state_dict": {f"module.{k}": t for k, t in net.state_dict().items()}}
    torch.save({"module": net, "state dict": net.state_dict(), "wrapped": wrapped}[kind], path)
    return path, {"trusted": True} if kind == "module" else {"architecture": SMALL, "trusted": files.OLD}


def test_every_format_is_the_network_that_was_saved(net, saved):
    path, options = saved
    v = files.images(3, 3, 8, 8)
    found = network(path, **options)
    torch.testing.assert_close(found(v), net(v), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found(v[:1]), found(v)[:1], rtol=1e-5, atol=1e-6)
    assert found(v.double()).dtype == torch.float64


@pytest.mark.parametrize("kind", ["TorchScript", "torch.export", "a pickled network"])
def test_code_is_refused_until_it_is_trusted(kind, net, tmp_path):
    path = tmp_path / "net.any"
    if kind == "TorchScript":
        files.script(net, path)
    elif kind == "torch.export":
        files.exported(net, tmp_path / "net.pt2", files.images(2, 3, 8, 8)).rename(path)
    else:
        torch.save(net, path)
    with pytest.raises(UserError, match="runs what its maker wrote.*trusted=true"):
        network(path)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.ckpt", "net.safetensors", "net.onnx", "net.pt2"])
def test_a_trap_is_not_sprung_whatever_it_calls_itself(name, tmp_path):
    torch.save({"weights": Trap(tmp_path / "sprung")}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for made in ("a.pth", "b.pth"):
        (tmp_path / made).rename(tmp_path / name)
        with pytest.raises(UserError):
            network(tmp_path / name)
        assert not (tmp_path / "sprung").exists()


def test_weights_need_no_trust_but_on_an_old_torch(net, tmp_path, monkeypatch):
    torch.save(net.state_dict(), tmp_path / "net.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(UserError, match="older than 2.6"):
        network(tmp_path / "net.pth", architecture=SMALL)


@pytest.mark.parametrize("name", ["net.pth", "net.pt", "net.pt2", "net.safetensors", "net.onnx"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_damaged_file_is_one_line(name, whole, net, tmp_path):
    path = tmp_path / name
    if whole:
        path.write_bytes(b"no network at all")
    else:
        if name == "net.onnx":
            files.onnx_file(net, path)
        elif name == "net.pt2":
            files.exported(net, path, files.images(2, 3, 8, 8))
        elif name == "net.pt":
            files.script(net, path)
        elif name == "net.safetensors":
            files.weights(net, path)
        else:
            torch.save(net.state_dict(), path)
        path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match="Get it again") as error:
        network(path, trusted=True, architecture=SMALL)
    assert "\n" not in str(error.value)


def test_an_archive_that_says_it_spans_several_disks_is_damaged(tmp_path):
    locator = b"PK\x06\x07" + bytes(12) + (9).to_bytes(4, "little")
    (tmp_path / "net.pth").write_bytes(bytes(60) + locator + b"PK\x05\x06" + bytes(18))
    with pytest.raises(UserError, match="Get it again"):
        network(tmp_path / "net.pth", architecture=SMALL)


def test_weights_that_fit_nothing_say_what_to_do(net, tmp_path):
    files.weights(net, tmp_path / "net.safetensors")
    with pytest.raises(UserError, match="no architecture that spandrel knows.*TorchScript"):
        network(tmp_path / "net.safetensors")
    with pytest.raises(UserError, match="does not fit Small"):
        network(tmp_path / "net.safetensors", architecture=SMALL, arguments={"channels": 1})
    with pytest.raises(UserError, match="not here"):
        torch.save(Elsewhere(), tmp_path / "lost.pth")
        (tmp_path / "lost.pth").write_bytes((tmp_path / "lost.pth").read_bytes().replace(b"Elsewhere", b"Elsewhen!"))
        network(tmp_path / "lost.pth", trusted=True)


class Elsewhere(nn.Identity):
    pass


RESTORERS = {
    "nafnet": lambda: NAFNet(width=8, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
    "drunet": lambda: DRUNet(in_nc=4, out_nc=3, nc=[8, 8, 16, 16], nb=2),
}


@pytest.mark.parametrize("name", RESTORERS)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_spandrels_networks_are_as_spandrel_calls_them(name, ending, tmp_path):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = RESTORERS[name]()
    for parameter in made.parameters():
        if not parameter.any():  # NAFNet's begin as the identity
            nn.init.constant_(parameter, 0.1)
    path = tmp_path / f"net.{ending}"
    torch.save({"params": made.state_dict()}, path) if ending == "pth" else files.weights(made, path)
    theirs, ours = spandrel.ModelLoader().load_from_file(path), network(path, trusted=files.OLD)
    v = files.images(3, 3, 16, 24)
    expected = torch.cat([theirs(one) for one in v.split(1)])
    assert (expected - v).abs().max() > 1e-3
    torch.testing.assert_close(ours(v).clamp(0, 1), expected, rtol=1e-6, atol=1e-6)
    assert (ours.multiple, ours.channels, ours.scale) == (theirs.size_requirements.multiple_of, 3, 1)


def test_a_denoiser_hears_another_level(tmp_path):
    path = files.weights(RESTORERS["drunet"](), tmp_path / "net.safetensors")
    v = files.images(1, 3, 16, 16)
    assert (network(path, level=50.0)(v) - network(path)(v)).abs().max() > 1e-4


def test_onnx_for_one_image_is_asked_one_at_a_time(net, tmp_path):
    found = network(files.onnx_file(net, tmp_path / "net.onnx", batch=1))
    v = files.images(3, 3, 8, 8)
    assert found.alone and found.channels == 3
    torch.testing.assert_close(found(v), net(v), rtol=1e-5, atol=1e-6)


def test_onnx_that_cannot_be_used_says_why(net, tmp_path):
    with pytest.raises(UserError, match="4 images at a time"):
        network(files.onnx_file(net, tmp_path / "four.onnx", batch=4))
    with pytest.raises(UserError, match="v tensor.*noise tensor.*one batch of images"):
        network(files.onnx_file(net, tmp_path / "two.onnx", extra=True))


@pytest.mark.parametrize("seen, says", [(True, "keeps weights in a second file"), (False, "cannot be read")])
def test_onnx_with_weights_in_a_second_file_is_refused(net, tmp_path, monkeypatch, seen, says):
    """onnxruntime looks for it in the working folder; the hash that names a cell would not be of it."""
    import onnx
    from onnx.external_data_helper import convert_model_to_external_data

    model = onnx.load(str(files.onnx_file(net, tmp_path / "net.onnx")))
    convert_model_to_external_data(model, location="more.bin", size_threshold=100)
    onnx.save(model, str(tmp_path / "two.onnx"))
    assert (tmp_path / "more.bin").stat().st_size
    monkeypatch.chdir(tmp_path)
    if not seen:
        monkeypatch.setattr("sipbench.foreign.onnx.ELSEWHERE", b"no such words")
    with pytest.raises(UserError, match=says):
        network(tmp_path / "two.onnx")


def test_weights_without_names_and_an_architecture_that_is_none_are_a_line(net, tmp_path):
    torch.save({1: torch.zeros(2)}, tmp_path / "numbers.pth")
    with pytest.raises(UserError, match="no weights by name"):
        network(tmp_path / "numbers.pth", trusted=files.OLD)
    with pytest.raises(UserError, match="does not fit getcwd: it makes str, not a network"):
        network(files.weights(net, tmp_path / "net.safetensors"), architecture="os.getcwd")


class Normed(nn.Module):
    """Normalisation with running statistics, and dropout."""

    def __init__(self, norm):
        super().__init__()
        self.norm, self.drop = norm, nn.Dropout(0.5)

    def forward(self, v):
        return self.drop(self.norm(v))


NORMS = {
    "instance": lambda: nn.InstanceNorm2d(3, track_running_stats=True),
    "batch": lambda: nn.BatchNorm2d(3, affine=False),
}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("form", ["module", "script"])
def test_train_mode_normalises_each_image_by_itself_and_drops_nothing(norm, form, tmp_path):
    path, made = tmp_path / "net.pt", Normed(NORMS[norm]()).eval()
    torch.save(made, path) if form == "module" else files.script(made, path)
    found = network(path, trusted=True, mode="train")
    v = files.images(2, 3, 8, 8) * torch.tensor([1.0, 9.0]).view(2, 1, 1, 1)
    before = [b.clone() for b in found.buffers()]
    with torch.no_grad():
        x = found(v)
    mean, variance = v.mean((2, 3), keepdim=True), v.var((2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(x, (v - mean) / (variance + 1e-5).sqrt(), rtol=1e-4, atol=1e-4)
    assert all(map(torch.equal, before, found.buffers()))
    torch.testing.assert_close(network(path, trusted=True)(v), v / (1 + 1e-5) ** 0.5)


def test_a_trace_made_in_train_mode_leaves_no_trace_of_the_images_before(tmp_path):
    made = Normed(NORMS["instance"]()).eval()
    made.norm.train()
    found = network(files.script(made, tmp_path / "net.pt", files.images(1, 3, 8, 8)), trusted=True, alone=True)
    v = files.images(2, 3, 8, 8)
    before = [b.clone() for b in found.buffers()]
    with torch.no_grad():
        assert torch.equal(found(v), found(v))
    assert all(map(torch.equal, before, found.buffers()))


def test_onnx_has_no_mode_to_set(net, tmp_path):
    with pytest.raises(UserError, match="mode"):
        network(files.onnx_file(net, tmp_path / "net.onnx"), mode="train")


class Several(nn.Module):
    def forward(self, v):
        return [v, 2 * v]


def test_the_image_may_be_another_output(tmp_path):
    torch.save(Several(), tmp_path / "net.pth")
    v = files.images(1, 3, 4, 4)
    assert torch.equal(network(tmp_path / "net.pth", trusted=True)(v), v)
    assert torch.equal(network(tmp_path / "net.pth", trusted=True, output=1)(v), 2 * v)


def test_packages_that_are_not_installed_are_named(net, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spandrel", None)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    for path in (files.weights(net, tmp_path / "net.safetensors"), files.onnx_file(net, tmp_path / "net.onnx")):
        with pytest.raises(UserError, match=r"pip install 'sipbench\[restorers\]'"):
            network(path)


def test_a_path_that_is_a_number_and_an_empty_file_are_refused_in_a_line(tmp_path):
    words = ["method=external", "path=5"]
    with pytest.raises(UserError, match="path is a file, not 5"):
        Cell.of(configs.compose(words), words)
    (tmp_path / "empty.pth").touch()
    with pytest.raises(UserError, match="cannot be read: EOFError|this torch is older than 2.6"):
        network(str(tmp_path / "empty.pth"))
