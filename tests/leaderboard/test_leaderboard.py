"""What others hand in: taken where it is sound and true, named with its reason where it is not."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from sipbench import cli, configs
from sipbench.bench import packing, store
from sipbench.bench.cell import Cell
from sipbench.bench.run import run
from sipbench.leaderboard.board import names_of
from sipbench.problem import Estimate

SOLVER = """\
def solve(problem, *, shift: float = {shift}):
    return problem.f.pinv(problem.y) + shift
"""
PROBLEM = ["size=32", "images=6", "metrics=[psnr,ssim]"]
NOTHING = packing.packed(Estimate(torch.full((1, 3, 32, 32), float("nan"))), 0)
TABLE = [*PROBLEM, "method=pinv,dip", "degradation=sr4", "weights=none", "table=table1"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """What two people handed in, made once: alice has the table's own cells and one of her own, bob the first again."""
    folder = tmp_path_factory.mktemp("handed")
    (folder / "mine.py").write_text(SOLVER.format(shift=0.05))
    (folder / "other.py").write_text(SOLVER.format(shift=0.2))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in (
            ["results=alice", "method=pinv", "degradation=sr4"],
            ["results=alice", "method=mine.py:solve", "degradation=sr4"],
            ["results=dora", "method=pinv", "degradation=inpaint70"],
            ["results=bob", "method=pinv", "degradation=sr4"],
            ["results=bob", "method=other.py:solve", "degradation=sr4"],
        ):
            made(*words)
    return folder


def made(*words):
    full = ["profile=demo", "dataset=faces", "batch_size=3", *PROBLEM, *words]
    cell = Cell.of(configs.compose(full), full)
    list(run(cell))
    return cell


