"""Options of the harness are refused at once and in one line, on a finished cell too."""

import resource

import pytest

from sipbench import cli, device
from sipbench.errors import UserError

SMALL = ["method=pinv", "size=32", "images=1", "metrics=[psnr]"]
WRONG = [
    ("device=tpu", "unknown device 'tpu'"),
    ("device=cuda:x", "unknown device 'cuda:x'"),
    ("metrics=[psnrr]", "Did you mean psnr?"),
    ("metrics=psnr", "metrics=[psnr]"),
    ("metrics=[[psnr]]", "metrics is a list"),
    ("wandb.mode=onlin", "Did you mean online?"),
    ("wandb.images=all", "wandb.images is a whole number"),
    ("tuned=maybe", "tuned is true or false"),
    ("retry_failed=5", "retry_failed is true or false"),
    ("keep_images=perhaps", "keep_images is true or false"),
    ("results=5", "results is a folder"),
    ("seed=12345678901234567890123", "at most 18 digits"),
    ("size=200000", "size is at most"),
    ("images=999999999", "images=10000000"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A finished cell. What is refused leaves it as it is."""
    folder = tmp_path_factory.mktemp("finished")
    assert cli.main([*SMALL, f"results={folder}"]) == 0
    return folder


@pytest.mark.parametrize(("word", "said"), WRONG)
@pytest.mark.parametrize("command", [[], ["-m"], ["table", "table1"], ["tune"]], ids=["cell", "sweep", "table", "tune"])
def test_it_is_refused_whatever_is_done(results, capsys, command, word, said):
    method = ["method=tikhonov", "method.solver.exponent=2,3"] if command == ["tune"] else SMALL[:1]
    words = [f"results={results}", *method, *SMALL[1:]]
    kept = [w for w in words if w.partition("=")[0] != word.partition("=")[0]]
    assert cli.main([*command, *kept, word]) == 2
    err = capsys.readouterr().err.strip()
    assert said in err and len(err.splitlines()) == (2 if "lacks:" in err else 1)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("tv", "tv takes no path: a network of yours is run by method=external path=FILE"),
        ("unet", "its weights are named by method.networks.net.weights=FOLDER"),
        ("mprnet", "its weights are named by method.networks.net.path=FILE"),
    ],
)
def test_a_path_that_no_method_takes_is_refused(capsys, tmp_path, method, said):
    (tmp_path / "model_deblurring.pth").touch()
    words = [f"method={method}", "path=net.pth", f"weights={tmp_path}", f"results={tmp_path}", "size=64", "images=1"]
    for command in ([], ["-m"]):
        assert cli.main([*command, *words]) == 2 and said in capsys.readouterr().err


def test_a_dataset_that_nothing_was_trained_on_says_what_there_is(capsys, tmp_path):
    words = ["method=unet", "size=64", "images=1", f"results={tmp_path}", f"weights={tmp_path}"]
    (tmp_path / "unet-mine-64-sr4").mkdir()
    (tmp_path / "unet-mine-64-sr4" / "model.safetensors").touch()
    for name, how in {"nowhere": "there is no dataset 'nowhere'", "crystals": "sipbench train net method=unet"}.items():
        assert cli.main([*words, f"trained_on={name}"]) == 2
        err = capsys.readouterr().err
        assert how in err and "Here are: unet-faces-64-inpaint70, unet-faces-64-sr4, unet-mine-64-sr4" in err


def test_a_device_that_is_not_here_is_no_misspelling(cell):
    """A sweep for a cluster is composed where there is no GPU."""
    assert cell("method=pinv", "device=cuda:3")


@pytest.mark.parametrize("name", ["mps", "cuda:99", "cuda"])
def test_a_device_that_is_not_here_is_named_where_a_cell_would_run_on_it(name, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=f"device '{name}' was asked for, but torch sees no .*: use device=cpu"):
        device.choose(name)


def test_a_gpu_of_another_number_says_how_many_there_are(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(UserError, match="device 'cuda:7' was asked for, and torch sees 2: cuda:0 to cuda:1"):
        device.choose("cuda:7")
    assert str(device.choose("cuda:1")) == "cuda:1"


def test_a_prior_of_another_size_says_which_size(capsys, tmp_path):
    assert cli.main(["method=dps", "size=32", "images=1", f"results={tmp_path}"]) == 2
    assert "prior faces is for (3, 64, 64), not (3, 32, 32): size=64" in capsys.readouterr().err


def test_a_billion_images_are_refused_without_allocating(tmp_path, capsys):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cli.main(["method=pinv", "images=999999999", f"results={tmp_path}"]) == 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    assert "faces: split 'test' has" in capsys.readouterr().err
