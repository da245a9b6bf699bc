"""Training takes the training split, goes on only with what it began with, and stops whole."""

import os
import re
import signal
from pathlib import Path

import pytest
import torch

from sipbench import checkpoints, cli
from sipbench.cli import train as train_command
from sipbench.errors import UserError
from sipbench.training import folder as laid_down
from sipbench.training import recipes
from sipbench.training.loop import Schedule, fit
from sipbench.training.state import State
from tests.training.test_train import train

NET = ["degradation=inpaint70", "method.networks.net.width=8", "method.networks.net.levels=2"]


@pytest.mark.parametrize("words", [["split=test"], ["dataset.split=test"], ["split=validation"]])
@pytest.mark.parametrize("kind", ["net", "prior", "autoencoder"])
def test_13_only_the_training_split_is_trained_on(tmp_path, kind, words):
    with pytest.raises(UserError, match="split=train"):
        train(kind, tmp_path, 1, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dataset=kernels", "size=32", "name=unet-faces-32-inpaint70"], "dataset.name was faces, now kernels"),
        (["method.networks.net.width=16"], "network.width was 8, now 16"),
        (["schedule.lr=0.01"], "schedule.lr was 0.0005, now 0.01"),
        (["schedule.batch_size=1"], "schedule.batch_size was 2, now 1"),
        (["degradation.operator.removed=0.5"], "degradation.operator.removed was 0.7, now 0.5"),
    ],
)
def test_13_a_run_goes_on_with_what_it_began_with(tmp_path, words, said):
    train("net", tmp_path, 2, *NET)
    with pytest.raises(UserError) as caught:
        train("net", tmp_path, 4, *NET, *words)
    assert said in str(caught.value) and "name=OTHER" in str(caught.value) and "\n" not in str(caught.value)


def test_13_its_length_and_its_saves_may_change(tmp_path):
    train("net", tmp_path, 2, *NET)
    assert train("net", tmp_path, 4, *NET, "schedule.save_every=1", "error=rms").is_dir()


def test_13_a_damaged_state_is_one_line(tmp_path):
    train("net", tmp_path, 2, *NET)
    state = next(tmp_path.rglob("state.pt"))
    state.write_bytes(state.read_bytes()[:500])
    with pytest.raises(UserError, match=r"state\.pt cannot be gone on from"):
        train("net", tmp_path, 4, *NET)


@pytest.mark.parametrize(
    ("shown", "of", "said"),
    [
        (8, 100, "8 of its 100 images, each seen once"),
        (100, 100, "each seen once"),
        (150, 100, "all of its 100 images, each seen 1 or 2 times"),
        (300, 100, "all of its 100 images, each seen 3 times"),
    ],
)
def test_13_the_card_says_how_often_an_image_was_seen(shown, of, said):
    assert said in laid_down.seen(shown, of)


def test_13_the_card_of_a_small_folder_says_that_its_images_came_again(tmp_path):
    from PIL import Image

    for split in ("train", "validation"):
        (tmp_path / "photos" / split).mkdir(parents=True)
        for i in range(3):
            Image.effect_noise((32, 32), 50 + i).convert("RGB").save(tmp_path / "photos" / split / f"{i}.png")
    made = train("net", tmp_path, 4, "dataset=folder", f"dataset.root={tmp_path / 'photos'}", *NET)
    assert "all of its 3 images, each seen 2 or 3 times" in (made / "README.md").read_text()