@pytest.fixture
def here(base, tmp_path, monkeypatch):
    """A copy of it, to be spoilt, where the solvers are not."""
    for name in ("alice", "bob", "dora"):
        shutil.copytree(base / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folder_of(here, by, method, degradation="sr4"):
    [found] = (here / by / "runs" / "faces" / degradation / method).iterdir()
    return found


def board(*words):
    """The exit code, and what is written, as JSON and as a table."""
    code = cli.main(["leaderboard", *TABLE, *words])
    return code, json.loads(Path("leaderboard/table1.json").read_text()), pd.read_csv("leaderboard/table1.csv")


def rewrite(folder, change):
    """A cell's files with their rows changed, sealed anew: as a person would who makes up numbers."""
    from pyarrow import parquet

    from sipbench.bench import sealed

    for file in sorted(folder.glob("rows-*.parquet")):
        frame = parquet.read_table(file).to_pandas()
        import pyarrow as pa

        changed = pa.Table.from_pandas(change(frame), preserve_index=False)
        file.write_bytes(sealed.sealed(changed, store.HEAVY))


def test_all_that_is_sound_is_one_table(here, capsys):
    code, said, table = board("alice", "bob", "dora", "degradation=sr4,inpaint70")
    assert code == 0 and not said["rejected"] and not said["not_verified"]
    psnr = table[(table.metric == "PSNR") & (table.degradation == "sr4")].set_index("method")
    assert list(psnr.index) == ["pinv", "mine_solve (alice)", "other_solve (bob)"]
    assert psnr.loc["mine_solve (alice)", "mean"] > psnr.loc["other_solve (bob)", "mean"]  # shifted by less
    assert psnr.best_group.to_dict() == {"pinv": True, "mine_solve (alice)": False, "other_solve (bob)": False}
    assert psnr.loc["mine_solve (alice)", "difference_high"] < 0  # paired, over the same images
    [twice] = said["handed_in_twice"]
    assert twice["by"] == "alice and bob" and twice["said"].startswith("agree on 6 images")
    assert said["comparable"][0].endswith("A⁺y, mine_solve (alice), other_solve (bob)") and said["comparable"][
        1
    ].endswith(": A⁺y")
    text = (here / "leaderboard" / "table1.md").read_text()
    assert "## Handed in twice" in text and "## Comparable" in text and "mine_solve (alice)" in text
    page = (here / "leaderboard" / "table1.html").read_text()
    assert "mine_solve (alice)" in page and "agree on 6 images" in page
    assert (here / "leaderboard" / "table1-pairs.md").is_file() and (here / "leaderboard" / "table1.tex").is_file()
    assert "comparable: " in capsys.readouterr().out


def test_a_made_up_score_is_found(here, capsys):
    def better(frame):
        frame.loc[frame.image == 2, "psnr"] += 5
        return frame

    rewrite(folder_of(here, "alice", "mine_solve"), better)
    code, said, table = board("alice")
    assert code == 1 and "mine_solve (alice)" not in set(table.method)
    [one] = said["rejected"]
    assert "image 2 claims psnr" in one["said"] and "its stored estimate gives" in one["said"] and one["by"] == "alice"
    assert "rejected: alice" in capsys.readouterr().err


def test_scores_without_estimates_are_not_verified_and_not_ranked(here):
    rewrite(
        folder_of(here, "alice", "mine_solve"), lambda f: f.drop(columns=["estimate", "png", "kept"]).assign(psnr=60.0)
    )
    code, said, table = board("alice")
    assert code == 1 and set(table.method) == {"pinv"} and table["mean"].max() < 60
    assert said["not_verified"][0]["said"] == "not verified: no estimates are stored" + "".join(
        f"; {name} {value} is claimed" for name, value in claimed(here)
    )


def claimed(here):
    rows = store.read(folder_of(here, "alice", "mine_solve"))
    return [("psnr", "60"), ("ssim", f"{rows['ssim'].mean():.4g}")]


def test_an_estimate_that_was_exchanged_is_found(here):
    """The truth in the place of what the solver returned, or another's result, does not fit the scores."""
    good = store.read(folder_of(here, "alice", "pinv"), ["image", "estimate"]).set_index("image")["estimate"]

    def taken(frame):
        return frame.assign(estimate=[good[image] for image in frame.image])

    rewrite(folder_of(here, "bob", "other_solve"), taken)
    _, said, _ = board("bob")
    assert "its stored estimate gives" in said["rejected"][0]["said"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: f.assign(y_sha256="0" * 16), "its measurement y is another"),
        (lambda f: f.assign(protocol="operators 0"), "protocol of image 0: operators 0, here"),
        (lambda f: f.assign(cell="0" * 16), "rows of another cell"),
        (lambda f: f.assign(estimate=[b"no tensors"] * len(f)), "cannot be scored"),
        (
            lambda f: f.assign(estimate=[NOTHING] * len(f)),
            "image 0 is said to be solved, and its stored estimate is not",
        ),
        (lambda f: f.assign(seed=5), "image 0: its row is of seed 5, here 0"),
        (lambda f: f.assign(seconds=-5.0), "image 0: it is said to have taken -5.0 seconds"),
        (lambda f: f.assign(evaluations=float("inf")), "image 0: it is said to have taken inf evaluations"),
        (lambda f: f.drop(columns="seconds"), "image 0: it is said to have taken no seconds"),
        (lambda f: f.assign(device=1), "its device is int64"),
        (lambda f: f.assign(psnr=f.psnr.where(f.image != 2)), "image 2 claims a psnr that is no number"),
        (
            lambda f: f.assign(psnr=float("nan")),
            "image 0 claims a psnr that is no number, and its stored estimate gives",
        ),
    ],
)
def test_what_is_of_another_problem_is_rejected(here, change, reason):
    rewrite(folder_of(here, "alice", "mine_solve"), change)
    code, said, _ = board("alice")
    assert code == 1 and len(said["rejected"]) == 1 and reason in said["rejected"][0]["said"]


