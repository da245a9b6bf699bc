"""Quality against the number of training images: what is asked, in which order, and what is made of it."""

import json
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sipbench import tables
from sipbench.bench.turn import Alone
from sipbench.errors import UserError
from sipbench.tables import learning, workers
from sipbench.tables.run import run_table
from sipbench.tables.views import tradeoff

from .fake import put, row

TINY = ["recipe.schedule.steps=2", "recipe.schedule.batch_size=2", "recipe.schedule.validate_every=1"]
TINY += ["recipe.validation=1", "recipe.widths=[4]", "images=1"]
FEW = "method=unet,tv"


def load(tmp_path, *words, profile="study"):
    return tables.load("tradeoff", profile, [f"results={tmp_path}", *TINY, *words])


def fill(spec, quality):
    """Rows of hand: PSNR by method, n and seed, spread over the images alike."""
    for entry in spec.planned:
        n = spec.tasks[entry.degradation].swept["images"]
        for cell in entry.cells:
            trained = {
                "training_seconds": 3.0,
                "training": json.dumps({"net": {"widths": {"8": 0.2, "16": 0.1}, "step": 7}}),
            }
            more = trained if cell.lessons else {}
            put(cell, [row(i, quality(entry.row.name, n, cell.seed) + i, **more) for i in cell.images])


def test_what_trains_nothing_is_one_cell_for_every_n(tmp_path):
    spec = load(tmp_path, FEW, "degradation=sr4-images4,sr4-images16", "seed=0,1")
    cells = {name: {c.hash for e in spec.planned if e.row.name == name for c in e.cells} for name in ("tv", "unet")}
    assert len(cells["tv"]) == 2 and len(cells["unet"]) == 2 * 2  # a seed each; a seed and an n each


def test_a_seed_is_a_subset_and_another_noise(tmp_path):
    spec = load(tmp_path, "method=unet", "degradation=sr4-images16")
    (entry,) = spec.planned
    assert [cell.lessons["net"].subset for cell in entry.cells] == [0, 1, 2] == [cell.seed for cell in entry.cells]
    assert len({cell.lessons["net"].name for cell in entry.cells}) == 3


def test_a_problem_may_have_seeds_of_its_own_and_a_profile_fewer_rows(tmp_path):
    spec = load(tmp_path)
    assert spec.seeds_of("sr4-images4") == (0, 1, 2) and spec.seeds_of("inpaint70-images4") == (0,)
    assert load(tmp_path, "seed=4,5").seeds_of("inpaint70-images4") == (4, 5)
    demo = load(tmp_path, profile="demo")
    assert {demo.seeds_of(name) for name in demo.degradations} == {(0,)}
    assert {r.name for r in demo.rows} < {r.name for r in spec.rows}


def test_all_images_are_as_many_as_there_are_or_as_are_shown(tmp_path):
    """Never 0, which says that nothing is trained."""
    words = [FEW, "degradation=sr4-images4", "seed=0", "recipe.images=null", "dataset=faces"]
    spec = load(tmp_path, *words)
    fill(spec, lambda name, n, seed: 20.0)
    assert {p.row.name: p.n for p in learning.points(spec)} == {"unet": 2 * 2, "tv": 0}
    from PIL import Image

    root = tmp_path / "root"
    for split in ("train", "validation", "test"):
        (root / split).mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (32, 32), (i, 0, 0)).save(root / split / f"{i}.png")
    kept = load(tmp_path, "method=nearest_neighbour", *words[1:], "method.networks.memory.count=5")
    (memory,) = kept.planned[0].cells[0].lessons.values()
    assert learning.shown(memory) == 5  # as many as it is made for, however long others are trained
    lesson = next(iter(spec.planned[0].cells[0].lessons.values()))
    node = {"name": "folder", "_target_": "sipbench.datasets.folder.Folder", "root": str(root)}
    assert learning.shown(replace(lesson, dataset=node)) == 3


def test_what_lacks_the_number_of_an_image_is_held_against_nothing(tmp_path):
    """Each of the two has a number of two images, and not of the same."""
    spec = load(tmp_path, FEW, "degradation=sr4-images4", "seed=0", "images=3")
    for lost, entry in zip((0, 2), spec.planned, strict=True):
        for cell in entry.cells:
            put(cell, [row(i, float("nan") if i == lost else 20.0 + i) for i in cell.images])
    assert learning.points(spec) == []


def test_a_first_seed_comes_before_the_next(tmp_path):
    seeds = [cell.seed for cell, _ in tables.pending(load(tmp_path, FEW, "degradation=sr4-images4,sr4-images16"))]
    assert seeds == sorted(seeds) and set(seeds) == {0, 1, 2}