def small(folder, steps, images, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Conv2d(3, 3, 3, padding=1)
    schedule = Schedule(steps=steps, batch_size=2, warmup=1, decay=1e-4, save_every=100)

    def loss(net, x, rng):
        return (net(x + rng.normal_like(x)) - x).square().mean()

    return fit(network, loss, images, schedule, folder, device=torch.device("cpu"), report=lambda _: None, **options)


def pictures(numbers):
    return torch.stack([torch.full((3, 8, 8), (n % 7) / 7) for n in numbers])


@pytest.fixture
def foreground():
    """SIGINT as a terminal has it; a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def ended(foreground):
    """SIGTERM as the command line has it."""
    with cli.ended_as_interrupted():
        yield


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_26_an_interrupt_is_saved_and_changes_nothing(tmp_path, ended, number):
    def interrupting(numbers):
        if numbers[0] == 6:
            os.kill(os.getpid(), number)
        return pictures(numbers)

    whole, facts = small(tmp_path / "whole", 8, pictures)
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path / "cut", 8, interrupting)
    saved = torch.load(tmp_path / "cut" / "state.pt", weights_only=True)
    assert saved["facts"]["step"] == 4
    resumed, again = small(tmp_path / "cut", 8, pictures)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert again["loss"] == pytest.approx(facts["loss"]) and again["images"] == facts["images"] == 16
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_job_in_the_background_hears_sigterm_alone(tmp_path, ended):
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def interrupting(numbers):
        if (number := {2: signal.SIGINT, 6: signal.SIGTERM}.get(numbers[0])) is not None:
            os.kill(os.getpid(), number)
        return pictures(numbers)

    with pytest.raises(KeyboardInterrupt):
        small(tmp_path, 8, interrupting)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["facts"]["step"] == 4


def test_26_the_command_says_that_it_goes_on(tmp_path, capsys, monkeypatch):
    def stop(cfg):
        raise KeyboardInterrupt

    monkeypatch.setitem(recipes.TRAINEES, "net", stop)
    assert cli.main(["train", "net"]) == 130
    assert "run the same command again" in capsys.readouterr().err


def test_the_weights_are_laid_down_after_a_finished_run_too(tmp_path):
    first = train("net", tmp_path, 2, *NET)
    (first / checkpoints.WEIGHTS[0]).unlink()
    assert checkpoints.weight_file(train("net", tmp_path, 2, *NET)).is_file()


@pytest.mark.parametrize("word", ["schedule.precision=float8", "schedule.steps=many"])
def test_a_schedule_that_makes_no_sense_is_one_line(tmp_path, word):
    with pytest.raises(UserError, match=r"precision|steps"):
        train("net", tmp_path, 1, *NET, word)


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("schedule.steps=0", "schedule: steps is a whole number from 1 on, not 0"),
        ("schedule.batch_size=0", "schedule: batch_size is a whole number from 1 on, not 0"),
        ("schedule.save_every=0", "schedule: save_every is a whole number from 1 on, not 0"),
        ("schedule.lr=-1", "schedule: lr is a number above 0, not -1"),
        ("schedule.lr=nan", "schedule: lr is a number, not nan"),
        ("schedule.ema=2", "schedule: ema is a number from 0 to 1, not 2"),
        ("schedule.precision=int8", "schedule: unknown precision 'int8'"),
        ("schedule.steps=x", "schedule: steps is a whole number, not 'x'"),
        ("subset=x", "subset is a whole number from 0 on, not 'x'"),
        ("subset=-1", "subset is a whole number from 0 on, not -1"),
        ("validation=0", "validation is a whole number from 1 on, not 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_in_a_line(tmp_path, word, said):
    with pytest.raises(UserError, match=re.escape(said)):
        train("net", tmp_path, 1, *NET, "images=2", word)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("external", "made elsewhere, which is not trained here"),
        ("mprnet", "made elsewhere, which is not trained here"),
        ("restoration_prior", "sipbench train net degradation=sr4"),
        ("dpir_official", "sipbench fetch dpir_official"),
    ],
)
def test_a_network_that_comes_from_elsewhere_is_not_trained_under_its_name(tmp_path, method, said):
    words = [f"method={method}", "size=32", "schedule.steps=1", f"weights={tmp_path}", f"results={tmp_path}"]
    with pytest.raises(UserError, match=said):
        train_command.main(["net", *words])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("name=../x", "weights=FOLDER says where"),
        ("name=..", "name is a folder's name"),
        ("tuned=perhaps", "tuned is true or false, not 'perhaps'"),
        ("device=tpu", "unknown device 'tpu'"),
    ],
)
def test_words_that_make_no_sense_are_refused_before_the_training(tmp_path, word, said):
    with pytest.raises(UserError, match=re.escape(said)):
        train_command.main(["net", "size=32", "schedule.steps=1", f"weights={tmp_path}/w", f"results={tmp_path}", word])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["weights", "results"])
def test_a_folder_that_cannot_be_written_is_said_before_the_training(tmp_path, word):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=f"cannot be written: Not a directory. Choose another with {word}="):
        train("net", tmp_path, 1, *NET, f"{word}={tmp_path}/file/inside")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line_in_a_training_too(tmp_path):
    """Libraries say it in words of their own."""
    net = torch.nn.Linear(99, 99)
    state = State(tmp_path, {}, net, net, torch.optim.Adam(net.parameters()))
    (tmp_path / ".state.pt.tmp").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full"):
        state.save({"step": 1})
    assert os.listdir(tmp_path) == []
    (tmp_path / "log.csv").symlink_to("/dev/full")
    with pytest.raises(UserError, match="the disk is full"):
        state.tell("log.csv", {"step": 1})
    (tmp_path / ".x.safetensors.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save_half(net, tmp_path / "x.safetensors")