def test_another_seed_size_or_degradation_says_how_it_differs(here):
    for words in (["seed=3"], ["size=64"], ["degradation.noise.sigma=0.05"], ["degradation=sr2"]):
        made("results=carol", "method=pinv", "degradation=sr4", "images=1", *words)
    code, said, _ = board("alice", "carol")
    reasons = [one["said"] for one in said["rejected"]]
    assert code == 1 and len(reasons) == 4
    for text in ("seed 3, here 0", "dataset.size 64, here 32", "0.05, here 0.01", "no problem of table1: sr2 on faces"):
        assert any(text in reason for reason in reasons), (text, reasons)


def test_a_damaged_file_and_a_false_name_are_rejected(here):
    folder = folder_of(here, "alice", "mine_solve")
    file = sorted(folder.glob("rows-*"))[0]
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)
    other = folder_of(here, "dora", "pinv", "inpaint70")
    other.rename(other.with_name("0" * 16))
    _, said, _ = board("alice", "dora")
    reasons = " ".join(one["said"] for one in said["rejected"])
    assert "damaged" in reasons and "is not the cell that the folder is named after" in reasons


def test_missing_images_are_said_and_not_ranked(here):
    sorted(folder_of(here, "alice", "mine_solve").glob("rows-*"))[0].unlink()
    _, said, table = board("alice", "bob")
    row = table[(table.method == "mine_solve (alice)") & (table.metric == "PSNR") & (table.degradation == "sr4")].iloc[
        0
    ]
    assert (row.status, row.n, row.todo) == ("incomplete", 3, 3) and row.difference != row.difference
    assert said["incomplete"][0]["said"].startswith("3 of 6 images are missing")
    assert "mine_solve (alice)" not in said["comparable"][0]


def test_a_row_is_of_one_setting_under_all_seeds(here):
    """Whoever tried several settings does not choose another one for each seed, and no setting is torn apart."""
    (here / "mine.py").write_text(SOLVER.format(shift=0.05))
    carol, eve = ((0, 0.1), (1, 0.2), (0, 0.2)), ((0, 0.1), (1, 0.1), (0, 0.3), (1, 0.3))
    for by, tried in (("carol", carol), ("eve", eve)):
        for seed, shift in tried:
            words = ("images=2", "degradation=sr4", f"seed={seed}", f"method.solver.shift={shift}")
            made(f"results={by}", "method=mine.py:solve", *words)
    _, _, table = board("carol", "eve", "seed=0,1", "images=2")
    psnr = table[table.metric == "PSNR"].set_index("method")
    shifts = {row: {made_with(one) for one in cells.split()} for row, cells in psnr.cell.items()}
    assert all(len(own) == 1 for own in shifts.values()) and len(set.union(*shifts.values())) == len(psnr) == 3
    assert sorted(psnr.by) == ["carol", "carol + eve", "eve"] and (psnr.n == 4).all()


def made_with(cell):
    """The option of a cell that stands in the leaderboard."""
    [path] = Path("leaderboard/runs").glob(f"*/*/*/{cell}/cell.json")
    return json.loads(path.read_text())["identity"]["method"][3]["shift"]


def test_two_results_of_one_cell_that_differ_say_by_how_much(here):
    """Bob's rows are consistent in themselves, and not alice's: the same cell on a machine that goes wrong."""
    from sipbench.leaderboard import twice

    rows = store.read(folder_of(here, "alice", "pinv"), ["image", "status", "psnr", "estimate"]).to_dict("records")
    other = store.read(folder_of(here, "bob", "other_solve"), ["image", "status", "psnr", "estimate"]).to_dict(
        "records"
    )
    said = twice.compared(rows, other, ["psnr"])
    assert said.startswith("differ by up to psnr") and "their estimates differ by at most 0.2" in said