def test_a_cell_is_solved_as_soon_as_it_is_trained(tmp_path):
    spec = load(tmp_path, FEW, "degradation=sr4-images4,sr4-images16", "seed=0")
    agenda = workers.Agenda([cell for cell, _ in tables.pending(spec)])
    said = []
    while (job := agenda.next()) is not None:
        said.append(job if isinstance(job, str) else job.names[2])
        if isinstance(job, str):
            agenda.trained(job)
    kinds = ["training" if "-n" in name else name for name in said]
    assert kinds == ["training", "unet", "tv", "training", "unet"]


def test_while_one_trains_the_next_that_can_be_done_is(tmp_path):
    spec = load(tmp_path, FEW, "degradation=sr4-images4", "seed=0")
    agenda = workers.Agenda([cell for cell, _ in tables.pending(spec)])
    training, cell = agenda.next(), agenda.next()
    assert isinstance(training, str) and not isinstance(cell, str) and cell is not None and cell.names[2] == "tv"
    assert agenda.next() is None
    agenda.trained(training)
    assert agenda.next() is not None and agenda.next() is None


def test_curves_and_crossings_that_are_known(tmp_path):
    """The U-Net gains 2 dB with each fourfold n from 20 dB at 4, and TV has 25: it passes half way from 64 to 256."""
    spec = load(tmp_path, FEW, "images=3", "degradation=sr4", "seed=0,1")
    fill(spec, lambda name, n, seed: 25.0 if name == "tv" else 20.0 + 2 * np.log2(n / 4) / 2)
    written = {path.name: path for path in tradeoff.write(spec, pd.DataFrame())}
    assert {"tradeoff.csv", "tradeoff.md", "tradeoff.png", "tradeoff-compute.png"} < set(written)
    t = pd.read_csv(written["tradeoff.csv"])
    assert set(t[t.method == "tv"].n) == {0} and len(t) == 2 + 2 * 6
    one = t[(t.method == "unet") & (t.n == 64) & (t.subset == 1)].iloc[0]
    assert one.psnr == pytest.approx(25.0) and one.low < one.psnr < one.high and one.problem == "sr4"
    assert (one.training_seconds, one.width, one.steps, one.data) == (3.0, 16, 7, "pairs") and "f" in one.knowledge
    passed = pd.read_csv(written["tradeoff-crossings.csv"]).set_index("method")
    assert passed.loc["unet", "value"] == pytest.approx(128) and str(passed.loc["unet", "said"]) == "128"
    page = written["tradeoff.md"].read_text()
    assert "| U-Net | 128 |" in page and "n = 4,096" in page and "One recipe for all" in page
    assert "over the images alone" not in page
    one = tradeoff.text(load(tmp_path, FEW, "images=3", "degradation=sr4", "seed=0"), pd.DataFrame())
    assert one.count("over the images alone, since one subset does not tell") == 2


def test_a_curve_that_passed_and_fell_back_is_not_said_to_have_never_passed(tmp_path):
    """It is above from 16 to 1,024 images, and below at 4 and 4,096."""
    spec = load(tmp_path, FEW, "images=3", "degradation=sr4", "seed=0")
    fill(spec, lambda name, n, seed: 25.0 if name == "tv" else 26.0 if 4 < n < 4096 else 24.0)
    page = tradeoff.text(spec, pd.DataFrame())
    assert "| U-Net | never |" in page and "“never” is not above at the largest n" in page


def test_the_page_says_whether_trainings_share_their_random_numbers(tmp_path):
    """Of subsets that all begin with one set of weights the spread is that of the images alone."""
    words = ["method=unet", "degradation=sr4-images4", "seed=0,1"]
    one, own = (
        tradeoff.text(load(tmp_path, *words, *more), pd.DataFrame()) for more in (["recipe.schedule.seed=0"], [])
    )
    assert "same weights" in one and "another training" in one
    assert "same weights" not in own and "weights of its own" in own
    alone = tradeoff.text(load(tmp_path, *words[:2], "seed=0"), pd.DataFrame())  # of a single subset neither is said
    assert "another training" in alone and "same weights" not in alone and "weights of its own" not in alone