def test_what_cannot_be_done_is_one_line(here, capsys):
    assert cli.main(["leaderboard"]) == 2
    assert cli.main(["leaderboard", "nowhere", *TABLE]) == 2
    assert cli.main(["leaderboard", "alice", "out=alice", *TABLE]) == 2
    assert cli.main(["leaderboard", "alice", "alice", *TABLE]) == 2
    (here / "empty" / "runs").mkdir(parents=True)
    assert cli.main(["leaderboard", "empty", *TABLE]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 5 and "no folder runs" in said[1] and "named twice" in said[3] and "can stand in" in said[4]


def test_what_an_earlier_board_took_is_not_believed(here):
    """The folder of the leaderboard is there from before, and what is handed in now is less."""
    board("alice")
    sorted(folder_of(here, "alice", "mine_solve").glob("rows-*"))[0].unlink()
    _, _, table = board("alice")
    row = table[(table.method == "mine_solve (alice)") & (table.metric == "PSNR")].iloc[0]
    assert (row.status, row.n, row.todo) == ("incomplete", 3, 3)


def test_a_score_of_a_part_that_was_not_made_here_is_not_passed_on(here):
    """What a rule of early stopping chose is not stored: nothing tells what it scored."""
    claims = {"wmv_psnr": 60.0, "wmv_gap": 0.0, "mean_ssim": 1.0}
    rewrite(folder_of(here, "alice", "pinv"), lambda f: f.assign(**claims))
    board("alice")
    assert not {*claims} & {*store.read(folder_of(here, "leaderboard", "pinv"))}


def test_what_a_stranger_says_of_a_cell_may_be_anything(here):
    """Each such cell is rejected in a line, and the others are ranked."""
    from sipbench.bench.identity import digest

    folder = folder_of(here, "bob", "pinv")
    changes = [
        lambda said: said["identity"].update(method=["pinv"]),
        lambda said: said["identity"].update(method={"pinv": 1}),
        lambda said: said["identity"].update(weights=["degradation"]),
        lambda said: said["identity"].update(method=["pinv", "pinv.solve"]),
        lambda said: said["identity"].update(weights=["prior"]),
        lambda said: said["identity"].update(dataset=named(said["identity"]["dataset"])),
        lambda said: said.update(weights=[1]),
        lambda said: said.update(origins="hand"),
    ]
    for n, change in enumerate(changes):
        said = json.loads((folder / "cell.json").read_text())
        said["identity"]["more"] = n
        change(said)
        other = shutil.copytree(folder, folder.with_name(digest(said["identity"])))
        (other / "cell.json").write_text(json.dumps(said))
        rewrite(other, lambda f, name=other.name: f.assign(cell=name))
    code, told, table = board("bob", "method=pinv", "metrics=[psnr]")
    assert code == 1 and "pinv" in set(table.method)
    reasons = [one["said"] for one in told["rejected"]]
    assert reasons == ["its cell.json cannot be read"] * len(changes)


def named(dataset):
    """The same with names."""
    from sipbench.leaderboard.handed import DATASET

    return dict(zip(DATASET, dataset, strict=True))


def test_a_seed_that_nobody_handed_in_and_weights_that_are_not_here(here):
    """The page is written, too, whose pictures are posed without what solves them."""
    (here / "mine.py").write_text(SOLVER.format(shift=0.05))
    for seed in (0, 1):
        cell = made("results=carol", "method=mine.py:solve", "degradation=sr4", f"seed={seed}", "images=2")
    said = json.loads((cell.folder / "cell.json").read_text())
    (cell.folder / "cell.json").write_text(json.dumps(said | {"weights": {"prior": "diffusion.safetensors"}}))
    code, _, table = board("carol", "seed=1,2", "images=2")
    assert code == 1 and Path("leaderboard/table1.html").is_file()
    assert set(table.status) == {"incomplete"} and set(table.by) == {"carol"}


def test_a_folder_whose_name_is_in_no_encoding_has_one_that_can_be_shown(tmp_path):
    names = names_of([tmp_path / "a\udcff", tmp_path / "b\x1b[31m", tmp_path / "c\u202e"])
    assert names == ["a\ufffd", "b\ufffd[31m", "c\ufffd"]
    names = names_of([tmp_path / "a\udcff", tmp_path / "a\udcfe"])
    assert len(set(names)) == 2 and all(name.encode() for name in names)