def test_the_widths_of_each_subset_are_told_and_no_mean_of_them(tmp_path):
    spec = load(tmp_path, "method=unet", "images=2", "degradation=sr4-images4,sr4-images16", "seed=0,1,2")
    for entry in spec.planned:
        for cell in entry.cells:
            best = {"8": 0.2, "16": 0.1 if cell.seed or entry.degradation == "sr4-images16" else 0.3}
            told = {"training_seconds": 3.0, "training": json.dumps({"net": {"widths": best}})}
            put(cell, [row(i, **told) for i in cell.images])
    assert "| 8/16/16 16 |" in tradeoff.text(spec, pd.DataFrame())


def test_what_is_not_whole_yet_is_left_out(tmp_path):
    spec = load(tmp_path, FEW, "images=2", "degradation=sr4-images4,sr4-images16", "seed=0,1")
    assert tradeoff.write(spec, pd.DataFrame()) == [] and "No curve" in tradeoff.text(spec, pd.DataFrame())
    for entry in spec.planned:
        for cell in entry.cells:
            images = (
                cell.images[:1]
                if (cell.seed, entry.degradation, entry.row.name) == (1, "sr4-images16", "unet")
                else cell.images
            )
            put(cell, [row(i) for i in images])
    (unet, tv) = learning.growths(spec)["faces", "sr4"]
    assert unet.n == [4, 16] and unet.subsets == [0] and tv.n == [0] and tv.subsets == [0, 1]
    assert len(learning.points(spec)) == 3 + 2


def test_it_can_be_written_as_far_as_it_is(tmp_path, capsys):
    words = ["profile=study", f"results={tmp_path}", *TINY, FEW, "degradation=sr4-images4", "seed=0", "compute=false"]
    assert run_table("tradeoff", words) == 1  # images are still to do
    said = capsys.readouterr()
    assert "2 cells are still to do" in said.err and "No curve is there yet" in said.out
    with pytest.raises(UserError, match="compute is true or false"):
        run_table("tradeoff", ["compute=no"])


def test_a_reference_is_a_row():
    from sipbench import configs
    from sipbench.configs.table_schema import Table

    node = configs.read("table", "tradeoff")
    with pytest.raises(UserError, match="row"):
        Table.refuse({**node, "references": ["tvv"]}, "here")


def test_one_that_was_killed_goes_on(tmp_path):
    """In the middle, by a signal that nobody can answer, in two processes; what was trained is not trained again."""
    words = ["profile=study", f"results={tmp_path}", *TINY, "method=unet", "degradation=sr4-images4,sr4-images16"]
    words += ["seed=0"]
    command = [sys.executable, "-m", "sipbench.cli", "table", "tradeoff", *words, "jobs=2"]
    done = tmp_path / "trained"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not list(done.glob("*/facts.json")) and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    first = {path.parent.name: path.stat().st_mtime_ns for path in done.glob("*/facts.json")}
    assert first
    time.sleep(0.2)  # its processes end with it
    assert run_table("tradeoff", [*words, "jobs=1"]) == 0
    after = {path.parent.name: path.stat().st_mtime_ns for path in done.glob("*/facts.json")}
    assert len(after) == 2 and first.items() <= after.items()


def test_a_shift_trains_nothing_of_its_own(tmp_path):
    """What a network is trained for is what is told, which is what the curve trained it for."""
    words = [f"results={tmp_path}", *TINY, "method=unet,unrolled_pgd,pgd_dncnn,diffpir", "seed=0"]
    curve = tables.load("tradeoff", "study", [*words, "degradation=ct_sparse-images256,sr4-images256"])
    shift = tables.load("tradeoff_shift", "study", words)
    trained, wanted = (
        {lesson.name for e in spec.planned for c in e.cells for lesson in c.lessons.values()} for spec in (curve, shift)
    )
    assert len(wanted) == 6 and wanted == trained
    assert len({c.hash for e in shift.planned for c in e.cells}) == 4 * 5


def test_what_cannot_be_trained_keeps_no_one_from_going_on(monkeypatch):
    """One after the other as side by side."""
    from sipbench.tables import run

    done = []

    def prepare(cell, report):
        if cell.label == "a":
            raise ValueError("a matrix too large")

    monkeypatch.setattr(run, "prepare", prepare)
    monkeypatch.setattr(run, "run", lambda cell, *_, **__: done.append(cell.label) or iter(()))
    monkeypatch.setattr(run, "session", lambda cell: nullcontext())
    cells = [SimpleNamespace(label=n, hash=n, images=[0], recipe={"images": 2}, method={"name": "m"}) for n in "ab"]
    todo: Any = [(cell, 1) for cell in cells]
    with pytest.raises(UserError, match="a: ValueError: a matrix too large"):
        run._one_by_one(todo, Alone())
    assert done == ["b"]
